//! `/livez`, `/readyz`, `/version`, `/metrics`.

use std::{fmt::Write, time::Duration};

use axum::{
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::query::Parameters;
use crate::{metrics::Scrape, negotiate::reply_json, problem::Problem, state::Gateway};

/// The process answers.
#[utoipa::path(get, path = "/livez", tag = "health",
    responses((status = 200, description = "ok", body = String)))]
pub(crate) async fn livez() -> &'static str {
    "ok"
}

/// Every check by name; 503 while one of those that matter does not hold.
#[utoipa::path(get, path = "/readyz", tag = "health",
    params(("verbose" = Option<bool>, Query, description = "Shows the checks that hold, too")),
    responses((status = 200, description = "Ready", body = String),
        (status = 503, description = "Not ready, with the failing checks", body = String)))]
pub(crate) async fn readyz(
    State(gateway): State<Gateway>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::read(query.as_deref())?;
    let is_verbose = parameters.flag("verbose");
    parameters.finish()?;
    let mut checks = gateway.checks.checks();
    checks.push(crate::state::Check {
        name: "shutdown".into(),
        problem: gateway
            .shutdown
            .borrow()
            .then(|| "the gateway is shutting down".to_owned()),
        is_fatal: true,
    });
    let is_ready = !checks.iter().any(|c| c.is_fatal && c.problem.is_some());
    let mut text = String::new();
    for check in &checks {
        let _ = match &check.problem {
            Some(problem) if check.is_fatal => {
                writeln!(text, "[-]{} failed: {problem}", check.name)
            }
            Some(problem) => writeln!(text, "[!]{} warns: {problem}", check.name),
            None if is_verbose || !is_ready => writeln!(text, "[+]{} ok", check.name),
            None => Ok(()),
        };
    }
    text.push_str(if is_ready {
        "readyz check passed\n"
    } else {
        "readyz check failed\n"
    });
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        text,
    )
        .into_response())
}

/// The gateway's version and the plugin interfaces that it offers.
#[utoipa::path(get, path = "/version", tag = "health",
    responses((status = 200, description = "version, commit, interfaces", body = Object)))]
pub(crate) async fn version(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    reply_json(StatusCode::OK, gateway.version.as_ref())
}

/// OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "OpenMetrics", body = String)))]
pub(crate) async fn metrics(State(gateway): State<Gateway>) -> Response {
    let (entries, _) = gateway.clusters.mirror().all();
    let heard = gateway.clusters.synced().heard_ms;
    let now_ms = gateway.world.now_ms();
    let text = gateway.metrics.render(Scrape {
        now_ms,
        entries,
        registry_age: Duration::from_millis(now_ms.saturating_sub(heard)),
        slots: gateway.plugins.metrics(),
        looks: gateway.clusters.looks_took(),
        targets: gateway.charts.targets(),
        journaled: gateway.charts.journaled(),
        ..Scrape::default()
    });
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, media)], text).into_response()
}

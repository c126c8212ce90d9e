//! `/operations`: what runs, what ran, and their events.

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::stream;
use optikon_core::{
    Error,
    flows::charts::{ChartFlows, OperationQuery},
    words::{Caller, OperationId},
};
use serde_json::{Value, json};

use super::query::Parameters;
use crate::{negotiate::reply_json, problem::Problem, state::Gateway};

type Answer = Result<Response, Problem>;

fn id_of(text: &str) -> Result<OperationId, Problem> {
    let shown: String = text.escape_debug().take(64).collect();
    text.parse()
        .map_err(|_| Error::not_found("operation", shown).into())
}

/// Operations, newest first.
#[utoipa::path(get, path = "/operations", tag = "operations",
    params(("state" = Option<String>, Query), ("release" = Option<String>, Query),
        ("limit" = Option<u64>, Query, description = "1 to 1,000, default 100")),
    responses((status = 200, description = "items", body = Object)))]
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let mut parameters = Parameters::read(query.as_deref())?;
    let state = parameters.text("state");
    let parsed = state
        .as_ref()
        .map(|s| serde_json::from_value(Value::String(s.clone())));
    let state = match parsed {
        None => None,
        Some(Ok(state)) => Some(state),
        Some(Err(_)) => {
            parameters.problem("state", "is not a state of an operation");
            None
        }
    };
    let release = parameters.text("release");
    let limit = parameters
        .number("limit", 1, 1_000)
        .and_then(|n| usize::try_from(n).ok());
    parameters.finish()?;
    let query = OperationQuery {
        state,
        release,
        limit: limit.unwrap_or(100),
    };
    let items = gateway.charts.operations(&caller, &query).await?;
    reply_json(StatusCode::OK, &json!({ "items": items }))
}

/// One operation.
#[utoipa::path(get, path = "/operations/{id}", tag = "operations", params(("id" = String, Path)),
    responses((status = 200, description = "State and a row per cluster", body = Object)))]
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let operation = gateway.charts.operation(&caller, &id_of(&id)?).await?;
    reply_json(StatusCode::OK, &operation)
}

/// An operation's events as server-sent events, from the first or after `Last-Event-ID`; ends with
/// the operation.
#[utoipa::path(get, path = "/operations/{id}/events", tag = "operations", params(("id" = String, Path)),
    responses((status = 200, description = "Server-sent events", body = String)))]
pub(crate) async fn events(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let id = id_of(&id)?;
    gateway.charts.operation(&caller, &id).await?;
    let after = headers
        .get("last-event-id")
        .and_then(|v| v.to_str().ok()?.parse().ok());
    Ok(stream(
        gateway.charts.clone(),
        caller,
        id,
        after.unwrap_or(0),
    ))
}

/// Events after a number, as they come.
pub(super) fn stream(charts: ChartFlows, caller: Caller, id: OperationId, after: u64) -> Response {
    let start = (charts, caller, id, after);
    let frames = stream::unfold(start, |(charts, caller, id, after)| async move {
        let events = match charts.events(&caller, &id, after, true).await {
            Ok(events) if events.is_empty() => return None,
            Ok(events) => events,
            Err(error) => return Some((Err(error), (charts, caller, id, after))),
        };
        let mut out = String::new();
        let mut last = after;
        for event in events {
            last = event.number;
            let data = serde_json::to_string(&event).unwrap_or_default();
            out.push_str(&format!(
                "id: {last}\nevent: {}\ndata: {data}\n\n",
                event.kind
            ));
        }
        Some((Ok(Bytes::from(out)), (charts, caller, id, last)))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let media = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

/// No further target is begun; those that were are finished.
#[utoipa::path(post, path = "/operations/{id}/cancel", tag = "operations", params(("id" = String, Path)),
    responses((status = 202, description = "Cancelling", body = Object), (status = 409, description = "It is over")))]
pub(crate) async fn cancel(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let operation = gateway.charts.cancel(&caller, &id_of(&id)?).await?;
    reply_json(StatusCode::ACCEPTED, &operation)
}

/// Goes on after a manual pause.
#[utoipa::path(post, path = "/operations/{id}/resume", tag = "operations", params(("id" = String, Path)),
    responses((status = 202, description = "Goes on", body = Object), (status = 409, description = "It does not pause")))]
pub(crate) async fn resume(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let operation = gateway.charts.resume(&caller, &id_of(&id)?).await?;
    reply_json(StatusCode::ACCEPTED, &operation)
}

//! The outermost layer: a request id, one log line, metrics, and the text of errors.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use optikon_core::words::hex;

use tracing::Instrument;

use crate::{handlers::v0, problem::Pending, state::Gateway};

/// Gives the request an id and the answer its final shape.
pub(crate) async fn observe(
    State(gateway): State<Gateway>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(&gateway, &request);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    // `MatchedPath` is a bounded word, the path itself is not.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", |p| known_route(p.as_str()));
    let span = optikon_core::first_step!(
        "request", method = %method, route, request_id = %id, status = tracing::field::Empty
    );
    let traceparent = request.headers().get("traceparent");
    if let Some(parent) = traceparent.and_then(|v| v.to_str().ok())
        && !span.is_disabled()
    {
        (gateway.trace_parent)(&span, parent);
    }
    if path.starts_with("/apis/")
        && let Some(query) = request.uri().query()
    {
        gateway.echo.listen(query);
    }
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(Pending(problem)) = response.extensions_mut().remove::<Pending>() {
        let added = std::mem::take(response.headers_mut());
        response = match path.strip_prefix("/v0") {
            Some("") => problem.render_v0(&id),
            Some(rest) if rest.starts_with('/') && route == "unmatched" => v0::unknown(&path),
            Some(rest) if rest.starts_with('/') => problem.render_v0(&id),
            Some(_) | None => problem.render(&id, &path),
        };
        // A page of another origin may read failures, too.
        let shared = added
            .into_iter()
            .filter_map(|(name, value)| Some((name?, value)));
        let shared = shared.filter(|(name, _)| name.as_str().starts_with("access-control-"));
        response.headers_mut().extend(shared);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    span.record("status", status);
    gateway.metrics.request(route, status, took);
    tracing::info!(
        target: "optikon::access",
        request_id = %id, %method, path = %path.escape_debug(), status, took_ms = took.as_millis() as u64,
    );
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The caller's own id when it is a harmless word, else a new one.
fn request_id(gateway: &Gateway, request: &Request) -> String {
    let given = request
        .headers()
        .get("x-request-id")
        .and_then(|v| v.to_str().ok());
    let is_word = |text: &&str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if let Some(id) = given.filter(is_word) {
        return id.to_owned();
    }
    let mut random = [0; 8];
    gateway.world.random(&mut random);
    hex(&random)
}

fn known_route(path: &str) -> &'static str {
    let known = crate::router::ENDPOINTS.iter().find(|(_, p, _)| *p == path);
    known.map_or("unmatched", |(_, p, _)| p)
}

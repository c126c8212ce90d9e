//! The original Optikon API (2018), unchanged for its clients and over the same use-cases as everything else.
//!
//! Success has the original's codes and empty bodies. Failures have the codes that it only declared, in its own shape; what
//! failed on single clusters of a request that did something is in the header `x-optikon-errors`.

pub(crate) mod clusters;
pub(crate) mod releases;
mod shared;

pub(crate) use shared::Shared;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::problem::Problem;

/// Clusters of a request that did not do it, as `name=Reason`, comma-separated.
pub(crate) const ERRORS: &str = "x-optikon-errors";
/// Names in that header, before it says how many more there are.
const MAX_NAMED: usize = 50;

/// The schema, as the original served it beside `/v0`.
const SWAGGER: &str = include_str!("swagger.json");

/// What the listener for `/v0` has beside it: the schema at `/swagger.json`, and nothing else.
pub(crate) async fn beside(uri: Uri) -> Response {
    match uri.path() {
        "/swagger.json" => json_bytes(StatusCode::OK, SWAGGER),
        path => unknown(path),
    }
}

fn json_bytes(status: StatusCode, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// An empty answer. The original named a content type with the 201s only.
fn empty(status: StatusCode) -> Response {
    if status == StatusCode::CREATED {
        return json_bytes(status, Body::empty());
    }
    status.into_response()
}

/// A failure in the original's shape. The code is a text, as its schema says.
pub(crate) fn failure(status: StatusCode, message: &str) -> Response {
    let body = json!({ "code": status.as_u16().to_string(), "message": message });
    json_bytes(status, body.to_string())
}

/// What the original said of a form that is not complete.
fn form(status: StatusCode, code: &str, message: &str) -> Response {
    json_bytes(
        status,
        json!({ "code": code, "message": message }).to_string(),
    )
}

/// A path below `/v0` that does not exist.
pub(crate) fn unknown(path: &str) -> Response {
    let shown: String = path.escape_debug().take(256).collect();
    failure(
        StatusCode::NOT_FOUND,
        &format!("path {shown} was not found"),
    )
}

/// Names the clusters that did not do it.
fn with_errors(mut response: Response, errors: &[(String, String)]) -> Response {
    if errors.is_empty() {
        return response;
    }
    let named = errors
        .iter()
        .take(MAX_NAMED)
        .map(|(cluster, reason)| format!("{cluster}={reason}"));
    let mut text = named.collect::<Vec<_>>().join(",");
    if errors.len() > MAX_NAMED {
        text.push_str(&format!(",…={}", errors.len() - MAX_NAMED));
    }
    let text: String = text
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect();
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(ERRORS, value);
    }
    response
}

type Answer = Result<Response, Problem>;

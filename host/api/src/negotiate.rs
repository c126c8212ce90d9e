//! What goes in and out: media types, bodies, conditional requests.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::StreamExt;
use optikon_core::{Error, flows::kubeconfig};
use serde_json::Value;

use crate::{
    problem::Problem,
    strict::{Strict, TWICE},
};

/// Bodies on `/cluster`; api.md.
pub(crate) const MAX_CLUSTER_BODY: usize = 3 << 20;

/// Reads a body of at most `limit` bytes.
pub(crate) async fn body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Error::TooLarge {
        what: "the body".into(),
        limit_bytes: limit as u64,
    };
    let mut stream = body.into_data_stream();
    let mut out = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Error::Malformed("the body broke off".into()))?;
        if out.len().saturating_add(chunk.len()) > limit {
            return Err(too_large().into());
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out.into())
}

/// The media type without its parameters, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// A document in JSON or YAML, by its media type; none counts as JSON.
pub(crate) fn document(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Problem> {
    match media_type(headers).as_str() {
        "" | "application/json" => json(bytes),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => {
            let text = std::str::from_utf8(bytes)
                .map_err(|_| Error::Malformed("the body is not UTF-8".into()))?;
            Ok(kubeconfig::yaml(text, "the body")?)
        }
        other => Err(Error::Unsupported(format!(
            "media type \"{}\" is not read here; send application/json or application/yaml",
            other.escape_debug()
        ))
        .into()),
    }
}

/// JSON; the message has the place, never a piece of the body, which may hold secrets.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, Problem> {
    let read = serde_json::from_slice::<Strict>(bytes);
    read.map(|Strict(value)| value).map_err(|error| {
        let why = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            _ if error.to_string().starts_with("recursion limit") => "it is nested too deeply",
            _ if error.to_string().starts_with(TWICE) => TWICE,
            _ => "it is not well-formed",
        };
        let (line, column) = (error.line(), error.column());
        Error::Malformed(format!(
            "the body is no JSON document: {why}, line {line}, column {column}"
        ))
        .into()
    })
}

/// Whether `Accept` lets us answer with this media type.
pub(crate) fn accepts(headers: &HeaderMap, offered: &str) -> bool {
    let mut accept = headers.get_all(header::ACCEPT).iter().peekable();
    if accept.peek().is_none() {
        return true;
    }
    let group = offered.split('/').next().unwrap_or_default();
    accept
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default();
            let is_refused = parts.any(|p| matches!(p, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            let fits = range == "*/*"
                || range.eq_ignore_ascii_case(offered)
                || range
                    .strip_suffix("/*")
                    .is_some_and(|g| g.eq_ignore_ascii_case(group));
            fits && !is_refused
        })
}

/// Whether `Accept` names this media type itself.
pub(crate) fn prefers(headers: &HeaderMap, wanted: &str) -> bool {
    let values = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|item| {
        item.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case(wanted)
    })
}

/// A JSON answer.
pub(crate) fn reply(status: StatusCode, bytes: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(bytes.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// A JSON answer of a value.
pub(crate) fn reply_json<T: serde::Serialize>(
    status: StatusCode,
    value: &T,
) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(value).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(reply(status, bytes))
}

/// Adds the ETag of a version.
pub(crate) fn tagged(mut response: Response, version: u64) -> Response {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// The version of an `If-Match` or `If-None-Match` header; weak tags count by their text.
pub(crate) fn tag(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    Some(
        text.strip_prefix("W/")
            .unwrap_or(text)
            .trim_matches('"')
            .to_owned(),
    )
}

/// Whether the caller has this version already.
pub(crate) fn is_unchanged(headers: &HeaderMap, version: u64) -> bool {
    tag(headers, &header::IF_NONE_MATCH).is_some_and(|given| given == version.to_string())
}

/// `Cache-Control: no-cache` asks the registry, not the mirror.
pub(crate) fn is_fresh(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|v| v.to_str().ok());
    values
        .flat_map(|v| v.split(','))
        .any(|d| d.trim().eq_ignore_ascii_case("no-cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())])
    }

    #[test]
    fn accept_is_read_as_it_is_written() {
        for yes in [
            "*/*",
            "application/*",
            "text/html, application/json;q=0.5",
            "Application/JSON",
        ] {
            assert!(accepts(&headers(yes), "application/json"), "{yes}");
        }
        for no in ["text/html", "application/json;q=0", "image/*"] {
            assert!(!accepts(&headers(no), "application/json"), "{no}");
        }
        assert!(accepts(&HeaderMap::new(), "application/json"));
    }

    #[test]
    fn a_body_that_is_no_json_is_not_quoted() {
        for bad in [
            r#"{"token": s3cret}"#,
            r#"{"token": "s3cret""#,
            &"[".repeat(100_000),
        ] {
            let problem = json(bad.as_bytes()).unwrap_err();
            let text = format!("{problem:?}");
            assert!(
                text.contains("line 1") && !text.contains("s3cret"),
                "{text}"
            );
        }
    }
}

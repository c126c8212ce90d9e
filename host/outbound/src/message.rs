//! Requests as they are sent and answers as they are passed on: which headers cross, and in which form.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::Full;
use optikon_core::words::{Fault, FaultReason, Method, Request, Rules};

use crate::{
    address::Base,
    fault::fault,
    path::{check_path, encode_query},
    pool::Body,
    rules,
};

const MAX_ACCEPT_BYTES: usize = 1024;
const MAX_CONTENT_TYPE_BYTES: usize = 256;
pub(crate) const USER_AGENT: &str = concat!("optikon/", env!("CARGO_PKG_VERSION"));

/// Response headers that are passed on. `Content-Length` is not: the body may have been decompressed.
const PASSED_ON: [&str; 8] = [
    "content-type",
    "etag",
    "retry-after",
    "date",
    "warning",
    "audit-id",
    "age",
    "last-modified",
];
const PASSED_ON_PREFIX: &str = "x-kubernetes-pf-";

/// A request that was checked; all that is missing is where it goes.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) method: Method,
    path: String,
    query: String,
    accept: HeaderValue,
    content_type: Option<HeaderValue>,
    body: Bytes,
    /// A stream is not compressed: its lines should come when they are written.
    is_stream: bool,
}

impl Prepared {
    /// Checks a request against the rules of its connection; what does not pass is `Denied`.
    pub(crate) fn new(request: &Request, rules: &Rules, is_stream: bool) -> Result<Self, Fault> {
        let denied = |why: String| {
            let what = format!("{} {}", request.method, request.path);
            fault(FaultReason::Denied, format!("{why} ({what})"))
        };
        let path = check_path(&request.path).map_err(denied)?;
        let query = encode_query(&request.query).map_err(denied)?;
        rules::check(rules, &path, request).map_err(denied)?;
        let accept = request.accept.as_deref().unwrap_or("application/json");
        let accept = header_value(accept, MAX_ACCEPT_BYTES)
            .ok_or_else(|| denied("the Accept header is not one bounded line of ASCII".into()))?;
        let content_type = match &request.content_type {
            None if request.body.is_empty() => None,
            None => Some(HeaderValue::from_static("application/json")),
            Some(given) => Some(header_value(given, MAX_CONTENT_TYPE_BYTES).ok_or_else(|| {
                denied("the Content-Type header is not one bounded line of ASCII".into())
            })?),
        };
        Ok(Self {
            method: request.method,
            path: path.text,
            query,
            accept,
            content_type,
            body: request.body.clone(),
            is_stream,
        })
    }

    /// The request for one endpoint. `Authorization` is added here and nowhere else.
    pub(crate) fn to_http(
        &self,
        base: &Base,
        authorization: Option<&HeaderValue>,
        is_h2: bool,
    ) -> Result<http::Request<Body>, Fault> {
        let broken = |error: http::Error| {
            fault(
                FaultReason::BadConfig,
                format!("no request can be made: {error}"),
            )
        };
        let uri = base.uri(&self.path, &self.query).map_err(broken)?;
        let mut builder = http::Request::builder()
            .method(self.method.as_str())
            .header(header::ACCEPT, &self.accept)
            .header(header::USER_AGENT, USER_AGENT);
        if !self.is_stream {
            builder = builder.header(header::ACCEPT_ENCODING, "gzip");
        }
        if let Some(content_type) = &self.content_type {
            builder = builder.header(header::CONTENT_TYPE, content_type);
        }
        if let Some(authorization) = authorization {
            builder = builder.header(header::AUTHORIZATION, authorization);
        }
        builder = if is_h2 {
            builder.uri(uri)
        } else {
            let target = uri.path_and_query().map_or("/", |target| target.as_str());
            builder
                .header(header::HOST, base.authority.as_str())
                .uri(target)
        };
        builder.body(Full::new(self.body.clone())).map_err(broken)
    }
}

pub(crate) fn header_value(text: &str, max_bytes: usize) -> Option<HeaderValue> {
    let is_fine = (1..=max_bytes).contains(&text.len())
        && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    HeaderValue::from_str(text).ok().filter(|_| is_fine)
}

/// Whether an answer's head is within its cap.
pub(crate) fn check_head_size(headers: &HeaderMap, header_bytes: usize) -> Result<(), Fault> {
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size > header_bytes {
        return Err(fault(
            FaultReason::TooLarge,
            format!("the response head is larger than {header_bytes} bytes"),
        ));
    }
    Ok(())
}

/// Looks at an answer's head: its size, redirects, and whether our credential was refused.
pub(crate) fn check_head(
    status: StatusCode,
    headers: &HeaderMap,
    header_bytes: usize,
    has_credential: bool,
) -> Result<(), Fault> {
    check_head_size(headers, header_bytes)?;
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(fault(
            FaultReason::Protocol,
            format!("redirects are not followed (status {})", status.as_u16()),
        ));
    }
    if status == StatusCode::UNAUTHORIZED && has_credential {
        return Err(fault(
            FaultReason::Unauthorized,
            "the server did not accept our credential (status 401)",
        ));
    }
    Ok(())
}

/// The headers that are passed on.
pub(crate) fn passed_on(headers: &HeaderMap) -> Vec<(String, String)> {
    let passes = |name: &str| PASSED_ON.contains(&name) || name.starts_with(PASSED_ON_PREFIX);
    headers
        .iter()
        .filter(|(name, _)| passes(name.as_str()))
        .filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        })
        .collect()
}

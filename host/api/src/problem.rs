//! The one way from an error to a status, a code and a text (RFC 9457).

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use optikon_core::{Error, FieldError};
use serde::Serialize;

/// An error as callers see it.
#[derive(Debug, Clone)]
pub struct Problem {
    error: Error,
    allow: Option<&'static str>,
    status: Option<StatusCode>,
}

/// The body of an error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemBody {
    /// Always `about:blank`: `code` is what programs act on.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// The status in words.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What failed, on which object, and what to do.
    pub(crate) detail: String,
    /// The path that was asked.
    pub(crate) instance: String,
    /// A stable word.
    pub(crate) code: &'static str,
    /// Also in the header `x-request-id` and in the log.
    pub(crate) request_id: String,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub(crate) errors: Vec<FieldError>,
}

/// The only table from error to status. No `_` arm: a new error compiles once its status is decided.
pub(crate) fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Malformed(_) => StatusCode::BAD_REQUEST,
        Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        Error::Denied(_) => StatusCode::FORBIDDEN,
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::AlreadyExists { .. } | Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::Expired(_) => StatusCode::GONE,
        Error::PreconditionFailed(_) => StatusCode::PRECONDITION_FAILED,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Plugin(_) | Error::Source(_) => StatusCode::BAD_GATEWAY,
        Error::Unavailable { .. } | Error::Member { .. } | Error::NoPlugin { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
    }
}

impl Problem {
    /// A method that the path does not have.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            error: Error::Unsupported(format!("this path has only {allow}")),
            allow: Some(allow),
            status: Some(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    /// An `Accept` that we cannot satisfy.
    pub(crate) fn not_acceptable(offered: &str) -> Self {
        Self {
            error: Error::Unsupported(format!("the answer is {offered}, which Accept excludes")),
            allow: None,
            status: Some(StatusCode::NOT_ACCEPTABLE),
        }
    }

    fn code(&self) -> &'static str {
        match self.status {
            Some(StatusCode::METHOD_NOT_ALLOWED) => "method-not-allowed",
            Some(StatusCode::NOT_ACCEPTABLE) => "not-acceptable",
            _ => match &self.error {
                Error::Unsupported(_) => "unsupported-media-type",
                error => error.code(),
            },
        }
    }

    fn detail(&self, request_id: &str) -> String {
        match &self.error {
            Error::Internal(text) => {
                tracing::error!(request_id, detail = %text, "internal error");
                format!("internal error; the log has it under request id {request_id}")
            }
            error => error.to_string(),
        }
    }

    /// The same below `/v0`, in the original's shape.
    pub(crate) fn render_v0(self, request_id: &str) -> Response {
        let status = self.status.unwrap_or_else(|| status_of(&self.error));
        let mut response = crate::handlers::v0::failure(status, &self.detail(request_id));
        if let Some(allow) = self.allow {
            let allow = HeaderValue::from_static(allow);
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"optikon\"");
            response
                .headers_mut()
                .append(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }

    /// The whole answer, once the request's id and path are known.
    pub(crate) fn render(self, request_id: &str, instance: &str) -> Response {
        let status = self.status.unwrap_or_else(|| status_of(&self.error));
        let code = self.code();
        let detail = self.detail(request_id);
        let (errors, retry_after) = match self.error {
            Error::Invalid(fields) => (fields, None),
            Error::Busy { retry_after, .. } => (Vec::new(), Some(retry_after)),
            Error::Unavailable { retry_after, .. } => (Vec::new(), retry_after),
            _ => (Vec::new(), None),
        };
        let body = ProblemBody {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail,
            instance: instance.to_owned(),
            code,
            request_id: request_id.to_owned(),
            errors,
        };
        let mut response = Response::new(Body::from(serde_json::to_vec(&body).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(after) = retry_after {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(after.as_secs().max(1)),
            );
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"optikon\""),
            );
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"optikon\", charset=\"UTF-8\""),
            );
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self {
            error,
            allow: None,
            status: None,
        }
    }
}

/// Left in the response for the outermost layer, which knows the request's id and path.
#[derive(Debug, Clone)]
pub(crate) struct Pending(pub(crate) Problem);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status.unwrap_or_else(|| status_of(&self.error));
        response.extensions_mut().insert(Pending(self));
        response
    }
}

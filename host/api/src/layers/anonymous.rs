//! The listener for `/v0`: no token, one role for everybody, and pages of any origin.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use optikon_core::{Error, words::Caller};

use super::admit::{check_name, needed};
use crate::{problem::Problem, router::Access, state::Gateway};

/// How long a page may remember what it was allowed.
const REMEMBERED_SECONDS: &str = "600";

/// Lets a request through as `caller`, and answers what browsers ask beforehand.
pub(crate) async fn anonymous(
    State((gateway, caller)): State<(Gateway, Caller)>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut response = if let Err(problem) = check_name(&gateway, &request) {
        problem.into_response()
    } else if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let path = request.extensions().get::<MatchedPath>();
        match path.and_then(|path| needed(request.method(), path.as_str())) {
            Some(Access::From(role)) if caller.role < role => {
                let message = format!(
                    "this needs the role {}; [v0] role is {}",
                    role.as_str(),
                    caller.role.as_str()
                );
                Problem::from(Error::Denied(message)).into_response()
            }
            _ => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
        }
    };
    allow(response.headers_mut());
    response
}

/// Any origin, and never with credentials: there are none.
fn allow(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, HEAD, POST, PUT, DELETE",
        ),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            crate::handlers::v0::ERRORS,
        ),
        (header::ACCESS_CONTROL_MAX_AGE, REMEMBERED_SECONDS),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

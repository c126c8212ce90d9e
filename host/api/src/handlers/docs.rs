//! `/openapi.json` and `/docs`, the page that shows it.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use optikon_core::Error;
use utoipa_swagger_ui::Config;

use crate::{negotiate::reply_json, openapi, problem::Problem};

/// The page loads nothing from anywhere else.
const POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// The OpenAPI document of this gateway.
pub(crate) async fn openapi() -> Result<Response, Problem> {
    reply_json(StatusCode::OK, &openapi::document())
}

/// To the page.
pub(crate) async fn index() -> Redirect {
    Redirect::permanent("/docs/")
}

/// The page itself.
pub(crate) async fn index_page() -> Result<Response, Problem> {
    page("")
}

/// A file of the page.
pub(crate) async fn file(Path(file): Path<String>) -> Result<Response, Problem> {
    page(&file)
}

fn page(file: &str) -> Result<Response, Problem> {
    let config = Arc::new(Config::from("/openapi.json"));
    let found = utoipa_swagger_ui::serve(file, config)
        .map_err(|error| Error::Internal(format!("the documentation page: {error}")))?;
    let Some(found) = found else {
        let shown: String = file.escape_debug().take(128).collect();
        return Err(Error::not_found("page", shown).into());
    };
    let mut response = Body::from(found.bytes.into_owned()).into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&found.content_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    Ok(response)
}

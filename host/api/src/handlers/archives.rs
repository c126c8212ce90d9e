//! `/archives`: chart archives by digest.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use optikon_core::words::Caller;
use serde_json::json;

use super::upload;
use crate::{negotiate::reply_json, problem::Problem, state::Gateway};

/// Every kept archive.
#[utoipa::path(get, path = "/archives", tag = "charts",
    responses((status = 200, description = "items", body = Object)))]
pub(crate) async fn list(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let items = gateway.charts.archives().await?;
    reply_json(StatusCode::OK, &json!({ "items": items }))
}

/// Checks an archive (the raw body, or the part `chart` of multipart/form-data, beside its `prov`) in a
/// sandbox and keeps it; the same bytes again change nothing.
#[utoipa::path(post, path = "/archives", tag = "charts",
    request_body(content = Vec<u8>, content_type = "application/gzip"),
    responses((status = 201, description = "Kept; Location names it", body = Object),
        (status = 413, description = "More than 32 MiB"), (status = 422, description = "No chart archive")))]
pub(crate) async fn create(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (bytes, prov) = upload::archive(&headers, body).await?;
    let info = gateway.charts.keep_archive(&caller, bytes, prov).await?;
    let mut response = reply_json(StatusCode::CREATED, &info)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/archives/{}", info.digest)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// One archive's description.
#[utoipa::path(get, path = "/archives/{digest}", tag = "charts", params(("digest" = String, Path)),
    responses((status = 200, description = "Digest, size, chart", body = Object)))]
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    reply_json(StatusCode::OK, &gateway.charts.archive(&digest).await?)
}

/// Erases an archive that no running operation needs.
#[utoipa::path(delete, path = "/archives/{digest}", tag = "charts", params(("digest" = String, Path)),
    responses((status = 200, description = "Erased", body = Object), (status = 409, description = "In use")))]
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Path(digest): Path<String>,
) -> Result<Response, Problem> {
    gateway.charts.erase_archive(&digest).await?;
    reply_json(
        StatusCode::OK,
        &json!({ "digest": digest, "deleted": true }),
    )
}

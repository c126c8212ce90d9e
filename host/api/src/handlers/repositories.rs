//! `/repositories`: where charts are fetched from.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use optikon_core::words::Caller;
use serde_json::json;

use crate::{
    negotiate::{self, reply_json},
    problem::Problem,
    state::Gateway,
};

type Answer = Result<Response, Problem>;

/// A CA bundle is the largest part.
const MAX_BODY: usize = 1 << 20;

/// Every repository, by name; secrets are not in it.
#[utoipa::path(get, path = "/repositories", tag = "charts",
    responses((status = 200, description = "items", body = Object)))]
pub(crate) async fn list(State(gateway): State<Gateway>) -> Answer {
    let items = gateway.charts.repositories().await?;
    reply_json(StatusCode::OK, &json!({ "items": items }))
}

/// One repository; its secret is not in it.
#[utoipa::path(get, path = "/repositories/{name}", tag = "charts", params(("name" = String, Path)),
    responses((status = 200, description = "name, url, type, credential (none, basic, token), username, ca, tokenHosts", body = Object)))]
pub(crate) async fn read(State(gateway): State<Gateway>, Path(name): Path<String>) -> Answer {
    reply_json(StatusCode::OK, &gateway.charts.repository(&name).await?)
}

/// Writes a repository down, new or changed: `{url, ca, username + password | token, tokenHosts}`. A
/// credential that is not given again stays, as long as the host is the same; `credential: "none"`
/// drops it.
#[utoipa::path(put, path = "/repositories/{name}", tag = "charts", params(("name" = String, Path)),
    request_body = Object,
    responses((status = 200, description = "As it is now, without its secret", body = Object),
        (status = 422, description = "Every wrong field")))]
pub(crate) async fn put(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let bytes = negotiate::body(body, MAX_BODY).await?;
    let body = negotiate::document(&headers, &bytes)?;
    let kept = gateway.charts.put_repository(&caller, &name, body).await?;
    reply_json(StatusCode::OK, &kept)
}

/// Forgets a repository and its credential; archives that came from it stay.
#[utoipa::path(delete, path = "/repositories/{name}", tag = "charts", params(("name" = String, Path)),
    responses((status = 200, description = "As it was", body = Object)))]
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer {
    let gone = gateway.charts.delete_repository(&caller, &name).await?;
    reply_json(StatusCode::OK, &gone)
}

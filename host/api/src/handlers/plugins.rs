//! `/plugins`: slots and plugin files, read only.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use optikon_core::Error;
use serde_json::json;

use crate::{negotiate::reply_json, problem::Problem, state::Gateway};

/// Every slot: what fills it, its grants, limits and calls.
#[utoipa::path(get, path = "/plugins", tag = "plugins",
    responses((status = 200, description = "items", body = Object)))]
pub(crate) async fn slots(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    reply_json(StatusCode::OK, &json!({ "items": gateway.plugins.slots() }))
}

/// Every file in the plugins folder, with what keeps it from being loaded.
#[utoipa::path(get, path = "/plugins/available", tag = "plugins",
    responses((status = 200, description = "items", body = Object)))]
pub(crate) async fn available(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let items = gateway.plugins.available().await?;
    reply_json(StatusCode::OK, &json!({ "items": items }))
}

/// One slot.
#[utoipa::path(get, path = "/plugins/{slot}", tag = "plugins", params(("slot" = String, Path)),
    responses((status = 200, description = "The slot", body = Object)))]
pub(crate) async fn slot(
    State(gateway): State<Gateway>,
    Path(slot): Path<String>,
) -> Result<Response, Problem> {
    let found = gateway
        .plugins
        .slots()
        .into_iter()
        .find(|s| s.slot.as_str() == slot);
    let shown: String = slot.escape_debug().take(64).collect();
    reply_json(
        StatusCode::OK,
        &found.ok_or_else(|| Error::not_found("slot", shown))?,
    )
}

//! `/plugins`: slots, plugin files, and swaps.

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use optikon_core::{
    Error,
    flows::swap::SwapRequest,
    words::{Caller, SlotName},
};
use serde_json::{Value, json};

use super::charts;
use crate::{
    negotiate::{self, reply_json},
    problem::Problem,
    state::Gateway,
};

/// A configuration and a kubeconfig's parts.
const MAX_BODY: usize = 1 << 20;

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

fn name_of(text: &str) -> Result<SlotName, Problem> {
    let shown: String = text.escape_debug().take(64).collect();
    text.parse()
        .map_err(|_| Error::not_found("slot", shown).into())
}

/// One slot, and what filled it before.
#[utoipa::path(get, path = "/plugins/{slot}", tag = "plugins", params(("slot" = String, Path)),
    responses((status = 200, description = "The slot, and under previous what filled it before, newest first", body = Object)))]
pub(crate) async fn slot(
    State(gateway): State<Gateway>,
    Path(slot): Path<String>,
) -> Result<Response, Problem> {
    let slot = name_of(&slot)?;
    let found = gateway.plugins.slots().into_iter().find(|s| s.slot == slot);
    let found = found.ok_or_else(|| Error::not_found("slot", &slot))?;
    let mut shown = serde_json::to_value(&found).map_err(|e| Error::Internal(e.to_string()))?;
    if let Value::Object(fields) = &mut shown {
        let previous = gateway.swaps.history(&slot).await?;
        fields.insert("previous".into(), previous.into());
    }
    reply_json(StatusCode::OK, &shown)
}

/// Lets another plugin fill a slot while everything runs, as an operation of kind swap.
#[utoipa::path(put, path = "/plugins/{slot}", tag = "plugins", request_body = Object,
    params(("slot" = String, Path), ("wait" = Option<bool>, Query, description = "Answers when the operation is over")),
    responses((status = 202, description = "Accepted; Location names the operation", body = Object),
        (status = 409, description = "Another swap is under way, or the configuration file decides"),
        (status = 422, description = "What keeps the plugin from being loaded, or what it asks for beyond the grants")))]
pub(crate) async fn swap(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(slot): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wait = charts::wait(query.as_deref())?;
    let bytes = negotiate::body(body, MAX_BODY).await?;
    let request = SwapRequest::read(negotiate::document(&headers, &bytes)?)?;
    let operation = gateway
        .swaps
        .swap(&caller, &name_of(&slot)?, &request)
        .await?;
    charts::accepted(&gateway.charts, &caller, operation, wait, &headers).await
}

/// Whether a swap could be done: loads and tries the plugin, changes nothing.
#[utoipa::path(post, path = "/plugins/{slot}/check", tag = "plugins", request_body = Object,
    params(("slot" = String, Path)),
    responses((status = 200, description = "It can serve", body = Object),
        (status = 422, description = "What keeps it from being loaded or granted"),
        (status = 503, description = "What it stands on does not answer")))]
pub(crate) async fn check(
    State(gateway): State<Gateway>,
    Path(slot): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = negotiate::body(body, MAX_BODY).await?;
    let request = SwapRequest::read(negotiate::document(&headers, &bytes)?)?;
    let checked = gateway.swaps.check(&name_of(&slot)?, &request).await?;
    reply_json(StatusCode::OK, &checked)
}

/// Lets the plugin before fill a slot again, as an operation of kind swap.
#[utoipa::path(post, path = "/plugins/{slot}/rollback", tag = "plugins",
    params(("slot" = String, Path), ("wait" = Option<bool>, Query)),
    responses((status = 202, description = "Accepted; Location names the operation", body = Object),
        (status = 409, description = "Nothing filled the slot before, or another swap is under way")))]
pub(crate) async fn rollback(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(slot): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wait = charts::wait(query.as_deref())?;
    let operation = gateway.swaps.rollback(&caller, &name_of(&slot)?).await?;
    charts::accepted(&gateway.charts, &caller, operation, wait, &headers).await
}

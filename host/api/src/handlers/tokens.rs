//! `/tokens`: for admins.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use optikon_core::{
    Error,
    words::{Caller, Role},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    negotiate::{self, reply_json},
    problem::Problem,
    state::Gateway,
};

/// Bodies here are small.
const MAX_BODY: usize = 64 * 1024;

/// What a new token is to be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewToken {
    /// `viewer`, `operator` or `admin`.
    #[schema(value_type = String)]
    role: Role,
    /// Clusters it may know of; empty = all.
    #[serde(default)]
    selector: String,
    /// For people, at most 256 bytes.
    #[serde(default)]
    description: String,
    /// Seconds until it ends; absent = never.
    #[serde(default)]
    expires_in_seconds: Option<u64>,
}

/// Every token that is not revoked, without the tokens themselves.
#[utoipa::path(get, path = "/tokens", tag = "access",
    responses((status = 200, description = "items", body = Object)))]
pub(crate) async fn list(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let items: Vec<Value> = gateway
        .tokens
        .list()
        .iter()
        .map(shown)
        .collect::<Result<_, _>>()?;
    reply_json(StatusCode::OK, &json!({ "items": items }))
}

fn shown(record: &optikon_core::flows::access::TokenRecord) -> Result<Value, Problem> {
    let mut value = serde_json::to_value(record).map_err(|e| Error::Internal(e.to_string()))?;
    if let Value::Object(map) = &mut value {
        map.remove("digest");
        map.remove("expiresMs");
    }
    Ok(value)
}

/// Makes a token. It is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "access", request_body = NewToken,
    responses((status = 201, description = "The record, and the token itself", body = Object)))]
pub(crate) async fn create(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let bytes = negotiate::body(body, MAX_BODY).await?;
    let value = negotiate::document(&headers, &bytes)?;
    let wanted: NewToken =
        serde_json::from_value(value).map_err(|e| Error::invalid("", e.to_string()))?;
    let lifetime = wanted.expires_in_seconds.map(Duration::from_secs);
    let made = gateway.tokens.create(
        &caller,
        wanted.role,
        &wanted.selector,
        &wanted.description,
        lifetime,
    );
    let (record, token) = made.await?;
    let mut value = shown(&record)?;
    if let Value::Object(map) = &mut value {
        map.insert("token".into(), token.expose().as_str().into());
    }
    reply_json(StatusCode::CREATED, &value)
}

/// Ends a token at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "access", params(("id" = String, Path)),
    responses((status = 200, description = "Ended", body = Object),
        (status = 409, description = "It is the last one of role admin")))]
pub(crate) async fn revoke(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    gateway.tokens.revoke(&caller, &id).await?;
    reply_json(StatusCode::OK, &json!({ "id": id, "revoked": true }))
}

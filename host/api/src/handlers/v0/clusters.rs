//! `/v0/clusters`.

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use optikon_core::{
    Error,
    flows::{clusters::WriteOptions, mirror::Entry, v0},
    words::{Caller, ClusterName},
};
use serde_json::Value;

use super::{Answer, empty, json_bytes};
use crate::{
    negotiate::{self, MAX_CLUSTER_BODY},
    problem::Problem,
    state::Gateway,
};

fn name_of(text: &str) -> Result<ClusterName, Problem> {
    let shown: String = text.escape_debug().take(256).collect();
    text.parse()
        .map_err(|_| Error::not_found("cluster", shown).into())
}

fn find(gateway: &Gateway, caller: &Caller, id: &str) -> Result<std::sync::Arc<Entry>, Problem> {
    let name = name_of(id)?;
    let entry = gateway.clusters.mirror().get(&name);
    let entry = entry.filter(|entry| entry.is_selected_by(&caller.selector));
    entry.ok_or_else(|| Error::not_found("cluster", name).into())
}

fn shown(value: &Value) -> Response {
    json_bytes(StatusCode::OK, value.to_string())
}

async fn body_of(headers: &HeaderMap, body: Body) -> Result<Value, Problem> {
    let kind = negotiate::media_type(headers);
    if kind != "application/json" {
        let message = format!(
            "unsupported media type \"{}\", only [application/json] are allowed",
            kind.escape_debug()
        );
        return Err(Error::Unsupported(message).into());
    }
    negotiate::json(&negotiate::body(body, MAX_CLUSTER_BODY).await?)
}

/// Every cluster, as a bare list.
#[utoipa::path(get, path = "/v0/clusters", tag = "v0",
    responses((status = 200, description = "A bare list", body = Object)))]
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let (all, _) = gateway.clusters.mirror().all();
    let visible = all.iter().filter(|e| e.is_selected_by(&caller.selector));
    Ok(shown(&visible.map(|entry| v0::cluster(entry)).collect()))
}

/// One cluster.
#[utoipa::path(get, path = "/v0/clusters/{id}", tag = "v0", params(("id" = String, Path)),
    responses((status = 200, description = "The cluster", body = Object), (status = 404, description = "No such cluster")))]
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let entry = find(&gateway, &caller, &id)?;
    Ok(shown(&v0::cluster(&entry)))
}

/// Registers a cluster, its connection in the annotations `APIServer` and `Conf`.
#[utoipa::path(post, path = "/v0/clusters", tag = "v0", request_body = Object,
    responses((status = 201, description = "Registered; an empty body"), (status = 409, description = "The name is taken")))]
pub(crate) async fn create(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let object = v0::draft(&body_of(&headers, body).await?, None)?;
    let options = WriteOptions::default();
    gateway.clusters.create(&caller, object, &options).await?;
    Ok(empty(StatusCode::CREATED))
}

/// Replaces a cluster; without a `Conf` the present connection stays.
#[utoipa::path(put, path = "/v0/clusters/{id}", tag = "v0", params(("id" = String, Path)), request_body = Object,
    responses((status = 200, description = "Replaced; an empty body"), (status = 404, description = "No such cluster")))]
pub(crate) async fn replace(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let body = body_of(&headers, body).await?;
    let entry = find(&gateway, &caller, &id)?;
    let object = v0::draft(&body, Some(&entry))?;
    let named = object.pointer("/metadata/name").and_then(Value::as_str);
    if named != Some(id.as_str()) {
        let message = "the body names another cluster than the path";
        return Err(Error::Malformed(message.into()).into());
    }
    let (name, options) = (name_of(&id)?, WriteOptions::default());
    gateway
        .clusters
        .replace(&caller, &name, object, &options)
        .await?;
    Ok(empty(StatusCode::OK))
}

/// Forgets a cluster.
#[utoipa::path(delete, path = "/v0/clusters/{id}", tag = "v0", params(("id" = String, Path)),
    responses((status = 200, description = "Forgotten; an empty body"), (status = 404, description = "No such cluster")))]
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let (name, options) = (name_of(&id)?, WriteOptions::default());
    gateway
        .clusters
        .delete(&caller, &name, &options, None)
        .await?;
    Ok(empty(StatusCode::OK))
}

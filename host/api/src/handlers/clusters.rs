//! `/cluster/{name}` and its parts.

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use optikon_core::{
    Error,
    flows::{
        clusters::{Patch, Source},
        mirror::Entry,
        view::{self, Detail},
    },
    words::{Caller, ClusterName},
};
use serde_json::{Value, json};

use super::query::Parameters;
use crate::{
    negotiate::{self, MAX_CLUSTER_BODY, reply, reply_json, tagged},
    problem::Problem,
    state::Gateway,
};

type Answer = Result<Response, Problem>;

/// A name in a path; one that cannot exist is not found.
fn name_of(text: &str) -> Result<ClusterName, Problem> {
    let shown: String = text.escape_debug().take(256).collect();
    text.parse()
        .map_err(|_| Error::not_found("cluster", shown).into())
}

fn json_only(headers: &HeaderMap) -> Result<(), Problem> {
    if negotiate::accepts(headers, "application/json") {
        Ok(())
    } else {
        Err(Problem::not_acceptable("application/json"))
    }
}

/// One cluster. Live by default: the member itself is asked, within `deadline`; a member that does
/// not answer is shown with its reason and what was last known of it.
#[utoipa::path(get, path = "/cluster/{name}", tag = "clusters",
    params(("name" = String, Path, description = "The cluster's name"),
        ("probe" = Option<String>, Query, description = "live (default), cached or none"),
        ("deadline" = Option<String>, Query, description = "1s to 30s, default 8s")),
    responses((status = 200, description = "The cluster", body = Object),
        (status = 404, description = "No such cluster, or not for this caller")))]
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    json_only(&headers)?;
    let name = name_of(&name)?;
    let mut parameters = Parameters::read(query.as_deref())?;
    let source = parameters.source("live");
    parameters.finish()?;
    let is_fresh = negotiate::is_fresh(&headers);
    if source == Source::Cached {
        let (entry, bytes) = gateway.clusters.rendered(&caller, &name, is_fresh).await?;
        if negotiate::is_unchanged(&headers, entry.version) {
            return Ok(tagged(
                reply(StatusCode::NOT_MODIFIED, Bytes::new()),
                entry.version,
            ));
        }
        return Ok(tagged(reply(StatusCode::OK, bytes), entry.version));
    }
    let (object, version) = gateway
        .clusters
        .get(&caller, &name, source, is_fresh)
        .await?;
    Ok(tagged(reply_json(StatusCode::OK, &object)?, version))
}

async fn part(
    gateway: &Gateway,
    caller: &Caller,
    name: &str,
    query: Option<&str>,
    part: &str,
) -> Answer {
    let name = name_of(name)?;
    let mut parameters = Parameters::read(query)?;
    let deadline = parameters.deadline();
    parameters.finish()?;
    let value = gateway.clusters.part(caller, &name, part, deadline).await?;
    reply_json(StatusCode::OK, &value)
}

/// The live status of one cluster.
#[utoipa::path(get, path = "/cluster/{name}/status", tag = "clusters",
    params(("name" = String, Path), ("deadline" = Option<String>, Query)),
    responses((status = 200, description = "Conditions, version, nodes, workloads", body = Object)))]
pub(crate) async fn status(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    part(&gateway, &caller, &name, query.as_deref(), "status").await
}

/// The nodes of one cluster; the last known ones, with their time, when the member is silent.
#[utoipa::path(get, path = "/cluster/{name}/nodes", tag = "clusters",
    params(("name" = String, Path), ("deadline" = Option<String>, Query)),
    responses((status = 200, description = "items, observedAt, reason", body = Object)))]
pub(crate) async fn nodes(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    part(&gateway, &caller, &name, query.as_deref(), "nodes").await
}

/// The workloads of one cluster; the last known ones, with their time, when the member is silent.
#[utoipa::path(get, path = "/cluster/{name}/workloads", tag = "clusters",
    params(("name" = String, Path), ("deadline" = Option<String>, Query)),
    responses((status = 200, description = "items, observedAt, reason", body = Object)))]
pub(crate) async fn workloads(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    part(&gateway, &caller, &name, query.as_deref(), "workloads").await
}

/// Registers a cluster: short form, v0.0.6 or v0.0.3 object, JSON or YAML, at most 3 MiB.
#[utoipa::path(post, path = "/cluster", tag = "clusters", request_body = Object,
    params(("dryRun" = Option<String>, Query, description = "All: checks everything, writes nothing")),
    responses((status = 201, description = "Registered; Location names it", body = Object),
        (status = 409, description = "A cluster of this name exists"),
        (status = 422, description = "Every wrong field, by name")))]
pub(crate) async fn create(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    json_only(&headers)?;
    let mut parameters = Parameters::read(query.as_deref())?;
    let options = parameters.write_options(None);
    parameters.finish()?;
    let bytes = negotiate::body(body, MAX_CLUSTER_BODY).await?;
    let value = negotiate::document(&headers, &bytes)?;
    let entry = gateway.clusters.create(&caller, value, &options).await?;
    let mut response = written(&entry, StatusCode::CREATED)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/cluster/{}", entry.cluster.name())) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn written(entry: &Entry, status: StatusCode) -> Answer {
    let object = view::object(entry, Detail::Whole);
    Ok(tagged(reply_json(status, &object)?, entry.version))
}

/// Replaces a cluster. Without a new credential the present one stays, bound to the addresses it
/// was given for.
#[utoipa::path(put, path = "/cluster/{name}", tag = "clusters", request_body = Object,
    params(("name" = String, Path), ("dryRun" = Option<String>, Query)),
    responses((status = 200, description = "As stored", body = Object),
        (status = 409, description = "Stale resourceVersion or another uid"),
        (status = 412, description = "If-Match does not hold")))]
pub(crate) async fn replace(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    json_only(&headers)?;
    let name = name_of(&name)?;
    let mut parameters = Parameters::read(query.as_deref())?;
    let options = parameters.write_options(negotiate::tag(&headers, &header::IF_MATCH));
    parameters.finish()?;
    let bytes = negotiate::body(body, MAX_CLUSTER_BODY).await?;
    let value = negotiate::document(&headers, &bytes)?;
    let entry = gateway
        .clusters
        .replace(&caller, &name, value, &options)
        .await?;
    written(&entry, StatusCode::OK)
}

/// Changes part of a cluster: `application/merge-patch+json` or `application/json-patch+json`.
#[utoipa::path(patch, path = "/cluster/{name}", tag = "clusters", request_body = Object,
    params(("name" = String, Path), ("dryRun" = Option<String>, Query)),
    responses((status = 200, description = "As stored", body = Object),
        (status = 415, description = "Another kind of patch")))]
pub(crate) async fn patch(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    json_only(&headers)?;
    let name = name_of(&name)?;
    let mut parameters = Parameters::read(query.as_deref())?;
    let options = parameters.write_options(negotiate::tag(&headers, &header::IF_MATCH));
    parameters.finish()?;
    let patch = patch_of(&headers, body).await?;
    let entry = gateway
        .clusters
        .patch(&caller, &name, &patch, &options)
        .await?;
    written(&entry, StatusCode::OK)
}

async fn patch_of(headers: &HeaderMap, body: Body) -> Result<Patch, Problem> {
    let kind = negotiate::media_type(headers);
    if !matches!(
        kind.as_str(),
        "application/merge-patch+json" | "application/json-patch+json"
    ) {
        return Err(Error::Unsupported(
            "send application/merge-patch+json or application/json-patch+json".into(),
        )
        .into());
    }
    let value = negotiate::json(&negotiate::body(body, MAX_CLUSTER_BODY).await?)?;
    if kind == "application/merge-patch+json" {
        return Ok(Patch::Merge(value));
    }
    let patch = serde_json::from_value(value)
        .map_err(|_| Error::Malformed("the body is no JSON Patch (RFC 6902)".into()))?;
    Ok(Patch::Json(patch))
}

/// Forgets a cluster. The cluster itself and its releases are left alone.
#[utoipa::path(delete, path = "/cluster/{name}", tag = "clusters",
    params(("name" = String, Path), ("dryRun" = Option<String>, Query),
        ("uid" = Option<String>, Query, description = "Precondition"),
        ("resourceVersion" = Option<String>, Query, description = "Precondition")),
    responses((status = 200, description = "The uid of what was forgotten", body = Object)))]
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    json_only(&headers)?;
    let name = name_of(&name)?;
    let mut parameters = Parameters::read(query.as_deref())?;
    let mut options = parameters.write_options(negotiate::tag(&headers, &header::IF_MATCH));
    let mut version = parameters.text("resourceVersion");
    parameters.finish()?;
    // Kubernetes' clients send DeleteOptions; only the preconditions in them count.
    let bytes = negotiate::body(body, MAX_CLUSTER_BODY).await?;
    if let Ok(Value::Object(sent)) = serde_json::from_slice(&bytes)
        && let Some(preconditions) = sent.get("preconditions")
    {
        let text = |key: &str| {
            preconditions
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        options.uid = options.uid.or_else(|| text("uid"));
        version = version.or_else(|| text("resourceVersion"));
    }
    let entry = gateway
        .clusters
        .delete(&caller, &name, &options, version.as_deref())
        .await?;
    let gone = json!({ "name": entry.cluster.name(), "uid": entry.uid, "deleted": true });
    reply_json(StatusCode::OK, &gone)
}

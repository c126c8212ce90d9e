//! `/v0/releases`: operations of `/charts`, waited for.

use std::collections::BTreeMap;

use axum::{
    Extension,
    body::Bytes,
    extract::{Multipart, Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};
use optikon_core::{
    flows::charts::{ActionRequest, ChartsRequest, ReleaseQuery, Selection},
    words::{Caller, Operation, OperationKind, Role, TargetState},
};
use serde_json::{Value, json};

use super::{
    Answer, empty, failure, form, json_bytes,
    shared::{Listed, Shared},
    with_errors,
};
use crate::{handlers::query::Parameters, problem::Problem, state::Gateway};

/// An archive, packed, and the fields beside it.
pub(crate) const MAX_FORM: usize = (32 << 20) + (64 << 10);
/// A form has three fields; more are not looked at.
const MAX_FIELDS: usize = 16;
const MAX_FIELD: usize = 1 << 10;

fn labels(query: Option<&str>) -> Result<String, Problem> {
    let mut parameters = Parameters::read(query)?;
    // Others are ignored, as the original did: its page adds one against caches.
    Ok(parameters.text("labels").unwrap_or_default())
}

fn targets(labels: &str) -> Value {
    json!({ "selector": labels, "all": labels.is_empty() })
}

fn errors_of(answer: &Value) -> Vec<(String, String)> {
    let errors = answer.get("errors").and_then(Value::as_array);
    let text = |error: &Value, key: &str| {
        let text = error.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let errors = errors.into_iter().flatten();
    errors
        .map(|e| (text(e, "cluster"), text(e, "reason")))
        .collect()
}

fn items_of(answer: &Value) -> impl Iterator<Item = &Value> {
    let items = answer.get("items").and_then(Value::as_array);
    items.into_iter().flatten()
}

/// Releases on the clusters that `labels` selects, as a bare list. Answers no older than two seconds are shared.
#[utoipa::path(get, path = "/v0/releases", tag = "v0",
    params(("labels" = Option<String>, Query, description = "A selector of clusters; absent = all")),
    responses((status = 200, description = "A bare list; x-optikon-errors names clusters that are missing", body = Object)))]
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(shared): Extension<Shared>,
    RawQuery(query): RawQuery,
) -> Answer {
    let labels = labels(query.as_deref())?;
    let is_whole = sees_all(&caller);
    let key = format!("{is_whole} {:?}\n{labels}", caller.selector);
    let selection = selection(&labels);
    let look = async {
        let answer = gateway
            .charts
            .records(&caller, &selection, "", is_whole)
            .await?;
        let shown = items_of(&answer).filter_map(shown);
        Ok::<_, Problem>(Listed {
            body: Bytes::from(Value::Array(shown.collect()).to_string()),
            errors: errors_of(&answer),
        })
    };
    let listed = shared.list(key, look).await?;
    let response = json_bytes(StatusCode::OK, listed.body);
    Ok(with_errors(response, &listed.errors))
}

/// As on /charts: values, manifests and hooks may hold secrets.
fn sees_all(caller: &Caller) -> bool {
    caller.role >= Role::Operator
}

fn shown(row: &Value) -> Option<Value> {
    row.get("release").cloned()
}

fn selection(labels: &str) -> Selection {
    Selection {
        names: Vec::new(),
        selector: labels.to_owned(),
    }
}

/// The namespaces that a release of this name is in, with the clusters of each. Tiller's names have no namespace.
async fn whereabouts(
    gateway: &Gateway,
    caller: &Caller,
    labels: &str,
    id: &str,
) -> Result<(BTreeMap<String, Vec<String>>, Vec<(String, String)>), Problem> {
    let query = ReleaseQuery {
        selection: selection(labels),
        namespace: None,
        filter: id.to_owned(),
    };
    let answer = gateway.charts.releases(caller, &query).await?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in items_of(&answer) {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("name") == id {
            let clusters = found.entry(text("namespace").to_owned()).or_default();
            clusters.push(text("cluster").to_owned());
        }
    }
    Ok((found, errors_of(&answer)))
}

fn unknown(id: &str, errors: &[(String, String)]) -> Response {
    let shown: String = id.escape_debug().take(256).collect();
    let response = failure(
        StatusCode::NOT_FOUND,
        &format!("release \"{shown}\" not found"),
    );
    with_errors(response, errors)
}

/// One release whole, from the first cluster that has it.
#[utoipa::path(get, path = "/v0/releases/{id}", tag = "v0",
    params(("id" = String, Path), ("labels" = Option<String>, Query)),
    responses((status = 200, description = "The release", body = Object), (status = 404, description = "No such release")))]
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let labels = labels(query.as_deref())?;
    let (found, errors) = whereabouts(&gateway, &caller, &labels, &id).await?;
    let Some(first) = found.into_values().flatten().min() else {
        return Ok(unknown(&id, &errors));
    };
    let there = Selection {
        names: vec![first],
        selector: String::new(),
    };
    let is_whole = sees_all(&caller);
    let answer = gateway
        .charts
        .records(&caller, &there, &id, is_whole)
        .await?;
    let Some(shown) = items_of(&answer).find_map(shown) else {
        return Ok(unknown(&id, &errors_of(&answer)));
    };
    let response = json_bytes(StatusCode::OK, shown.to_string());
    Ok(with_errors(response, &errors))
}

/// A form, or why there is none.
type Given = Result<Multipart, axum::extract::multipart::MultipartRejection>;

/// What came in a form.
#[derive(Default)]
struct Form {
    chart: Option<Bytes>,
    name: Option<String>,
    namespace: Option<String>,
}

async fn form_of(multipart: Given) -> Result<Form, Response> {
    let broken = || {
        failure(
            StatusCode::BAD_REQUEST,
            "the form is broken or larger than 32 MiB",
        )
    };
    let mut multipart = multipart.map_err(|_| {
        let message = "unsupported media type, only [multipart/form-data] are allowed";
        failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    })?;
    let mut form = Form::default();
    for _ in 0..MAX_FIELDS {
        let Some(field) = multipart.next_field().await.map_err(|_| broken())? else {
            return Ok(form);
        };
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(|_| broken())?;
        match name.as_str() {
            "chartTar" => form.chart = Some(bytes),
            "name" | "namespace" => {
                let text = String::from_utf8(bytes.to_vec()).ok();
                let text = text.filter(|text| !text.is_empty() && text.len() <= MAX_FIELD);
                if name == "name" {
                    form.name = text;
                } else {
                    form.namespace = text;
                }
            }
            _ => {}
        }
    }
    Ok(form)
}

fn required(field: &str) -> Response {
    let message = format!("{field} in formData is required");
    form(StatusCode::UNPROCESSABLE_ENTITY, "602", &message)
}

fn no_file() -> Response {
    let message = "reading file \"chartTar\" failed: http: no such file";
    failure(StatusCode::BAD_REQUEST, message)
}

/// Installs a release on the selected clusters, and waits for the end.
#[utoipa::path(post, path = "/v0/releases", tag = "v0", params(("labels" = Option<String>, Query)),
    request_body(content = Object, content_type = "multipart/form-data", description = "chartTar, name, namespace"),
    responses((status = 201, description = "Installed; an empty body, x-optikon-errors names clusters where it failed"),
        (status = 422, description = "A field is missing or wrong")))]
pub(crate) async fn create(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(shared): Extension<Shared>,
    RawQuery(query): RawQuery,
    multipart: Given,
) -> Answer {
    let labels = labels(query.as_deref())?;
    let form = match form_of(multipart).await {
        Ok(form) => form,
        Err(response) => return Ok(response),
    };
    let Some(chart) = form.chart else {
        return Ok(no_file());
    };
    let Some(name) = form.name else {
        return Ok(required("name"));
    };
    let Some(namespace) = form.namespace else {
        return Ok(required("namespace"));
    };
    let archive = gateway.charts.keep_archive(&caller, chart, None).await?;
    let request = ChartsRequest::read(json!({
        "chart": { "digest": archive.digest },
        "release": { "name": name, "namespace": namespace },
        "targets": targets(&labels),
        "options": { "createNamespace": true },
        "strategy": { "onFailure": "continue" },
    }))?;
    let operation = gateway.charts.apply(&caller, request, false, None).await?;
    let operation = finished(&gateway, &caller, operation).await?;
    shared.forget();
    Ok(ended(StatusCode::CREATED, &[operation], Vec::new()))
}

/// Upgrades a release wherever it is among the selected clusters, and waits for the end.
#[utoipa::path(put, path = "/v0/releases/{id}", tag = "v0",
    params(("id" = String, Path), ("labels" = Option<String>, Query)),
    request_body(content = Object, content_type = "multipart/form-data", description = "chartTar"),
    responses((status = 200, description = "Upgraded; an empty body"), (status = 404, description = "No such release")))]
pub(crate) async fn replace(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(shared): Extension<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    multipart: Given,
) -> Answer {
    let labels = labels(query.as_deref())?;
    let form = match form_of(multipart).await {
        Ok(form) => form,
        Err(response) => return Ok(response),
    };
    let Some(chart) = form.chart else {
        return Ok(no_file());
    };
    let (found, errors) = whereabouts(&gateway, &caller, &labels, &id).await?;
    if found.is_empty() {
        return Ok(unknown(&id, &errors));
    }
    let archive = gateway.charts.keep_archive(&caller, chart, None).await?;
    let mut operations = Vec::new();
    for (namespace, clusters) in found {
        let request = ChartsRequest::read(json!({
            "chart": { "digest": archive.digest },
            "release": { "name": id, "namespace": namespace },
            "targets": { "names": clusters },
            "strategy": { "onFailure": "continue" },
        }))?;
        let operation = gateway.charts.apply(&caller, request, true, None).await?;
        operations.push(finished(&gateway, &caller, operation).await?);
    }
    shared.forget();
    Ok(ended(StatusCode::OK, &operations, errors))
}

/// Removes a release, with its history, from the selected clusters, and waits for the end.
#[utoipa::path(delete, path = "/v0/releases/{id}", tag = "v0",
    params(("id" = String, Path), ("labels" = Option<String>, Query)),
    responses((status = 200, description = "Removed; an empty body"), (status = 404, description = "No such release")))]
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(shared): Extension<Shared>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let labels = labels(query.as_deref())?;
    let (found, errors) = whereabouts(&gateway, &caller, &labels, &id).await?;
    if found.is_empty() {
        return Ok(unknown(&id, &errors));
    }
    let mut operations = Vec::new();
    for (namespace, clusters) in found {
        let value = json!({
            "namespace": namespace, "targets": { "names": clusters },
            "strategy": { "onFailure": "continue" },
        });
        let request = ActionRequest::read(value, &id)?;
        let kind = OperationKind::Uninstall;
        let operation = gateway
            .charts
            .act(&caller, kind, &id, request, None)
            .await?;
        operations.push(finished(&gateway, &caller, operation).await?);
    }
    shared.forget();
    Ok(ended(StatusCode::OK, &operations, errors))
}

/// The operation when it is over.
async fn finished(
    gateway: &Gateway,
    caller: &Caller,
    operation: Operation,
) -> Result<Operation, Problem> {
    let (mut seen, id) = (0, operation.id);
    while let Some(last) = gateway.charts.events(caller, &id, seen, true).await?.last() {
        seen = last.number;
    }
    Ok(gateway.charts.operation(caller, &id).await?)
}

/// The original's code when something was done, with what failed in the header; else the first failure's.
fn ended(
    status: StatusCode,
    operations: &[Operation],
    mut errors: Vec<(String, String)>,
) -> Response {
    let targets = || operations.iter().flat_map(|operation| &operation.targets);
    let is_good = |state| matches!(state, TargetState::Succeeded | TargetState::Unchanged);
    let mut first = None;
    for target in targets().filter(|target| !is_good(target.state)) {
        let reason = target.reason.clone().unwrap_or_else(|| "Skipped".into());
        let message = target.message.clone().unwrap_or_default();
        first.get_or_insert((reason.clone(), format!("{}: {message}", target.cluster)));
        errors.push((target.cluster.to_string(), reason));
    }
    let response = match first {
        Some((reason, message)) if !targets().any(|target| is_good(target.state)) => {
            let status = match reason.as_str() {
                "Invalid" => StatusCode::UNPROCESSABLE_ENTITY,
                "NotFound" => StatusCode::NOT_FOUND,
                "AlreadyExists" | "Conflict" | "ReleaseLocked" => StatusCode::CONFLICT,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            failure(status, &message)
        }
        _ => empty(status),
    };
    with_errors(response, &errors)
}

//! `/charts`: releases on any number of clusters.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use optikon_core::{
    Error,
    flows::charts::{
        ActionRequest, ChartFlows, ChartsRequest, Once, ReleaseQuery, Selection, request::DryRun,
    },
    words::{Caller, Operation, OperationKind},
};
use serde_json::{Value, json};

use super::{operations, query::Parameters, upload};
use crate::{
    negotiate::{self, reply_json},
    problem::Problem,
    state::Gateway,
};

type Answer = Result<Response, Problem>;

/// Values may be long, archives are sent apart.
const MAX_BODY: usize = 3 << 20;
/// `wait=true` answers after this at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

fn selection(parameters: &mut Parameters) -> Selection {
    let names = parameters
        .text("clusters")
        .or_else(|| parameters.text("cluster"));
    let names = names.map(|n| n.split(',').map(|n| n.trim().to_owned()).collect());
    let selector = parameters.text("labelSelector").unwrap_or_default();
    Selection {
        names: names.unwrap_or_default(),
        selector,
    }
}

/// Releases over clusters; a cluster that does not answer is a row under `errors`.
#[utoipa::path(get, path = "/charts", tag = "charts",
    params(("clusters" = Option<String>, Query, description = "Names, comma-separated; absent = all"),
        ("labelSelector" = Option<String>, Query), ("namespace" = Option<String>, Query, description = "Absent = all"),
        ("filter" = Option<String>, Query, description = "Part of a release's name")),
    responses((status = 200, description = "items and errors", body = Object)))]
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let mut parameters = Parameters::read(query.as_deref())?;
    let selection = selection(&mut parameters);
    let namespace = parameters.text("namespace");
    let filter = parameters.text("filter").unwrap_or_default();
    parameters.flag("all");
    parameters.finish()?;
    let query = ReleaseQuery {
        selection,
        namespace,
        filter,
    };
    reply_json(
        StatusCode::OK,
        &gateway.charts.releases(&caller, &query).await?,
    )
}

/// Installs a release on the selected clusters, as an operation; with `dryRun`, says what that would do.
/// The chart may come with the request, as multipart/form-data with the parts `request` and `chart`.
#[utoipa::path(post, path = "/charts", tag = "charts", request_body = Object,
    params(("wait" = Option<bool>, Query, description = "Answers when the operation is over"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and request again: the same operation")),
    responses((status = 200, description = "A preview, or an operation that was waited for", body = Object),
        (status = 202, description = "Accepted; Location names the operation", body = Object),
        (status = 409, description = "Another operation holds the release, or the key came with another request"),
        (status = 422, description = "Every wrong field; no cluster was touched")))]
pub(crate) async fn install(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let wait = wait(query.as_deref())?;
    let (value, sent) = upload::request(&gateway, &caller, &headers, body).await?;
    let once = once(
        &caller,
        &headers,
        &["POST /charts", query.as_deref().unwrap_or_default()],
        &sent,
    )?;
    let request = ChartsRequest::read(value)?;
    apply(&gateway, &caller, request, false, once, wait, &headers).await
}

/// A preview, or an operation: begun now or by the same request before.
async fn apply(
    gateway: &Gateway,
    caller: &Caller,
    request: ChartsRequest,
    is_upgrade: bool,
    once: Option<Once>,
    wait: bool,
    headers: &HeaderMap,
) -> Answer {
    let charts = &gateway.charts;
    if request.dry_run != DryRun::None {
        let preview = charts.preview(caller, request, is_upgrade).await?;
        return reply_json(StatusCode::OK, &preview);
    }
    let operation = match before(charts, caller, once.as_ref()).await? {
        Some(operation) => operation,
        None => charts.apply(caller, request, is_upgrade, once).await?,
    };
    accepted(charts, caller, operation, wait, headers).await
}

/// What `Idempotency-Key` says of this request.
fn once(
    caller: &Caller,
    headers: &HeaderMap,
    line: &[&str],
    body: &[u8],
) -> Result<Option<Once>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let mut parts: Vec<&[u8]> = line.iter().map(|part| part.as_bytes()).collect();
    parts.push(body);
    let key = key
        .to_str()
        .map_err(|_| Error::invalid("Idempotency-Key", "must be printable ASCII"))?;
    Ok(Some(Once::new(caller, key, &parts)?))
}

async fn before(
    charts: &ChartFlows,
    caller: &Caller,
    once: Option<&Once>,
) -> Result<Option<Operation>, Problem> {
    match once {
        Some(once) => Ok(charts.begun_before(caller, once).await?),
        None => Ok(None),
    }
}

/// Upgrades a release on the selected clusters; `options.install` installs where it is not there.
#[utoipa::path(put, path = "/charts/{release}", tag = "charts", request_body = Object,
    params(("release" = String, Path), ("wait" = Option<bool>, Query)),
    responses((status = 202, description = "Accepted; Location names the operation", body = Object)))]
pub(crate) async fn upgrade(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(release): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let wait = wait(query.as_deref())?;
    let (mut value, sent) = upload::request(&gateway, &caller, &headers, body).await?;
    let line = [
        "PUT /charts",
        &release,
        query.as_deref().unwrap_or_default(),
    ];
    let once = once(&caller, &headers, &line, &sent)?;
    if let Value::Object(map) = &mut value {
        map.entry("release")
            .or_insert_with(|| json!({ "name": release }));
    }
    let request = ChartsRequest::read(value)?;
    if request.release.name != release {
        let message = "the body names another release than the path";
        return Err(Error::Malformed(message.into()).into());
    }
    apply(&gateway, &caller, request, true, once, wait, &headers).await
}

/// Uninstalls a release from the selected clusters, as an operation.
#[utoipa::path(delete, path = "/charts/{release}", tag = "charts",
    params(("release" = String, Path), ("clusters" = Option<String>, Query),
        ("labelSelector" = Option<String>, Query), ("all" = Option<bool>, Query),
        ("namespace" = Option<String>, Query), ("keepHistory" = Option<bool>, Query), ("noHooks" = Option<bool>, Query),
        ("timeoutSeconds" = Option<u64>, Query, description = "Per cluster; default 300"),
        ("untilGone" = Option<bool>, Query, description = "The operation waits until every object is gone"),
        ("dryRun" = Option<String>, Query, description = "server: says what would be removed, and removes nothing"),
        ("wait" = Option<bool>, Query, description = "The same, and answers when the operation is over")),
    responses((status = 200, description = "A preview, or an operation that was waited for", body = Object),
        (status = 202, description = "Accepted; Location names the operation", body = Object),
        (status = 422, description = "No selection")))]
pub(crate) async fn uninstall(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(release): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let mut parameters = Parameters::read(query.as_deref())?;
    let chosen = selection(&mut parameters);
    let all = parameters.flag("all");
    let namespace = parameters
        .text("namespace")
        .unwrap_or_else(|| "default".into());
    let keep = parameters.flag("keepHistory");
    let no_hooks = parameters.flag("noHooks");
    let until_gone = parameters.flag("untilGone");
    let wait = parameters.flag("wait");
    let timeout = parameters.number("timeoutSeconds", 1, 86_400);
    let dry_run = parameters.text("dryRun").unwrap_or_else(|| "none".into());
    parameters.finish()?;
    let value = json!({
        "dryRun": dry_run,
        "namespace": namespace,
        "targets": { "names": chosen.names, "selector": chosen.selector, "all": all },
        "options": {
            "keepHistory": keep, "noHooks": no_hooks, "wait": wait || until_gone, "timeoutSeconds": timeout,
        },
    });
    let request = ActionRequest::read(value, &release)?;
    if request.dry_run != DryRun::None {
        let (charts, kind) = (&gateway.charts, OperationKind::Uninstall);
        let preview = charts.preview_act(&caller, kind, &release, &request);
        return reply_json(StatusCode::OK, &preview.await?);
    }
    let line = [
        "DELETE /charts",
        &release,
        query.as_deref().unwrap_or_default(),
    ];
    let once = once(&caller, &headers, &line, &[])?;
    let operation = match before(&gateway.charts, &caller, once.as_ref()).await? {
        Some(operation) => operation,
        None => {
            let kind = OperationKind::Uninstall;
            let charts = &gateway.charts;
            charts.act(&caller, kind, &release, request, once).await?
        }
    };
    accepted(&gateway.charts, &caller, operation, wait, &headers).await
}

async fn act(
    gateway: &Gateway,
    caller: &Caller,
    kind: OperationKind,
    release: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    let wait = wait(query)?;
    let bytes = negotiate::body(body, MAX_BODY).await?;
    let verb = match kind {
        OperationKind::Test => "test",
        OperationKind::Adopt => "adopt",
        _ => "rollback",
    };
    let line = ["POST /charts", release, verb, query.unwrap_or_default()];
    let once = once(caller, headers, &line, &bytes)?;
    let request = ActionRequest::read(negotiate::document(headers, &bytes)?, release)?;
    let charts = &gateway.charts;
    if request.dry_run != DryRun::None {
        let preview = if kind == OperationKind::Adopt {
            charts.preview_adoption(caller, release, &request).await?
        } else {
            charts.preview_act(caller, kind, release, &request).await?
        };
        return reply_json(StatusCode::OK, &preview);
    }
    let operation = match before(charts, caller, once.as_ref()).await? {
        Some(operation) => operation,
        None => charts.act(caller, kind, release, request, once).await?,
    };
    accepted(charts, caller, operation, wait, headers).await
}

/// Back to an earlier revision on the selected clusters; with `dryRun` server, says what that would change.
#[utoipa::path(post, path = "/charts/{release}/rollback", tag = "charts", request_body = Object,
    params(("release" = String, Path), ("wait" = Option<bool>, Query)),
    responses((status = 202, description = "Accepted; Location names the operation", body = Object)))]
pub(crate) async fn rollback(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(release): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    act(
        &gateway,
        &caller,
        OperationKind::Rollback,
        &release,
        query.as_deref(),
        &headers,
        body,
    )
    .await
}

/// Runs a release's test hooks on the selected clusters.
#[utoipa::path(post, path = "/charts/{release}/test", tag = "charts", request_body = Object,
    params(("release" = String, Path), ("wait" = Option<bool>, Query)),
    responses((status = 202, description = "Accepted; Location names the operation", body = Object)))]
pub(crate) async fn test(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(release): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    act(
        &gateway,
        &caller,
        OperationKind::Test,
        &release,
        query.as_deref(),
        &headers,
        body,
    )
    .await
}

/// Hands a release of Tiller over to Helm's own storage on the selected clusters; its objects are left alone. With
/// `dryRun: server`, says what that would write and remove. `options.keepHistory` keeps Tiller's records.
#[utoipa::path(post, path = "/charts/{release}/adopt", tag = "charts", request_body = Object,
    params(("release" = String, Path), ("wait" = Option<bool>, Query)),
    responses((status = 200, description = "A preview, or an operation that was waited for", body = Object),
        (status = 202, description = "Accepted; Location names the operation", body = Object)))]
pub(crate) async fn adopt(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(release): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    act(
        &gateway,
        &caller,
        OperationKind::Adopt,
        &release,
        query.as_deref(),
        &headers,
        body,
    )
    .await
}

async fn part(
    gateway: &Gateway,
    caller: &Caller,
    release: &str,
    query: Option<&str>,
    part: &'static str,
) -> Answer {
    let mut parameters = Parameters::read(query)?;
    let selection = selection(&mut parameters);
    let namespace = parameters
        .text("namespace")
        .unwrap_or_else(|| "default".into());
    let revision = parameters.number("revision", 1, u64::from(u32::MAX));
    parameters.flag("all");
    parameters.finish()?;
    let revision = revision.and_then(|r| u32::try_from(r).ok());
    let rows = gateway
        .charts
        .release(caller, &selection, release, &namespace, part, revision)
        .await?;
    reply_json(StatusCode::OK, &rows)
}

macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident = $part:literal, $path:literal;)*) => {$(
        $(#[$doc])*
        #[utoipa::path(get, path = $path, tag = "charts",
            params(("release" = String, Path), ("clusters" = Option<String>, Query),
                ("labelSelector" = Option<String>, Query), ("namespace" = Option<String>, Query),
                ("revision" = Option<u32>, Query)),
            responses((status = 200, description = "items and errors, a row per cluster", body = Object)))]
        pub(crate) async fn $name(
            State(gateway): State<Gateway>,
            Extension(caller): Extension<Caller>,
            Path(release): Path<String>,
            RawQuery(query): RawQuery,
        ) -> Answer {
            part(&gateway, &caller, &release, query.as_deref(), $part).await
        }
    )*};
}

parts! {
    /// One release, per cluster.
    read = "release", "/charts/{release}";
    /// Its revisions, newest first.
    history = "history", "/charts/{release}/history";
    /// Its manifest as Helm stores it. Not for viewers: it may hold Secrets.
    manifest = "manifest", "/charts/{release}/manifest";
    /// The user's values. Not for viewers: they may hold secrets.
    values = "values", "/charts/{release}/values";
    /// Its notes.
    notes = "notes", "/charts/{release}/notes";
}

/// Which objects of a release are not as its deployed revision says, per cluster, by dry runs.
#[utoipa::path(get, path = "/charts/{release}/drift", tag = "charts",
    params(("release" = String, Path), ("clusters" = Option<String>, Query),
        ("labelSelector" = Option<String>, Query), ("namespace" = Option<String>, Query)),
    responses((status = 200, description = "items and errors, a row per cluster", body = Object)))]
pub(crate) async fn drift(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(release): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let mut parameters = Parameters::read(query.as_deref())?;
    let selection = selection(&mut parameters);
    let namespace = parameters
        .text("namespace")
        .unwrap_or_else(|| "default".into());
    parameters.flag("all");
    parameters.finish()?;
    let charts = &gateway.charts;
    let rows = charts
        .drift(&caller, &selection, &release, &namespace)
        .await?;
    reply_json(StatusCode::OK, &rows)
}

pub(super) fn wait(query: Option<&str>) -> Result<bool, Problem> {
    let mut parameters = Parameters::read(query)?;
    let wait = parameters.flag("wait");
    parameters.finish()?;
    Ok(wait)
}

/// 202 at once, 200 when the operation was waited for and is over, or its events as they come.
pub(super) async fn accepted(
    charts: &ChartFlows,
    caller: &Caller,
    operation: Operation,
    wait: bool,
    headers: &HeaderMap,
) -> Answer {
    let id = operation.id.clone();
    if negotiate::prefers(headers, "text/event-stream") {
        let caller = caller.clone();
        return Ok(operations::stream(charts.clone(), caller, id, 0));
    }
    let mut operation = operation;
    if wait {
        let over = async {
            let mut seen = 0;
            while let Some(last) = charts.events(caller, &id, seen, true).await?.last() {
                seen = last.number;
            }
            charts.operation(caller, &id).await
        };
        if let Ok(done) = tokio::time::timeout(LONGEST_WAIT, over).await {
            operation = done?;
        }
    }
    let status = if operation.state.is_final() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let mut response = reply_json(status, &operation)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/operations/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

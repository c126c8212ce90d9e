//! `GET /cluster`: a list, or with `watch=true` its changes as JSON lines or server-sent events.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::{Stream, stream};
use optikon_core::{
    Error,
    flows::{
        clusters::{ListQuery, Source},
        mirror::{Cursor, Entry, through},
        view::{self, Detail},
    },
    words::{Caller, Selector},
};
use serde_json::{Map, Value, json};

use super::query::Parameters;
use crate::{
    metrics::Metrics,
    negotiate::{self, reply_json, tagged},
    problem::Problem,
    state::Gateway,
};

/// A watch without changes says that it lives, and where it stands, this often.
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);

/// Clusters, whole or in pages; with `watch=true` their changes.
#[utoipa::path(get, path = "/cluster", tag = "clusters",
    params(("labelSelector" = Option<String>, Query, description = "Kubernetes' grammar"),
        ("limit" = Option<u64>, Query, description = "1 to 10,000; absent = everything"),
        ("continue" = Option<String>, Query, description = "From the page before"),
        ("probe" = Option<String>, Query, description = "cached (default), live or none"),
        ("deadline" = Option<String>, Query, description = "For probe=live: 1s to 30s, default 8s"),
        ("watch" = Option<bool>, Query), ("resourceVersion" = Option<String>, Query)),
    responses((status = 200, description = "A ClusterList, or a stream of {type, object}", body = Object),
        (status = 410, description = "continue or resourceVersion is too old; list again")))]
pub(crate) async fn list_or_watch(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::read(query.as_deref())?;
    let selector = Selector::parse(&parameters.text("labelSelector").unwrap_or_default())?;
    let limit = parameters
        .number("limit", 1, 10_000)
        .and_then(|n| usize::try_from(n).ok());
    let next = parameters.text("continue");
    let source = parameters.source("cached");
    let is_watch = parameters.flag("watch");
    let version = parameters.number("resourceVersion", 0, u64::MAX);
    parameters.finish()?;
    if is_watch {
        return watch(&gateway, caller, selector, source, version, &headers);
    }
    if !negotiate::accepts(&headers, "application/json") {
        return Err(Problem::not_acceptable("application/json"));
    }
    let at = gateway.clusters.mirror().version();
    if source != (Source::None) && next.is_none() && negotiate::is_unchanged(&headers, at) {
        let is_live = matches!(source, Source::Live(_));
        if !is_live && !negotiate::is_fresh(&headers) {
            return Ok(tagged(
                negotiate::reply(StatusCode::NOT_MODIFIED, Bytes::new()),
                at,
            ));
        }
    }
    let is_fresh = negotiate::is_fresh(&headers);
    let query = ListQuery {
        selector,
        limit,
        next,
        source,
        is_fresh,
    };
    let (list, version) = gateway.clusters.list(&caller, &query).await?;
    Ok(tagged(reply_json(StatusCode::OK, &list)?, version))
}

fn watch(
    gateway: &Gateway,
    caller: Caller,
    selector: Selector,
    source: Source,
    version: Option<u64>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let is_events = negotiate::prefers(headers, "text/event-stream");
    let media = if is_events {
        "text/event-stream"
    } else {
        "application/json"
    };
    if !negotiate::accepts(headers, media) && !negotiate::accepts(headers, "application/x-ndjson") {
        return Err(Problem::not_acceptable(
            "application/json or text/event-stream",
        ));
    }
    // A browser that reconnects says where it was.
    let resumed = headers
        .get("last-event-id")
        .and_then(|v| v.to_str().ok()?.parse().ok());
    let version = resumed.or(version).filter(|v| *v > 0);
    let detail = if source == Source::None {
        Detail::None
    } else {
        Detail::Row
    };
    let sees = move |e: &Entry| e.is_selected_by(&caller.selector) && e.is_selected_by(&selector);
    let (first, cursor) = match version {
        Some(version) => (Vec::new(), gateway.clusters.watch(Some(version))?),
        None => {
            let listed = gateway.clusters.mirror().list(None, None, &sees)?;
            let cursor = gateway.clusters.watch(Some(listed.version))?;
            let mut first: Vec<_> = listed
                .items
                .iter()
                .map(|e| line("ADDED", &view::object(e, detail)))
                .collect();
            first.push(bookmark(listed.version));
            (
                first.into_iter().map(|l| (listed.version, l)).collect(),
                cursor,
            )
        }
    };
    let following = Following {
        cursor,
        sees: Arc::new(sees),
        detail,
        first,
        is_over: false,
        shutdown: gateway.shutdown.clone(),
        _counted: Counted::new(gateway.metrics.clone()),
    };
    let body = Body::from_stream(frames(following, is_events));
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    Ok(response)
}

struct Following {
    cursor: Cursor,
    sees: Arc<dyn Fn(&Entry) -> bool + Send + Sync>,
    detail: Detail,
    first: Vec<(u64, Value)>,
    is_over: bool,
    shutdown: tokio::sync::watch::Receiver<bool>,
    _counted: Counted,
}

impl Following {
    /// The next batch of lines with their versions; none at the end.
    async fn next(&mut self) -> Option<Vec<(u64, Value)>> {
        if self.is_over {
            return None;
        }
        if !self.first.is_empty() {
            return Some(std::mem::take(&mut self.first));
        }
        let events = tokio::select! {
            events = self.cursor.next() => events,
            () = tokio::time::sleep(BOOKMARK_EVERY) => {
                return Some(vec![(self.cursor.at(), bookmark(self.cursor.at()))]);
            }
            _ = self.shutdown.wait_for(|is_ending| *is_ending) => {
                self.is_over = true;
                return Some(vec![(self.cursor.at(), bookmark(self.cursor.at()))]);
            }
        };
        match events {
            Ok(events) => Some(
                events
                    .iter()
                    .filter_map(|event| {
                        let (kind, entry) = through(event, |e| (self.sees)(e))?;
                        Some((
                            event.version,
                            line(kind, &view::object(&entry, self.detail)),
                        ))
                    })
                    .collect(),
            ),
            Err(error) => {
                self.is_over = true;
                let status = crate::problem::status_of(&error).as_u16();
                let object = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "code": status, "reason": if status == 410 { "Expired" } else { "Unavailable" },
                    "message": error.to_string(),
                });
                Some(vec![(
                    self.cursor.at(),
                    json!({ "type": "ERROR", "object": object }),
                )])
            }
        }
    }
}

fn frames(following: Following, is_events: bool) -> impl Stream<Item = Result<Bytes, Error>> {
    stream::unfold(following, move |mut following| async move {
        let lines = following.next().await?;
        let mut out = Vec::new();
        for (version, value) in lines {
            if is_events {
                out.extend_from_slice(format!("id: {version}\ndata: ").as_bytes());
            }
            if let Err(error) = serde_json::to_writer(&mut out, &value) {
                following.is_over = true;
                return Some((Err(Error::Internal(error.to_string())), following));
            }
            out.extend_from_slice(if is_events { b"\n\n" } else { b"\n" });
        }
        Some((Ok(Bytes::from(out)), following))
    })
}

fn line(kind: &str, object: &Map<String, Value>) -> Value {
    json!({ "type": kind, "object": object })
}

fn bookmark(version: u64) -> Value {
    json!({ "type": "BOOKMARK", "object": {
        "apiVersion": optikon_core::words::GROUP_VERSION,
        "kind": optikon_core::words::KIND,
        "metadata": { "resourceVersion": version.to_string() },
    }})
}

/// Counted while it lives.
struct Counted(Arc<Metrics>);

impl Counted {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.watch_started();
        Self(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.watch_ended();
    }
}

//! What releases there are: a row per cluster, and a row for each that did not answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use serde_json::{Map, Value, json};

use super::{
    ChartFlows, Inner,
    remember::Remembering,
    request::Targets,
    targets,
    watched::{Problem, Watched, of_fault},
};
use crate::{
    error::{Error, Result},
    flows::{health::one_line, mirror::Entry, together::tasks, v0},
    ports::{Call, Charts, Facts, Release},
    words::{Caller, Writes},
};

/// Members asked at once by one request.
pub(super) const FAN_OUT: usize = 128;
/// … for whole records, of up to 32 MiB a member.
const RECORDS_AT_ONCE: usize = 8;
/// Whole records in one answer.
const MAX_RECORDS_BYTES: usize = 256 << 20;
/// One member may take so long.
const DEADLINE: Duration = Duration::from_secs(15);

/// Which clusters a read is about; nothing = all.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// By name.
    pub names: Vec<String>,
    /// By label.
    pub selector: String,
}

/// Which releases.
#[derive(Debug, Clone, Default)]
pub struct ReleaseQuery {
    /// Which clusters.
    pub selection: Selection,
    /// Absent = all namespaces.
    pub namespace: Option<String>,
    /// Part of the name.
    pub filter: String,
}

impl ChartFlows {
    /// The newest revision of every release.
    ///
    /// # Errors
    /// `Invalid` for unknown names; a cluster that does not answer is a row under `errors`.
    pub async fn releases(&self, caller: &Caller, query: &ReleaseQuery) -> Result<Value> {
        let (namespace, filter) = (query.namespace.clone(), query.filter.clone());
        self.each(
            caller,
            &query.selection,
            FAN_OUT,
            |inner, entry, backend| {
                let (namespace, filter) = (namespace.clone(), filter.clone());
                Box::pin(async move {
                    let connection = inner
                        .connect(&entry, Writes::None)
                        .await
                        .map_err(|fault| of_fault(&fault))?;
                    let watched = Watched::reading(connection);
                    let connection = Arc::new(Remembering::new(
                        watched.clone(),
                        inner.memory.clone(),
                        entry.uid.clone(),
                    ));
                    let call = Call::client().within(DEADLINE);
                    let found = backend
                        .list_releases(call, connection, namespace, &filter)
                        .await;
                    let found = found.map_err(|error| watched.problem(&error))?;
                    found.iter().map(row).collect()
                })
            },
        )
        .await
    }

    /// The newest revision of every release as `release` of each row, in the original's form; with `name`, of that one.
    /// Secret where it `is_whole`. Clusters beyond what one answer may hold are rows that say so.
    ///
    /// # Errors
    /// As [`ChartFlows::releases`].
    pub async fn records(
        &self,
        caller: &Caller,
        selection: &Selection,
        name: &str,
        is_whole: bool,
    ) -> Result<Value> {
        let name = name.to_owned();
        let room = Arc::new(AtomicUsize::new(MAX_RECORDS_BYTES));
        self.each(caller, selection, RECORDS_AT_ONCE, |inner, entry, backend| {
            let (name, room) = (name.clone(), room.clone());
            Box::pin(async move {
                let too_large = || {
                    let message = "the answer would be larger than 256 MiB: ask for fewer clusters with labels";
                    ("TooLarge".to_owned(), message.to_owned())
                };
                if room.load(Ordering::Relaxed) == 0 {
                    return Err(too_large());
                }
                let connection = inner
                    .connect(&entry, Writes::None)
                    .await
                    .map_err(|fault| of_fault(&fault))?;
                let watched = Watched::reading(connection);
                let call = Call::client().within(DEADLINE);
                let found = backend.records(call, watched.clone(), None, &name).await;
                let found = found.map_err(|error| watched.problem(&error))?;
                let cluster = entry.cluster.name().as_str();
                let mut rows = Vec::with_capacity(found.len());
                for record in found {
                    let release = v0::release(cluster, &record, is_whole);
                    let bytes = release.to_string().len();
                    let fits = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        Some(left.saturating_sub(bytes))
                    });
                    if fits.is_ok_and(|left| left < bytes) {
                        return Err(too_large());
                    }
                    rows.push(Map::from_iter([("release".to_owned(), release)]));
                }
                Ok(rows)
            })
        })
        .await
    }

    /// One part of a release, per cluster: `release`, `history`, `manifest`, `values`, `notes`.
    ///
    /// # Errors
    /// As [`ChartFlows::releases`].
    pub async fn release(
        &self,
        caller: &Caller,
        selection: &Selection,
        name: &str,
        namespace: &str,
        part: &'static str,
        revision: Option<u32>,
    ) -> Result<Value> {
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        self.each(caller, selection, FAN_OUT, |inner, entry, backend| {
            let (release, namespace) = (name.clone(), namespace.clone());
            Box::pin(async move {
                let connection = inner
                    .connect(&entry, Writes::None)
                    .await
                    .map_err(|fault| of_fault(&fault))?;
                let connection = Watched::reading(connection);
                let cluster = entry.cluster.name().to_string();
                let facts = Facts {
                    release,
                    namespace,
                    cluster,
                    ..Facts::default()
                };
                let call = Call::client().within(DEADLINE);
                let of = |error: Error| connection.problem(&error);
                if part == "history" {
                    let list = backend
                        .history(call, connection.clone(), facts, 256)
                        .await
                        .map_err(of)?;
                    let revisions = list.iter().map(row).collect::<Result<Vec<_>, _>>()?;
                    return Ok(vec![Map::from_iter([(
                        "revisions".to_owned(),
                        Value::Array(revisions.into_iter().map(Value::Object).collect()),
                    )])]);
                }
                let content = backend
                    .get(call, connection.clone(), facts, revision)
                    .await
                    .map_err(of)?;
                let mut out = row(&content.release)?;
                match part {
                    "manifest" => out.insert("manifest".into(), content.manifest.into()),
                    "values" => {
                        let values: Value =
                            serde_json::from_str(&content.values).unwrap_or_default();
                        out.insert("values".into(), values)
                    }
                    "notes" => out.insert("notes".into(), content.notes.into()),
                    _ => None,
                };
                Ok(vec![out])
            })
        })
        .await
    }

    pub(super) async fn each<F>(
        &self,
        caller: &Caller,
        selection: &Selection,
        at_once: usize,
        ask: F,
    ) -> Result<Value>
    where
        F: Fn(
            Arc<Inner>,
            Arc<Entry>,
            Arc<dyn Charts>,
        )
            -> futures::future::BoxFuture<'static, Result<Vec<Map<String, Value>>, Problem>>,
    {
        let is_all = selection.names.is_empty() && selection.selector.is_empty();
        let wanted = Targets {
            names: selection.names.clone(),
            selector: selection.selector.clone(),
            all: is_all,
        };
        let mirror = self.inner.clusters.mirror();
        let chosen = match targets::select(mirror, caller, &wanted) {
            Ok(chosen) => chosen,
            // Nothing registered, or nothing selected: an empty answer, not a mistake of the caller.
            Err(Error::Invalid(fields)) if fields.iter().all(|f| f.field == "targets") => {
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let (_, backend) = self.inner.backend(None)?;
        let asked = chosen.into_iter().map(|entry| {
            let asked = ask(self.inner.clone(), entry.clone(), backend.clone());
            async move { (entry, asked.await) }
        });
        let answers: Vec<_> = tasks(asked).buffered(at_once).collect().await;
        let (mut items, mut errors) = (Vec::new(), Vec::new());
        for (entry, answer) in answers {
            let cluster = entry.cluster.name().as_str();
            match answer {
                Ok(rows) => items.extend(rows.into_iter().map(|row| {
                    let mut out = Map::from_iter([("cluster".to_owned(), cluster.into())]);
                    out.extend(row);
                    Value::Object(out)
                })),
                Err((reason, message)) => errors.push(json!({
                    "cluster": cluster, "reason": reason, "message": one_line(&message),
                })),
            }
        }
        Ok(json!({ "items": items, "errors": errors }))
    }
}

fn row(release: &Release) -> Result<Map<String, Value>, Problem> {
    match serde_json::to_value(release) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(("Internal".into(), "a release could not be shown".into())),
    }
}

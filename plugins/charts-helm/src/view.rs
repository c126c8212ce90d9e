//! Revisions as the gateway gets them.

use futures::future::join_all;
use optikon_plugin_sdk::{
    Error, Requester,
    charts::{Content, Release},
};
use serde_json::{Map, Value};

use crate::{
    record::{Record, Summary},
    store::{Entry, Store, Stored, entries},
};

/// Revisions read at once: each may have 1 MiB.
const AT_ONCE: usize = 16;
/// What records may come to in all, before the rest is shortened.
const MAX_RECORDS_BYTES: usize = 16 << 20;

fn details(record: &Summary, has_notes: bool) -> String {
    let mut details = Map::new();
    let mut set = |key: &str, text: &str| {
        if !text.is_empty() {
            details.insert(key.to_owned(), text.into());
        }
    };
    let (name, version) = (record.chart_text("name"), record.chart_text("version"));
    if !name.is_empty() {
        set("chart", &format!("{name}-{version}"));
    }
    set("chartName", name);
    set("chartVersion", version);
    set("appVersion", record.chart_text("appVersion"));
    set("updated", &record.info.last_deployed);
    set("firstDeployed", &record.info.first_deployed);
    set("deleted", &record.info.deleted);
    set("description", &record.info.description);
    if has_notes {
        set("notes", &record.info.notes);
    }
    Value::Object(details).to_string()
}

/// A revision.
pub(crate) fn release(stored: &Stored, has_notes: bool) -> Release {
    let operation = stored.operation.clone();
    row(Summary::of(&stored.record), operation, has_notes)
}

fn row(summary: Summary, operation: Option<String>, has_notes: bool) -> Release {
    Release {
        details: details(&summary, has_notes),
        name: summary.name,
        namespace: summary.namespace,
        revision: summary.version,
        status: summary.info.status,
        operation,
    }
}

/// A release that is not there.
pub(crate) fn absent(name: &str, namespace: &str) -> Release {
    Release {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        revision: 0,
        status: "uninstalled".to_owned(),
        operation: None,
        details: "{}".to_owned(),
    }
}

async fn read<C: Requester>(cluster: &C, entries: &[Entry]) -> Result<Vec<Release>, Error> {
    let mut releases = Vec::with_capacity(entries.len());
    for some in entries.chunks(AT_ONCE) {
        let loaded = join_all(some.iter().map(|entry| async move {
            Store::new(cluster, &entry.namespace)
                .summary(&entry.name, entry.version)
                .await
        }));
        for (entry, summary) in some.iter().zip(loaded.await) {
            releases.push(match summary {
                Ok(summary) => row(summary, entry.operation.clone(), false),
                // One that cannot be read is a row, and not the end of the list.
                Err(error) => Release {
                    name: entry.name.clone(),
                    namespace: entry.namespace.clone(),
                    revision: entry.version,
                    status: entry.status.clone(),
                    operation: entry.operation.clone(),
                    details: serde_json::json!({"description": error.message}).to_string(),
                },
            });
        }
    }
    Ok(releases)
}

/// The newest revision of each release whose name contains `filter`, of a namespace or of all.
///
/// # Errors
/// What the server says.
pub async fn list<C: Requester>(
    cluster: &C,
    namespace: Option<&str>,
    filter: &str,
) -> Result<Vec<Release>, Error> {
    let mut found = entries(cluster, namespace, "owner=helm").await?;
    found.retain(|entry| entry.name.contains(filter));
    found.dedup_by(|later, first| later.name == first.name && later.namespace == first.namespace);
    read(cluster, &found).await
}

/// The newest revision of each release whole, or that of one, as Helm keeps it.
///
/// # Errors
/// What the server says.
pub async fn records<C: Requester>(
    cluster: &C,
    namespace: Option<&str>,
    name: &str,
) -> Result<Vec<String>, Error> {
    let selector = match name {
        "" => "owner=helm".to_owned(),
        name if is_label(name) => format!("owner=helm,name={name}"),
        _ => return Ok(Vec::new()),
    };
    let mut found = entries(cluster, namespace, &selector).await?;
    found.dedup_by(|later, first| later.name == first.name && later.namespace == first.namespace);
    let (mut records, mut bytes) = (Vec::with_capacity(found.len()), 0);
    for some in found.chunks(AT_ONCE) {
        let loaded = join_all(some.iter().map(|entry| async move {
            Store::new(cluster, &entry.namespace)
                .load(&entry.name, entry.version)
                .await
        }));
        for (entry, stored) in some.iter().zip(loaded.await) {
            let record = match stored {
                Ok(stored) => fitting(stored.record, &mut bytes)?,
                // One that cannot be read is a row, and not the end of the list.
                Err(error) => serde_json::json!({
                    "name": entry.name, "namespace": entry.namespace, "version": entry.version,
                    "info": { "status": entry.status, "description": error.message },
                })
                .to_string(),
            };
            records.push(record);
        }
    }
    Ok(records)
}

/// A name that is no label value is that of no release, and could widen a selector.
fn is_label(name: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    name.len() <= 63 && name.bytes().all(is_inner)
}

/// A record as text; without its longest parts where there would be too much of all.
fn fitting(mut record: Record, bytes: &mut usize) -> Result<String, Error> {
    let text = |record: &Record| {
        serde_json::to_string(record)
            .map_err(|e| Error::internal(format!("a record cannot be written: {e}")))
    };
    let whole = text(&record)?;
    if *bytes + whole.len() <= MAX_RECORDS_BYTES {
        *bytes += whole.len();
        return Ok(whole);
    }
    let metadata = record.chart.get("metadata").cloned();
    record.chart = serde_json::json!({ "metadata": metadata });
    record.manifest.clear();
    record.hooks.clear();
    record.config.clear();
    record.info.notes.clear();
    // What comes later is not whole again.
    *bytes = MAX_RECORDS_BYTES;
    text(&record)
}

/// The newest revisions of a release; 0 for all.
///
/// # Errors
/// `not-found` when there is none.
pub async fn history<C: Requester>(
    cluster: &C,
    namespace: &str,
    name: &str,
    limit: u32,
) -> Result<Vec<Release>, Error> {
    let mut found = Store::new(cluster, namespace).revisions(name).await?;
    if found.is_empty() {
        return Err(not_found(name));
    }
    if limit > 0 {
        found.truncate(limit as usize);
    }
    read(cluster, &found).await
}

/// One revision whole; 0 for the newest.
///
/// # Errors
/// `not-found`.
pub async fn content<C: Requester>(
    cluster: &C,
    namespace: &str,
    name: &str,
    revision: u32,
) -> Result<Content, Error> {
    let store = Store::new(cluster, namespace);
    let version = match revision {
        0 => store
            .revisions(name)
            .await?
            .first()
            .map(|e| e.version)
            .ok_or_else(|| not_found(name))?,
        revision => revision,
    };
    let stored = store.load(name, version).await?;
    Ok(Content {
        release: release(&stored, true),
        manifest: stored.record.manifest.clone(),
        values: Value::Object(stored.record.config.clone()).to_string(),
        notes: stored.record.info.notes.clone(),
    })
}

pub(crate) fn not_found(name: &str) -> Error {
    Error::not_found(format!("release \"{name}\" is not there"))
}

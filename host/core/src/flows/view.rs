//! A cluster as people see it: the registry's object, and a `status` made of what was seen.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    health::{Health, rfc3339},
    input,
    mirror::Entry,
};
use crate::words::{Cluster, GROUP_VERSION, KIND, Observation};

/// How much of `status` is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Conditions and counts, for lists.
    Row,
    /// … and nodes and workloads.
    Whole,
    /// No status at all.
    None,
}

/// The object for people: masked, with our own `resourceVersion`, and a status from the mirror.
pub fn object(entry: &Entry, detail: Detail) -> Map<String, Value> {
    let mut object = shell(entry);
    if detail == Detail::None {
        object.remove("status");
        return object;
    }
    object.insert("status".into(), Value::Object(remembered(entry, detail)));
    object
}

/// The same with what was just seen. A member that did not answer, or refused the credential, is shown with its
/// reason and, under `lastKnown`, what was seen last; so is one that no longer shows its nodes or workloads.
pub fn live(entry: &Entry, seen: &Observation, now_ms: u64) -> Map<String, Value> {
    let mut object = shell(entry);
    let mut status = Map::new();
    status.insert("conditions".into(), conditions(entry));
    if seen.shows_something() {
        for (key, value) in &seen.status {
            if !matches!(key.as_str(), "identity" | "conditions") {
                status.insert(key.clone(), value.clone());
            }
        }
        status.insert(
            "observedAt".into(),
            observed_at(&entry.health, Some(now_ms)),
        );
        let is_kept = |part| seen.is_silent_on(part) && entry.health.status.contains_key(part);
        if is_kept("nodes") || is_kept("workloads") {
            status.insert(
                "lastKnown".into(),
                Value::Object(last_known(&entry.health, Detail::Whole)),
            );
        }
    } else {
        if let Some(probe) = seen.status.get("probe") {
            status.insert("probe".into(), probe.clone());
        }
        status.insert(
            "lastKnown".into(),
            Value::Object(last_known(&entry.health, Detail::Whole)),
        );
    }
    if !seen.reason.is_empty() {
        status.insert("reason".into(), seen.reason.clone().into());
        status.insert("message".into(), seen.message.clone().into());
    }
    object.insert("status".into(), Value::Object(status));
    object
}

/// What a patch is applied to: as written, never shown to anybody.
pub(super) fn unmasked(entry: &Entry) -> Value {
    let mut object = shell_of(entry, entry.cluster.clone());
    object.remove("status");
    Value::Object(object)
}

fn shell(entry: &Entry) -> Map<String, Value> {
    let mut cluster = entry.cluster.clone();
    input::mask(&mut cluster);
    shell_of(entry, cluster)
}

fn shell_of(entry: &Entry, cluster: Cluster) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("apiVersion".into(), GROUP_VERSION.into());
    object.insert("kind".into(), KIND.into());
    let mut own = cluster.into_object();
    own.remove("apiVersion");
    own.remove("kind");
    object.append(&mut own);
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("resourceVersion".into(), entry.version.to_string().into());
        metadata.insert("uid".into(), entry.uid.as_str().into());
        metadata.remove("selfLink");
    }
    object
}

/// Our conditions, and those that others wrote into the registry.
fn conditions(entry: &Entry) -> Value {
    let mut all: Vec<Value> = entry
        .health
        .conditions
        .iter()
        .filter_map(|c| serde_json::to_value(c).ok())
        .collect();
    let foreign = entry
        .cluster
        .object()
        .get("status")
        .and_then(|s| s.get("conditions"));
    for condition in foreign.and_then(Value::as_array).into_iter().flatten() {
        let kind = condition
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_ours = matches!(
            kind,
            "" | "OK"
                | "Ready"
                | "Reachable"
                | "DiscoveryComplete"
                | "CredentialExpiring"
                | "Duplicate"
        );
        if !is_ours {
            all.push(condition.clone());
        }
    }
    Value::Array(all)
}

fn observed_at(health: &Health, whole_ms: Option<u64>) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, ms: u64| {
        if ms > 0 {
            out.insert(key.into(), rfc3339(ms).into());
        }
    };
    put("time", whole_ms.unwrap_or(health.reached_ms));
    put("reach", health.parts_ms.reach);
    put("nodes", health.parts_ms.nodes);
    put("workloads", health.parts_ms.workloads);
    Value::Object(out)
}

fn last_known(health: &Health, detail: Detail) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in &health.status {
        let is_list = matches!(key.as_str(), "nodes" | "workloads");
        if key != "probe" && !(is_list && detail == Detail::Row) {
            out.insert(key.clone(), value.clone());
        }
    }
    if out.contains_key("nodes") || out.contains_key("workloads") {
        let is_cut = |items: &str, counts: &str| {
            let kept = out.get(items).and_then(Value::as_array).map_or(0, Vec::len) as u64;
            let total = out
                .get(counts)
                .and_then(|c| c.get("total"))
                .and_then(Value::as_u64);
            total.is_some_and(|total| total > kept)
        };
        let truncated = is_cut("nodes", "nodeCounts") || is_cut("workloads", "workloadCounts");
        out.insert("truncated".into(), truncated.into());
    }
    if health.reached_ms > 0 {
        out.insert("observedAt".into(), observed_at(health, None));
    }
    out
}

/// The status from memory. When the last look reached the member, what was seen stands at the top;
/// otherwise it stands under `lastKnown`, so that nobody takes it for the present.
fn remembered(entry: &Entry, detail: Detail) -> Map<String, Value> {
    let health = &entry.health;
    let mut status = Map::new();
    status.insert("conditions".into(), conditions(entry));
    if let Some(probe) = health.status.get("probe") {
        status.insert("probe".into(), probe.clone());
    }
    if let Some((reason, message)) = &health.last_error {
        status.insert("reason".into(), reason.clone().into());
        status.insert("message".into(), message.clone().into());
    }
    let is_present = health.reached_ms > 0 && health.reached_ms == health.looked_ms;
    let known = last_known(health, detail);
    if is_present {
        status.extend(known);
    } else if health.reached_ms > 0 {
        status.insert("lastKnown".into(), Value::Object(known));
    }
    status
}

/// One part of a live look (`nodes`, `workloads`): 200 also when the member is silent, then with the
/// last items and the reason.
pub fn part(entry: &Entry, seen: &Observation, key: &str, now_ms: u64) -> Value {
    let is_answer = seen.is_answered();
    let fresh = seen.status.get(key).filter(|_| is_answer);
    let (items, observed_ms) = match fresh {
        Some(items) => (items.clone(), now_ms),
        None => {
            let parts = entry.health.parts_ms;
            let at = if key == "nodes" {
                parts.nodes
            } else {
                parts.workloads
            };
            (
                entry
                    .health
                    .status
                    .get(key)
                    .cloned()
                    .unwrap_or_else(|| json!([])),
                at,
            )
        }
    };
    let mut out = Map::new();
    out.insert("cluster".into(), entry.cluster.name().as_str().into());
    out.insert("items".into(), items);
    out.insert(
        "observedAt".into(),
        if observed_ms > 0 {
            rfc3339(observed_ms).into()
        } else {
            Value::Null
        },
    );
    let problem = seen
        .status
        .get("parts")
        .and_then(|p| p.get(key))
        .filter(|p| !p.is_null());
    if let Some(problem) = problem.filter(|_| is_answer) {
        out.insert(
            "reason".into(),
            problem
                .get("reason")
                .cloned()
                .unwrap_or_else(|| problem.clone()),
        );
        if let Some(message) = problem.get("message") {
            out.insert("message".into(), message.clone());
        }
    } else if !seen.reason.is_empty() {
        out.insert("reason".into(), seen.reason.clone().into());
        out.insert("message".into(), seen.message.clone().into());
    }
    Value::Object(out)
}

/// The list object around rows.
pub fn list(
    items: &[Arc<Entry>],
    detail: Detail,
    version: u64,
    next: Option<&str>,
    remaining: usize,
) -> Value {
    let rows = items
        .iter()
        .map(|e| Value::Object(object(e, detail)))
        .collect();
    wrap(rows, version, next, remaining)
}

/// The list object around finished rows.
pub fn wrap(rows: Vec<Value>, version: u64, next: Option<&str>, remaining: usize) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), version.to_string().into());
    if let Some(next) = next {
        metadata.insert("continue".into(), next.into());
        metadata.insert("remainingItemCount".into(), remaining.into());
    }
    // Not `json!`, which would copy the rows.
    Value::Object(Map::from_iter([
        ("apiVersion".to_owned(), GROUP_VERSION.into()),
        ("kind".to_owned(), format!("{KIND}List").into()),
        ("metadata".to_owned(), Value::Object(metadata)),
        ("items".to_owned(), Value::Array(rows)),
    ]))
}

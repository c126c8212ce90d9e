//! A cluster as people see it: the registry's object, and a `status` made of what was seen.

use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    health::{Health, rfc3339},
    input,
    mirror::Entry,
};
use crate::{
    error::{Error, Result},
    words::{GROUP_VERSION, KIND, Observation},
};

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
    let registered = object.remove("status");
    if detail != Detail::None {
        let status = remembered(entry, detail, registered.as_ref());
        object.insert("status".into(), Value::Object(status));
    }
    object
}

/// The same with what was just seen. A member that did not answer, or refused the credential, is shown with its
/// reason and, under `lastKnown`, what was seen last; so is one that no longer shows its nodes or workloads.
pub fn live(entry: &Entry, seen: &Observation, now_ms: u64) -> Map<String, Value> {
    let mut object = shell(entry);
    let registered = object.remove("status");
    let mut status = Map::new();
    status.insert("conditions".into(), conditions(entry, registered.as_ref()));
    if seen.shows_something() {
        for (part, value) in seen.status.parts() {
            if !matches!(part, "identity" | "conditions") {
                status.insert(part.into(), value);
            }
        }
        status.insert(
            "observedAt".into(),
            observed_at(&entry.health, Some(now_ms)),
        );
        let is_kept = |part| seen.is_silent_on(part) && entry.health.status.contains(part);
        if is_kept("nodes") || is_kept("workloads") {
            status.insert(
                "lastKnown".into(),
                Value::Object(last_known(&entry.health, Detail::Whole)),
            );
        }
    } else {
        if let Some(probe) = seen.status.get("probe") {
            status.insert("probe".into(), probe);
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
    let mut object = shell_of(entry, entry.cluster.clone().into_object());
    object.remove("status");
    Value::Object(object)
}

fn shell(entry: &Entry) -> Map<String, Value> {
    let mut own = entry.cluster.clone().into_object();
    input::mask(&mut own);
    shell_of(entry, own)
}

fn shell_of(entry: &Entry, mut own: Map<String, Value>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("apiVersion".into(), GROUP_VERSION.into());
    object.insert("kind".into(), KIND.into());
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

/// Our conditions, and those that others wrote into the registry's status.
fn conditions(entry: &Entry, registered: Option<&Value>) -> Value {
    let mut all: Vec<Value> = entry
        .health
        .conditions
        .iter()
        .filter_map(|c| serde_json::to_value(c).ok())
        .collect();
    let foreign = registered.and_then(|status| status.get("conditions"));
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
    for part in health.status.names() {
        let is_list = matches!(part, "nodes" | "workloads");
        if part != "probe"
            && !(is_list && detail == Detail::Row)
            && let Some(value) = health.status.get(part)
        {
            out.insert(part.into(), value);
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
fn remembered(entry: &Entry, detail: Detail, registered: Option<&Value>) -> Map<String, Value> {
    let health = &entry.health;
    let mut status = Map::new();
    status.insert("conditions".into(), conditions(entry, registered));
    if let Some(probe) = health.status.get("probe") {
        status.insert("probe".into(), probe);
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
        Some(items) => (items, now_ms),
        None => {
            let parts = entry.health.parts_ms;
            let at = if key == "nodes" {
                parts.nodes
            } else {
                parts.workloads
            };
            let known = entry.health.status.get(key);
            (known.unwrap_or_else(|| json!([])), at)
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
    let parts = seen.status.get("parts");
    let problem = parts
        .as_ref()
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

/// A list object whose rows are JSON already: thousands of trees at once would be ten times its size.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List {
    api_version: &'static str,
    items: Vec<Box<RawValue>>,
    kind: String,
    metadata: ListMetadata,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_item_count: Option<usize>,
    resource_version: String,
}

/// One row of a list.
///
/// # Errors
/// Not for what can be in an object.
pub fn row(entry: &Entry, detail: Detail) -> Result<Box<RawValue>> {
    let row = serde_json::value::to_raw_value(&object(entry, detail));
    row.map_err(|error| Error::Internal(format!("cluster \"{}\": {error}", entry.cluster.name())))
}

/// The list object around rows, of this version of the mirror.
pub fn list(
    items: Vec<Box<RawValue>>,
    version: u64,
    next: Option<String>,
    remaining: usize,
) -> List {
    List {
        api_version: GROUP_VERSION,
        items,
        kind: format!("{KIND}List"),
        metadata: ListMetadata {
            remaining_item_count: next.is_some().then_some(remaining),
            next,
            resource_version: version.to_string(),
        },
    }
}

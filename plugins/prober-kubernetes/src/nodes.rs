//! Nodes: ready or not, roles, version, capacity.

use std::collections::BTreeMap;

use optikon_plugin_sdk::Requester;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    member::{Ask, ListMeta, Member, Page, Read},
    problem::one_line,
    time::Time,
};

/// Twice what Kubernetes supports.
const MAX_ITEMS: u64 = 10_000;
/// Labels `node-role.kubernetes.io/<role>`.
const ROLE_PREFIX: &str = "node-role.kubernetes.io/";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodePage {
    metadata: ListMeta,
    items: Option<Vec<Node>>,
}

impl Page for NodePage {
    fn metadata(&self) -> &ListMeta {
        &self.metadata
    }
}

#[derive(Debug, Deserialize)]
struct Node {
    metadata: NodeMeta,
    spec: Option<NodeSpec>,
    status: Option<NodeStatus>,
}

#[derive(Debug, Deserialize)]
struct NodeMeta {
    name: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct NodeSpec {
    unschedulable: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeStatus {
    conditions: Option<Vec<Condition>>,
    node_info: Option<NodeInfo>,
    capacity: Option<Map<String, Value>>,
    allocatable: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    kubelet_version: Option<String>,
}

/// What was seen of the nodes.
#[derive(Debug, Default)]
pub struct Nodes {
    /// As in `status.nodes`, sorted by name.
    pub items: Vec<Value>,
    /// How many of them are ready.
    pub ready: usize,
    /// How far the list was read.
    pub read: Read,
}

/// Lists the nodes.
pub async fn nodes<C: Requester, T: Time>(member: Member<'_, C, T>) -> Nodes {
    let ask = Ask {
        path: "/api/v1/nodes",
        items: MAX_ITEMS,
        ..Ask::default()
    };
    let mut seen = Nodes::default();
    let read = member.list(ask, |page: NodePage| {
        for node in page.items.unwrap_or_default() {
            let (value, is_ready) = row(node);
            seen.items.push(value);
            seen.ready += usize::from(is_ready);
        }
    });
    let read = read.await;
    let name = |node: &Value| node.get("name").and_then(Value::as_str).map(str::to_owned);
    seen.items.sort_by_cached_key(name);
    seen.read = read;
    seen
}

fn row(node: Node) -> (Value, bool) {
    let status = node.status.unwrap_or_default();
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.r#type == "Ready");
    let ready = match condition.map(|condition| condition.status.as_str()) {
        Some("True") => "True",
        Some("False") => "False",
        _ => "Unknown",
    };
    let labels = node.metadata.labels.unwrap_or_default();
    let mut roles: Vec<&str> = labels
        .keys()
        .filter_map(|key| key.strip_prefix(ROLE_PREFIX))
        .collect();
    // The form of clusters before 1.16.
    roles.extend(labels.get("kubernetes.io/role").map(String::as_str));
    roles.retain(|role| !role.is_empty());
    roles.sort_unstable();
    roles.dedup();
    let version = status
        .node_info
        .and_then(|info| info.kubelet_version)
        .unwrap_or_default();
    let mut row = json!({
        "name": node.metadata.name,
        "ready": ready,
        "roles": roles,
        "version": version,
        "unschedulable": node.spec.and_then(|spec| spec.unschedulable).unwrap_or_default(),
        "capacity": status.capacity.unwrap_or_default(),
        "allocatable": status.allocatable.unwrap_or_default(),
    });
    let reason = condition
        .filter(|_| ready != "True")
        .and_then(|condition| condition.reason.as_deref());
    if let (Some(reason), Value::Object(row)) = (reason, &mut row) {
        row.insert("reason".into(), one_line(reason).into());
    }
    (row, ready == "True")
}

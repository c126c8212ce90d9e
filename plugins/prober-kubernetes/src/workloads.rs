//! Workloads of six kinds: how many replicas are wanted, how many are there.

use futures::future::join_all;
use optikon_plugin_sdk::Requester;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    member::{Ask, ListMeta, Member, Page, Read},
    pods::TABLE,
    time::Time,
};

/// Of each kind.
const MAX_ITEMS: u64 = 10_000;

/// Kinds and where they live; the second place is that of older servers.
const KINDS: [(&str, &str, Option<&str>); 6] = [
    ("Deployment", "/apis/apps/v1/deployments", None),
    ("StatefulSet", "/apis/apps/v1/statefulsets", None),
    ("DaemonSet", "/apis/apps/v1/daemonsets", None),
    ("ReplicaSet", "/apis/apps/v1/replicasets", None),
    ("Job", "/apis/batch/v1/jobs", None),
    (
        "CronJob",
        "/apis/batch/v1/cronjobs",
        Some("/apis/batch/v1beta1/cronjobs"),
    ),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WorkloadPage {
    metadata: ListMeta,
    items: Option<Vec<Item>>,
    column_definitions: Option<Vec<Column>>,
    rows: Option<Vec<Row>>,
}

impl Page for WorkloadPage {
    fn metadata(&self) -> &ListMeta {
        &self.metadata
    }
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Row {
    cells: Vec<Value>,
    object: Option<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    metadata: Meta,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: Option<String>,
    owner_references: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Debug, Default, Deserialize)]
struct Spec {
    replicas: Option<u64>,
    completions: Option<u64>,
    suspend: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    ready_replicas: Option<u64>,
    desired_number_scheduled: Option<u64>,
    number_ready: Option<u64>,
    succeeded: Option<u64>,
    /// A number for a Job, a list for a CronJob.
    active: Option<Value>,
}

/// What was seen of the workloads.
#[derive(Debug, Default)]
pub struct Workloads {
    /// As in `status.workloads`, sorted by kind, namespace and name.
    pub items: Vec<Value>,
    /// How many have all that is wanted.
    pub ready: usize,
    /// How far each kind's list was read.
    pub reads: Vec<(&'static str, Read)>,
}

/// Lists the workloads of all kinds.
pub async fn workloads<C: Requester, T: Time>(member: Member<'_, C, T>) -> Workloads {
    let lists = KINDS.map(async |(kind, path, older)| {
        let first = list(member, kind, path).await;
        match (older, &first.1.problem) {
            (Some(older), Some(problem)) if problem.reason == "NotServed" => {
                (kind, list(member, kind, older).await)
            }
            _ => (kind, first),
        }
    });
    let mut seen = Workloads::default();
    for (kind, (rows, read)) in join_all(lists).await {
        seen.ready += rows.iter().filter(|row| row.ready >= row.desired).count();
        seen.items
            .extend(rows.into_iter().map(|row| row.into_json(kind)));
        seen.reads.push((kind, read));
    }
    let text = |row: &Value, key: &str| {
        row.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    seen.items
        .sort_by_cached_key(|row| ["kind", "namespace", "name"].map(|key| text(row, key)));
    seen
}

async fn list<C: Requester, T: Time>(
    member: Member<'_, C, T>,
    kind: &str,
    path: &str,
) -> (Vec<Found>, Read) {
    // Every rollout leaves a ReplicaSet behind; a table says what is needed without their pod templates.
    let is_table = kind == "ReplicaSet";
    let ask = Ask {
        path,
        query: if is_table {
            &[("includeObject", "Metadata")]
        } else {
            &[]
        },
        accept: is_table.then_some(TABLE),
        items: MAX_ITEMS,
        ..Ask::default()
    };
    let mut rows = Vec::new();
    let read = member
        .list(ask, |page: WorkloadPage| take(page, kind, &mut rows))
        .await;
    (rows, read)
}

fn take(page: WorkloadPage, kind: &str, rows: &mut Vec<Found>) {
    let columns = page.column_definitions.unwrap_or_default();
    for row in page.rows.unwrap_or_default() {
        let cell = |name: &str| {
            let at = columns.iter().position(|column| column.name == name)?;
            row.cells.get(at)?.as_u64()
        };
        let (desired, ready) = (
            cell("Desired").unwrap_or_default(),
            cell("Ready").unwrap_or_default(),
        );
        if let Some(item) = row.object.filter(|item| !is_owned_set(item, kind)) {
            rows.push(Found::new(item.metadata, desired, ready));
        }
    }
    for item in page.items.unwrap_or_default() {
        if !is_owned_set(&item, kind) {
            rows.push(found(item, kind));
        }
    }
}

/// A ReplicaSet that a Deployment keeps is shown as that Deployment.
fn is_owned_set(item: &Item, kind: &str) -> bool {
    kind == "ReplicaSet"
        && item
            .metadata
            .owner_references
            .as_ref()
            .is_some_and(|owners| !owners.is_empty())
}

fn found(item: Item, kind: &str) -> Found {
    let (spec, status) = (
        item.spec.unwrap_or_default(),
        item.status.unwrap_or_default(),
    );
    let (desired, ready) = match kind {
        "DaemonSet" => (status.desired_number_scheduled, status.number_ready),
        "Job" => (spec.completions.or(Some(1)), status.succeeded),
        "CronJob" => {
            // Nothing of it has to run; what runs is shown.
            let active = status
                .active
                .as_ref()
                .and_then(Value::as_array)
                .map(|list| list.len() as u64);
            (active, active)
        }
        _ => (spec.replicas.or(Some(1)), status.ready_replicas),
    };
    let mut row = Found::new(
        item.metadata,
        desired.unwrap_or_default(),
        ready.unwrap_or_default(),
    );
    row.is_suspended = spec.suspend.unwrap_or_default();
    row
}

struct Found {
    namespace: String,
    name: String,
    desired: u64,
    ready: u64,
    is_suspended: bool,
}

impl Found {
    fn new(meta: Meta, desired: u64, ready: u64) -> Self {
        let namespace = meta.namespace.unwrap_or_default();
        Self {
            namespace,
            name: meta.name,
            desired,
            ready,
            is_suspended: false,
        }
    }

    fn into_json(self, kind: &str) -> Value {
        let mut row = json!({
            "kind": kind,
            "namespace": self.namespace,
            "name": self.name,
            "desired": self.desired,
            "ready": self.ready,
        });
        if let (true, Value::Object(row)) = (self.is_suspended, &mut row) {
            row.insert("suspended".into(), true.into());
        }
        row
    }
}

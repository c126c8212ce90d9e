//! Pods by phase, and why those wait that wait.
//!
//! A table is a tenth of the bytes of whole pods and says why a running pod is not well, but not its phase. So the phase is
//! part of the question, and only pods that neither run nor are done are read whole. Counts of a cluster in motion may be
//! off by those that changed between the questions.

use std::collections::BTreeMap;

use futures::future::join3;
use optikon_plugin_sdk::Requester;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    member::{Ask, ListMeta, Member, Page, Read},
    time::Time,
};

/// Servers before 1.15 know only the second form; those before 1.10 answer whole pods.
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
    application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
/// Of one question.
const MAX_ITEMS: u64 = 50_000;
/// Reasons told apart; the rest is `Other`.
const MAX_REASONS: usize = 30;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodPage {
    metadata: ListMeta,
    items: Option<Vec<Pod>>,
    column_definitions: Option<Vec<Column>>,
    rows: Option<Vec<Row>>,
}

impl Page for PodPage {
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
}

#[derive(Debug, Deserialize)]
struct Pod {
    status: Option<PodStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    phase: Option<String>,
    reason: Option<String>,
    conditions: Option<Vec<Condition>>,
    init_container_statuses: Option<Vec<Container>>,
    container_statuses: Option<Vec<Container>>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Container {
    state: Option<State>,
}

#[derive(Debug, Deserialize)]
struct State {
    waiting: Option<Waiting>,
}

#[derive(Debug, Deserialize)]
struct Waiting {
    reason: Option<String>,
}

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Running,
    Succeeded,
    Others,
}

impl Group {
    fn selector(self) -> &'static str {
        match self {
            Self::Running => "status.phase=Running",
            Self::Succeeded => "status.phase=Succeeded",
            Self::Others => "status.phase!=Running,status.phase!=Succeeded",
        }
    }

    fn of(phase: &str) -> Self {
        match phase {
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            _ => Self::Others,
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    phases: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, phase: &str, reason: Option<&str>) {
        let phase = match phase {
            "Running" | "Succeeded" | "Pending" | "Failed" => phase,
            _ => "Unknown",
        };
        *self.phases.entry(phase.to_owned()).or_default() += 1;
        let Some(reason) = reason.filter(|reason| !reason.is_empty()) else {
            return;
        };
        let is_word = reason.len() <= 64
            && reason
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ":/.-".contains(c));
        let has_room = self.reasons.len() < MAX_REASONS || self.reasons.contains_key(reason);
        let reason = if is_word && has_room { reason } else { "Other" };
        *self.reasons.entry(reason.to_owned()).or_default() += 1;
    }

    fn take(&mut self, page: PodPage, group: Group) {
        let columns = page.column_definitions.unwrap_or_default();
        let column = columns.iter().position(|column| column.name == "Status");
        for row in page.rows.unwrap_or_default() {
            let cell = column
                .and_then(|at| row.cells.get(at))
                .and_then(Value::as_str)
                .unwrap_or_default();
            match group {
                Group::Running => {
                    let is_plain =
                        matches!(cell, "Running" | "NotReady" | "Completed" | "Terminating");
                    self.add("Running", Some(cell).filter(|_| !is_plain));
                }
                Group::Succeeded => self.add("Succeeded", None),
                Group::Others => self.add(cell, None),
            }
        }
        for pod in page.items.unwrap_or_default() {
            let status = pod.status.unwrap_or_default();
            let phase = status.phase.as_deref().unwrap_or("Unknown");
            // A server that ignores the selector answers every question with all pods.
            if Group::of(phase) == group {
                self.add(phase, reason(&status, phase));
            }
        }
    }
}

fn reason<'a>(status: &'a PodStatus, phase: &str) -> Option<&'a str> {
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    let mut waiting = containers.filter_map(|container| {
        container
            .state
            .as_ref()?
            .waiting
            .as_ref()?
            .reason
            .as_deref()
    });
    let scheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.r#type == "PodScheduled");
    let unscheduled = scheduled.filter(|condition| condition.status == "False");
    match phase {
        "Succeeded" => None,
        _ => waiting
            .next()
            .or_else(|| unscheduled.and_then(|condition| condition.reason.as_deref()))
            .or(status.reason.as_deref()),
    }
}

/// What was seen of the pods.
#[derive(Debug, Default)]
pub struct Pods {
    /// As in `status.pods`.
    pub value: Value,
    /// How far the lists were read.
    pub read: Read,
}

/// Counts the pods.
pub async fn pods<C: Requester, T: Time>(member: Member<'_, C, T>) -> Pods {
    let ask = async |group: Group| {
        let is_whole = group == Group::Others;
        let selector = ("fieldSelector", group.selector());
        let query = [selector, ("includeObject", "None")];
        let ask = Ask {
            path: "/api/v1/pods",
            query: if is_whole { &query[..1] } else { &query },
            accept: (!is_whole).then_some(TABLE),
            items: MAX_ITEMS,
            ..Ask::default()
        };
        let mut counts = Counts::default();
        let read = member
            .list(ask, |page: PodPage| counts.take(page, group))
            .await;
        (counts, read)
    };
    let (running, done, others) = join3(
        ask(Group::Running),
        ask(Group::Succeeded),
        ask(Group::Others),
    )
    .await;
    let (mut counts, mut read) = (Counts::default(), Read::default());
    for (part, its_read) in [running, done, others] {
        read.is_answered |= its_read.is_answered;
        read.problem = read.problem.or(its_read.problem);
        counts.phases.extend(part.phases);
        for (reason, count) in part.reasons {
            *counts.reasons.entry(reason).or_default() += count;
        }
    }
    let total: u64 = counts.phases.values().sum();
    let object = |map: BTreeMap<String, u64>| {
        map.into_iter()
            .map(|(k, n)| (k, n.into()))
            .collect::<Map<_, _>>()
    };
    let value = json!({
        "total": total,
        "byPhase": object(counts.phases),
        "byWaitingReason": object(counts.reasons),
    });
    Pods { value, read }
}

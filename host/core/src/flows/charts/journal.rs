//! Operations as they last: the record, its events, and the sealed part that ends with it.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    ChartFlows, Inner, Live, Wish,
    request::{Options, Strategy},
};
use crate::{
    error::{Error, Result},
    flows::health::{one_line, rfc3339},
    ports::{Progress, Table},
    words::{Operation, OperationId, OperationState, SlotName, TargetState},
};

/// Events of one operation answered at once.
const MAX_EVENTS: usize = 1_000;

/// What an operation needs to go on after a restart, and nobody may read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// The backend's slot.
    pub(super) slot: String,
    /// Base64.
    pub(super) plans: Vec<String>,
    /// By row; absent where none was made.
    pub(super) plan_of: Vec<Option<usize>>,
    /// By row: what the plan was prepared as.
    pub(super) actions: Vec<String>,
    pub(super) options: Options,
    pub(super) strategy: Strategy,
    /// For a rollback.
    pub(super) to_revision: u32,
}

impl Sealed {
    pub(super) fn plan(&self, row: usize) -> Result<Option<bytes::Bytes>> {
        let Some(index) = self.plan_of.get(row).copied().flatten() else {
            return Ok(None);
        };
        let text = self
            .plans
            .get(index)
            .ok_or_else(|| Error::Internal("a plan is missing".into()))?;
        let bytes = STANDARD
            .decode(text)
            .map_err(|e| Error::Internal(format!("a sealed plan: {e}")))?;
        Ok(Some(bytes.into()))
    }

    pub(super) fn slot(&self) -> Result<SlotName> {
        self.slot
            .parse()
            .map_err(|e| Error::Internal(format!("a sealed slot: {e}")))
    }
}

/// Which operations to show.
#[derive(Debug, Clone, Default)]
pub struct OperationQuery {
    /// Only in this state.
    pub state: Option<OperationState>,
    /// Only of this release.
    pub release: Option<String>,
    /// At most so many; 0 = 100.
    pub limit: usize,
}

/// Something that happened in an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// From 1, without gaps.
    pub number: u64,
    /// RFC 3339.
    pub time: String,
    /// `operation`, `target` or `progress`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says.
    #[serde(flatten)]
    pub details: serde_json::Map<String, Value>,
}

impl ChartFlows {
    /// Operations, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn operations(&self, query: &OperationQuery) -> Result<Vec<Operation>> {
        let rows = self
            .inner
            .documents
            .scan_documents(Table::Operations, "", None, 10_000)
            .await?;
        let limit = if query.limit == 0 { 100 } else { query.limit };
        let mut found = Vec::new();
        for (_, bytes) in rows.into_iter().rev() {
            let operation: Operation = read(&bytes)?;
            let fits = query.state.is_none_or(|s| s == operation.state)
                && query
                    .release
                    .as_ref()
                    .is_none_or(|r| *r == operation.release);
            if fits {
                found.push(operation);
            }
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// One operation.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn operation(&self, id: &OperationId) -> Result<Operation> {
        if let Some(live) = self.inner.live(id) {
            return Ok(live.snapshot());
        }
        let bytes = self
            .inner
            .documents
            .read(Table::Operations, id.as_str())
            .await?;
        read(&bytes.ok_or_else(|| Error::not_found("operation", id))?)
    }

    /// Events after a number, at most 1,000; with `is_waiting`, waits for one while the operation is
    /// not over. Empty = it is over and everything was answered.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn events(
        &self,
        id: &OperationId,
        after: u64,
        is_waiting: bool,
    ) -> Result<Vec<OperationEvent>> {
        loop {
            // Not kept: a sender of our own would keep the channel open when the operation is over.
            let mut waiter = self.inner.live(id).map(|live| live.events.subscribe());
            let prefix = format!("{id}/");
            let start = format!("{id}/{after:010}");
            let rows = self
                .inner
                .documents
                .scan_documents(Table::OperationEvents, &prefix, Some(&start), MAX_EVENTS)
                .await?;
            if !rows.is_empty() {
                return rows.iter().map(|(_, bytes)| read(bytes)).collect();
            }
            let Some(waiter) = waiter.as_mut().filter(|_| is_waiting) else {
                self.operation(id).await?;
                return Ok(Vec::new());
            };
            if *waiter.borrow_and_update() <= after && waiter.changed().await.is_err() {
                continue;
            }
        }
    }

    /// Asks a running operation to end: no further target is begun.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is over.
    pub async fn cancel(&self, id: &OperationId) -> Result<Operation> {
        self.wish(id, Wish::Cancel).await
    }

    /// Goes on after a manual pause.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it does not pause.
    pub async fn resume(&self, id: &OperationId) -> Result<Operation> {
        let operation = self.operation(id).await?;
        if operation.state != OperationState::Paused {
            return Err(Error::Conflict {
                message: format!("operation {id} does not pause"),
                revision: None,
            });
        }
        self.wish(id, Wish::Resume).await
    }

    async fn wish(&self, id: &OperationId, wish: Wish) -> Result<Operation> {
        let Some(live) = self.inner.live(id) else {
            self.operation(id).await?;
            return Err(Error::Conflict {
                message: format!("operation {id} is over"),
                revision: None,
            });
        };
        if wish == Wish::Cancel {
            let changed = live.change(|o| o.state = OperationState::Cancelling);
            self.inner.save(&changed).await?;
            self.inner
                .event(&live, "operation", json!({ "state": "cancelling" }))
                .await;
        }
        live.wish.send_replace(wish);
        Ok(live.snapshot())
    }
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::Internal(format!("journal: {e}")))
}

impl Live {
    pub(super) fn new(operation: Operation, last_event: u64) -> Self {
        Self {
            operation: Arc::new(Mutex::new(operation)),
            events: watch::channel(last_event).0,
            wish: watch::channel(Wish::GoOn).0,
        }
    }

    pub(super) fn snapshot(&self) -> Operation {
        self.operation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Operation)) -> Operation {
        let mut operation = self
            .operation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut operation);
        operation.clone()
    }
}

/// Where an operation's secrets are sealed.
pub(super) fn sealed_id(id: &OperationId) -> String {
    format!("operation/{id}")
}

impl Inner {
    /// Durable when it returns.
    pub(super) async fn save(&self, operation: &Operation) -> Result<()> {
        let bytes = serde_json::to_vec(operation).map_err(|e| Error::Internal(e.to_string()))?;
        let row = (
            Table::Operations,
            operation.id.as_str().to_owned(),
            Some(bytes),
        );
        self.documents.write(vec![row]).await
    }

    /// Tells those who follow. A lost event is no reason to stop: the record itself says it all.
    pub(super) async fn event(&self, live: &Live, kind: &str, details: Value) {
        let id = live.snapshot().id;
        let mut number = 0;
        live.events.send_if_modified(|last| {
            number = *last + 1;
            false
        });
        let event = OperationEvent {
            number,
            time: rfc3339(self.world.now_ms()),
            kind: kind.to_owned(),
            details: details.as_object().cloned().unwrap_or_default(),
        };
        let Ok(bytes) = serde_json::to_vec(&event) else {
            return;
        };
        let row = (
            Table::OperationEvents,
            format!("{id}/{number:010}"),
            Some(bytes),
        );
        match self.documents.write(vec![row]).await {
            Ok(()) => {
                live.events.send_replace(number);
            }
            Err(error) => tracing::warn!(operation = %id, %error, "an event could not be kept"),
        }
    }

    /// A backend's report, as an event of its operation.
    pub(super) async fn tell(&self, report: Progress) {
        let Some(live) = report.operation.parse().ok().and_then(|id| self.live(&id)) else {
            return;
        };
        let details = json!({
            "cluster": report.cluster, "phase": one_line(&report.phase),
            "message": one_line(&report.message), "done": report.done, "total": report.total,
        });
        self.event(&live, "progress", details).await;
    }

    pub(super) async fn open_sealed(&self, id: &OperationId) -> Result<Sealed> {
        let bytes = self.vault.open_bytes(&sealed_id(id)).await?;
        let bytes = bytes
            .ok_or_else(|| Error::Internal(format!("the sealed part of operation {id} is gone")))?;
        read(&bytes)
    }

    pub(super) async fn last_event(&self, id: &OperationId) -> Result<u64> {
        let mut after = 0;
        loop {
            let start = format!("{id}/{after:010}");
            let prefix = format!("{id}/");
            let rows = self
                .documents
                .scan_documents(Table::OperationEvents, &prefix, Some(&start), MAX_EVENTS)
                .await?;
            let Some((key, _)) = rows.last() else {
                return Ok(after);
            };
            after = key
                .rsplit('/')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(after + 1);
        }
    }
}

/// What the rows say of the whole.
pub(super) fn verdict(operation: &Operation, is_cancelled: bool) -> OperationState {
    let count = |state| {
        operation
            .targets
            .iter()
            .filter(|t| t.state == state)
            .count()
    };
    let good = count(TargetState::Succeeded) + count(TargetState::Unchanged);
    let total = operation.targets.len();
    if good == total {
        OperationState::Succeeded
    } else if is_cancelled {
        OperationState::Cancelled
    } else if good == 0 && count(TargetState::RolledBack) > 0 {
        OperationState::RolledBack
    } else if good > 0 {
        OperationState::Partial
    } else {
        OperationState::Failed
    }
}

//! Operations as they last: the record, its events, and the sealed part that ends with it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    ChartFlows, Inner, Wish,
    request::{Options, Strategy},
};
use crate::{
    error::{Error, Result},
    ports::Table,
    words::{Caller, Operation, OperationId, OperationState, SlotName, TargetState},
};

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

impl ChartFlows {
    /// Operations, newest first, with the rows of clusters that the caller may know of.
    ///
    /// # Errors
    /// The store's.
    pub async fn operations(
        &self,
        caller: &Caller,
        query: &OperationQuery,
    ) -> Result<Vec<Operation>> {
        let rows = self
            .inner
            .documents
            .scan_documents(Table::Operations, "", None, 10_000)
            .await?;
        let limit = if query.limit == 0 { 100 } else { query.limit };
        let mut found = Vec::new();
        for (_, bytes) in rows.into_iter().rev() {
            let kept: Operation = read(&bytes)?;
            let operation = self.inner.live(&kept.id).map_or(kept, |l| l.snapshot());
            let fits = query.state.is_none_or(|s| s == operation.state)
                && query
                    .release
                    .as_ref()
                    .is_none_or(|r| *r == operation.release);
            found.extend(self.shown(caller, operation).filter(|_| fits));
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// One operation, with the rows of clusters that the caller may know of.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn operation(&self, caller: &Caller, id: &OperationId) -> Result<Operation> {
        let operation = self.present(id).await?;
        self.shown(caller, operation)
            .ok_or_else(|| Error::not_found("operation", id))
    }

    async fn present(&self, id: &OperationId) -> Result<Operation> {
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

    /// None where nothing of it is for this caller.
    fn shown(&self, caller: &Caller, mut operation: Operation) -> Option<Operation> {
        if caller.selector.is_empty() {
            return Some(operation);
        }
        let mirror = self.inner.clusters.mirror();
        operation.targets.retain(|target| {
            mirror
                .get(&target.cluster)
                .is_some_and(|e| e.uid == target.uid && e.is_selected_by(&caller.selector))
        });
        Some(operation).filter(|o| !o.targets.is_empty())
    }

    /// Asks a running operation to end: no further target is begun.
    ///
    /// # Errors
    /// `NotFound`; `Denied` when it touches clusters that the caller may not change; `Conflict` when it is over.
    pub async fn cancel(&self, caller: &Caller, id: &OperationId) -> Result<Operation> {
        self.wish(caller, id, Wish::Cancel).await
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// As [`ChartFlows::cancel`]; `Conflict` when it does not pause.
    pub async fn resume(&self, caller: &Caller, id: &OperationId) -> Result<Operation> {
        let operation = self.operation(caller, id).await?;
        if operation.state != OperationState::Paused {
            return Err(Error::Conflict {
                message: format!("operation {id} does not pause"),
                revision: None,
            });
        }
        self.wish(caller, id, Wish::Resume).await
    }

    async fn wish(&self, caller: &Caller, id: &OperationId, wish: Wish) -> Result<Operation> {
        self.inner.recovered().await?;
        let seen = self.operation(caller, id).await?;
        let over = || Error::Conflict {
            message: format!("operation {id} is over"),
            revision: None,
        };
        let live = self.inner.live(id).ok_or_else(over)?;
        if live.with(|o| o.targets.len()) > seen.targets.len() {
            return Err(Error::Denied(format!(
                "operation {id} changes clusters beyond those of this token"
            )));
        }
        if wish == Wish::Cancel {
            live.change(|o| o.state = OperationState::Cancelling);
            self.inner.save(&live.snapshot()).await?;
            self.inner
                .event(&live, "operation", json!({ "state": "cancelling" }))
                .await;
        }
        live.wish.send_replace(wish);
        Ok(live.snapshot())
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::Internal(format!("journal: {e}")))
}

/// Where an operation's secrets are sealed.
pub(super) fn sealed_id(id: &OperationId) -> String {
    format!("operation/{id}")
}

impl Inner {
    /// Durable when it returns.
    pub(super) async fn save(&self, operation: &Operation) -> Result<()> {
        self.documents.write(vec![row_of(operation)?]).await
    }

    pub(super) async fn open_sealed(&self, id: &OperationId) -> Result<Sealed> {
        let bytes = self.vault.open_bytes(&sealed_id(id)).await?;
        let bytes = bytes
            .ok_or_else(|| Error::Internal(format!("the sealed part of operation {id} is gone")))?;
        read(&bytes)
    }
}

/// The record as the store keeps it.
pub(super) fn row_of(operation: &Operation) -> Result<(Table, String, Option<Vec<u8>>)> {
    let bytes = serde_json::to_vec(operation).map_err(|e| Error::Internal(e.to_string()))?;
    let key = operation.id.as_str().to_owned();
    Ok((Table::Operations, key, Some(bytes)))
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
    let changed = count(TargetState::Succeeded);
    let good = changed + count(TargetState::Unchanged);
    let total = operation.targets.len();
    if good == total {
        OperationState::Succeeded
    } else if is_cancelled {
        OperationState::Cancelled
    } else if changed == 0 && count(TargetState::RolledBack) > 0 {
        OperationState::RolledBack
    } else if good > 0 {
        OperationState::Partial
    } else {
        OperationState::Failed
    }
}

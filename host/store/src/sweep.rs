//! Retention: what is old enough to go.

use std::collections::BTreeSet;

use optikon_core::{Result, ports::Table, words::OperationState};
use redb::ReadableTable;
use serde::Deserialize;

use crate::{
    error::Failure,
    open::Store,
    tables::{self, AUDIT, split_number},
    writer::Txn,
};

/// Rows that one transaction removes: others wait for it.
const BATCH: usize = 2_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How long things stay.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Audit records, in milliseconds. Default: 90 days.
    pub audit_ms: u64,
    /// Ended operations. Default: 1,000.
    pub operations: usize,
    /// Ended operations, in milliseconds. Default: 30 days.
    pub operations_ms: u64,
    /// Idempotency keys, in milliseconds. Default: 24 h.
    pub idempotency_ms: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            audit_ms: 90 * DAY_MS,
            operations: 1_000,
            operations_ms: 30 * DAY_MS,
            idempotency_ms: DAY_MS,
        }
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Audit records.
    pub audit: usize,
    /// Ended operations, each with its events.
    pub operations: usize,
    /// Idempotency keys.
    pub idempotency: usize,
}

/// The part of an operation that retention looks at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    state: OperationState,
    finished_ms: Option<u64>,
}

impl Store {
    /// Removes what retention no longer keeps, `now_ms` being Unix milliseconds. Call it hourly;
    /// operations that have not ended stay, whatever their age.
    ///
    /// # Errors
    /// When the store takes no writes; what was removed until then stays removed.
    pub async fn sweep(&self, now_ms: u64) -> Result<Swept> {
        let retention = self.shared().retention;
        let mut swept = Swept::default();
        let audit_end = now_ms.saturating_sub(retention.audit_ms);
        loop {
            let gone = self.sweep_step(move |txn| audit(txn, audit_end)).await?;
            swept.audit += gone;
            if gone < BATCH {
                break;
            }
        }
        let idempotency_end = now_ms.saturating_sub(retention.idempotency_ms);
        loop {
            let gone = self
                .sweep_step(move |txn| idempotency(txn, idempotency_end))
                .await?;
            swept.idempotency += gone;
            if gone < BATCH {
                break;
            }
        }
        for id in self.old_operations(now_ms).await? {
            swept.operations += self.sweep_step(move |txn| operation(txn, &id)).await?;
        }
        Ok(swept)
    }

    async fn sweep_step(
        &self,
        step: impl FnOnce(&Txn<'_>) -> Result<usize, Failure> + Send + 'static,
    ) -> Result<usize> {
        self.shared().queue.submit(0, step).await
    }

    /// Ended operations beyond their time or number; ids rise with time.
    async fn old_operations(&self, now_ms: u64) -> Result<BTreeSet<String>> {
        self.blocking(move |shared| {
            let retention = shared.retention;
            let end = now_ms.saturating_sub(retention.operations_ms);
            shared.db.read(|txn| {
                let table = txn.open_table(tables::documents(Table::Operations))?;
                let mut old = BTreeSet::new();
                let mut kept = 0;
                for row in table.iter()?.rev() {
                    let (key, value) = row?;
                    let (written_ms, json) = split_number(value.value())?;
                    // What cannot be read is not thrown away either; `check` reports it.
                    let Ok(operation) = serde_json::from_slice::<Ended>(json) else {
                        continue;
                    };
                    if !operation.state.is_final() {
                        continue;
                    }
                    if operation.finished_ms.unwrap_or(written_ms) < end
                        || kept >= retention.operations
                    {
                        old.insert(key.value().to_owned());
                    } else {
                        kept += 1;
                    }
                }
                Ok(old)
            })
        })
        .await
    }
}

fn audit(txn: &Txn<'_>, end: u64) -> Result<usize, Failure> {
    let mut table = txn.raw.open_table(AUDIT)?;
    let mut old = Vec::new();
    for row in table.iter()?.take(BATCH) {
        let (number, value) = row?;
        if split_number(value.value())?.0 >= end {
            break;
        }
        old.push(number.value());
    }
    for number in &old {
        table.remove(number)?;
    }
    Ok(old.len())
}

fn idempotency(txn: &Txn<'_>, end: u64) -> Result<usize, Failure> {
    let mut table = txn.raw.open_table(tables::documents(Table::Idempotency))?;
    let mut old = Vec::new();
    for row in table.iter()? {
        let (key, value) = row?;
        if split_number(value.value())?.0 < end {
            old.push(key.value().to_owned());
        }
        if old.len() == BATCH {
            break;
        }
    }
    for key in &old {
        table.remove(key.as_str())?;
    }
    Ok(old.len())
}

fn operation(txn: &Txn<'_>, id: &str) -> Result<usize, Failure> {
    let mut operations = txn.raw.open_table(tables::documents(Table::Operations))?;
    let was_there = operations.remove(id)?.is_some();
    let mut events = txn
        .raw
        .open_table(tables::documents(Table::OperationEvents))?;
    let (first, end) = (format!("{id}/"), format!("{id}0"));
    events.retain_in(first.as_str()..end.as_str(), |_, _| false)?;
    Ok(usize::from(was_there))
}

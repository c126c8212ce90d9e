//! The audit trail: who did what. Records wait in memory for less than a second.

use optikon_core::{Error, Result};

use crate::{
    error::Failure,
    open::Store,
    tables::{AUDIT, AUDIT_KEY, advance, split_number, with_number},
    writer::Txn,
};

/// One record; a longer one is replaced by a note of its size.
const MAX_RECORD_BYTES: usize = 64 << 10;
/// Records that wait while the disk is full. More are counted, not kept.
const MAX_PENDING: usize = 10_000;
const MAX_PENDING_BYTES: usize = 16 << 20;
/// One answer.
const MAX_ANSWER: usize = 1_000;

/// Records on their way.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    records: Vec<Vec<u8>>,
    bytes: usize,
    lost: u64,
}

impl Pending {
    pub(crate) fn push(&mut self, record: Vec<u8>) {
        if self.records.len() >= MAX_PENDING || self.bytes + record.len() > MAX_PENDING_BYTES {
            if self.lost == 0 {
                tracing::error!("audit records are lost: the store takes no writes");
            }
            self.lost += 1;
            return;
        }
        self.bytes += record.len();
        self.records.push(record);
    }

    pub(crate) fn extend(&mut self, newer: Self) {
        self.lost += newer.lost;
        for record in newer.records {
            self.push(record);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.lost == 0
    }
}

/// Writes all records in one transaction, and a note about those that were lost.
pub(crate) fn append(txn: &Txn<'_>, pending: &Pending) -> Result<(), redb::Error> {
    let note = (pending.lost > 0)
        .then(|| serde_json::json!({ "action": "audit-lost", "count": pending.lost }).to_string());
    let count = pending.records.len() as u64 + u64::from(note.is_some());
    let first = advance(txn.raw, AUDIT_KEY, 1, count).map_err(|failure| match failure {
        Failure::Storage(error) => error,
        Failure::Refused(error) => redb::Error::Corrupted(error.to_string()),
    })?;
    let mut table = txn.raw.open_table(AUDIT)?;
    let records = pending.records.iter().map(Vec::as_slice);
    for (number, record) in (first..).zip(records.chain(note.as_deref().map(str::as_bytes))) {
        table.insert(number, with_number(txn.now_ms, record).as_slice())?;
    }
    Ok(())
}

impl Store {
    pub(crate) fn append_audit(&self, record: &serde_json::Value) {
        let mut bytes = record.to_string().into_bytes();
        if bytes.len() > MAX_RECORD_BYTES {
            bytes = serde_json::json!({ "action": "audit-too-long", "bytes": bytes.len() })
                .to_string()
                .into_bytes();
        }
        self.shared().queue.audit(bytes);
    }

    pub(crate) async fn read_audit(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, serde_json::Value)>> {
        // A caller sees its own deeds. On a full disk the trail is read as far as it was written.
        match self.shared().queue.flush().await {
            Ok(()) | Err(Error::Unavailable { .. }) => {}
            Err(error) => return Err(error),
        }
        self.blocking(move |shared| {
            shared.db.read(|txn| {
                let table = txn.open_table(AUDIT)?;
                let mut records = Vec::new();
                for row in table
                    .range(..before.unwrap_or(u64::MAX))?
                    .rev()
                    .take(limit.min(MAX_ANSWER))
                {
                    let (number, bytes) = row?;
                    let (_, json) = split_number(bytes.value())?;
                    let value = serde_json::from_slice(json).map_err(|e| {
                        redb::Error::Corrupted(format!("audit record {}: {e}", number.value()))
                    })?;
                    records.push((number.value(), value));
                }
                Ok(records)
            })
        })
        .await
    }
}

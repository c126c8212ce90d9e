//! The host's own documents: small tables, written together or not at all.

use async_trait::async_trait;
use optikon_core::{
    Error, Result,
    ports::{Documents, Table},
};

use crate::{
    open::Store,
    tables::{self, COUNTER_PREFIX, advance, split_number, with_number},
};

/// Keys are names, uids, ids and digests.
const MAX_KEY_BYTES: usize = 1024;

#[async_trait]
impl Documents for Store {
    async fn read(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        self.shared().db.read(|txn| {
            let table = txn.open_table(tables::documents(table))?;
            let Some(row) = table.get(key)? else {
                return Ok(None);
            };
            Ok(Some(split_number(row.value())?.1.to_vec()))
        })
    }

    async fn scan_documents(
        &self,
        table: Table,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |shared| {
            shared.db.read(|txn| {
                let table = txn.open_table(tables::documents(table))?;
                let start = match after.as_deref() {
                    Some(after) if after >= prefix.as_str() => std::ops::Bound::Excluded(after),
                    _ => std::ops::Bound::Included(prefix.as_str()),
                };
                let mut found = Vec::new();
                for row in table.range::<&str>((start, std::ops::Bound::Unbounded))? {
                    let (key, value) = row?;
                    if found.len() >= limit || !key.value().starts_with(&prefix) {
                        break;
                    }
                    let document = split_number(value.value())?.1.to_vec();
                    found.push((key.value().to_owned(), document));
                }
                Ok(found)
            })
        })
        .await
    }

    async fn write(&self, changes: Vec<(Table, String, Option<Vec<u8>>)>) -> Result<()> {
        let limit = self.shared().limits.document_bytes;
        let mut bytes = 0;
        for (table, key, value) in &changes {
            let size = value.as_ref().map_or(0, Vec::len);
            let what = |what: &str| format!("{what} of table \"{}\"", table.name());
            if key.len() > MAX_KEY_BYTES {
                return Err(Error::TooLarge {
                    what: what("a key"),
                    limit_bytes: MAX_KEY_BYTES as u64,
                });
            }
            if size > limit {
                return Err(Error::TooLarge {
                    what: what("a document"),
                    limit_bytes: limit as u64,
                });
            }
            bytes += key.len() + size;
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.shared()
            .queue
            .submit(bytes, move |txn| {
                for (table, key, value) in &changes {
                    let mut table = txn.raw.open_table(tables::documents(*table))?;
                    match value {
                        Some(value) => {
                            let stored = with_number(txn.now_ms, value);
                            table.insert(key.as_str(), stored.as_slice())?;
                        }
                        None => {
                            table.remove(key.as_str())?;
                        }
                    }
                }
                Ok(())
            })
            .await
    }

    async fn reserve(&self, counter: &str, count: u64) -> Result<u64> {
        let key = format!("{COUNTER_PREFIX}{counter}");
        self.shared()
            .queue
            .submit(key.len(), move |txn| advance(txn.raw, &key, 1, count))
            .await
    }

    fn audit(&self, record: serde_json::Value) {
        self.append_audit(&record);
    }

    async fn audit_records(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, serde_json::Value)>> {
        self.read_audit(before, limit).await
    }

    fn writable(&self) -> std::result::Result<(), String> {
        match self.shared().db.problem() {
            Some(error) => Err(error.to_string()),
            None => Ok(()),
        }
    }
}

//! What is in the file: tables, format number, migrations.
//!
//! Format 1. Changing what a table holds is a new format with a [`Migration`] from the one before.

use optikon_core::ports::Table;
use redb::{
    Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};

use crate::error::Failure;

/// The format that this version writes.
pub const FORMAT: u64 = 1;

/// Numbers of the store itself: [`FORMAT_KEY`], [`REVISION_KEY`], [`AUDIT_KEY`], `counter:<name>`.
pub(crate) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// (slot, key) → eight bytes of version, then the value.
pub(crate) const ENTRIES: TableDefinition<'_, (&str, &str), &[u8]> =
    TableDefinition::new("kv.entries");
/// (slot, version) → one change; see `kv`.
pub(crate) const LOG: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("kv.log");
/// slot → (last version, bytes of all entries, version before the log's first, bytes of the log).
pub(crate) const SLOTS: TableDefinition<'_, &str, (u64, u64, u64, u64)> =
    TableDefinition::new("kv.slots");
/// id → (what may be read without the key, the sealed rest); see `vault`.
pub(crate) const VAULT: TableDefinition<'_, &str, (&[u8], &[u8])> = TableDefinition::new("vault");
/// Sequence number → eight bytes of Unix milliseconds, then JSON.
pub(crate) const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");

pub(crate) const FORMAT_KEY: &str = "format";
pub(crate) const REVISION_KEY: &str = "revision";
/// The next audit record's number.
pub(crate) const AUDIT_KEY: &str = "audit";
pub(crate) const COUNTER_PREFIX: &str = "counter:";

/// A document's table: key → eight bytes of Unix milliseconds of its last write, then the document.
pub(crate) fn documents(table: Table) -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(match table {
        Table::Mirror => "doc.mirror",
        Table::Probes => "doc.probes",
        Table::Tokens => "doc.tokens",
        Table::Slots => "doc.slots",
        Table::Operations => "doc.operations",
        Table::OperationEvents => "doc.operation-events",
        Table::Idempotency => "doc.idempotency",
        Table::Archives => "doc.archives",
        Table::Repositories => "doc.repositories",
        Table::Meta => "doc.meta",
    })
}

/// What the store takes. The defaults are the product's; tests lower them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One key of a slot, in bytes.
    pub key_bytes: usize,
    /// One value of a slot, in bytes.
    pub value_bytes: usize,
    /// All keys and values of a slot, in bytes.
    pub slot_bytes: u64,
    /// Changes that a slot's log keeps.
    pub log_changes: u64,
    /// Bytes that a slot's log keeps.
    pub log_bytes: u64,
    /// One document, in bytes.
    pub document_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_bytes: 1024,
            value_bytes: 1 << 20,
            slot_bytes: 1 << 30,
            log_changes: 20_000, // twice what the mirror keeps for its own watches
            log_bytes: 256 << 20, // 20,000 changes of 13 KiB, a generous cluster object
            document_bytes: 16 << 20,
        }
    }
}

/// A step from one format to the next.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The format it starts from; it ends at the next number.
    pub from: u64,
    /// Does the step, in one transaction with the new number.
    pub apply: fn(&WriteTransaction) -> Result<(), redb::Error>,
}

/// Makes every table, and the numbers of an empty store.
pub(crate) fn initialise(txn: &WriteTransaction, format: u64) -> Result<(), redb::Error> {
    let mut numbers = txn.open_table(NUMBERS)?;
    numbers.insert(FORMAT_KEY, format)?;
    if numbers.get(REVISION_KEY)?.is_none() {
        numbers.insert(REVISION_KEY, 1)?;
    }
    txn.open_table(ENTRIES)?;
    txn.open_table(LOG)?;
    txn.open_table(SLOTS)?;
    txn.open_table(VAULT)?;
    txn.open_table(AUDIT)?;
    for table in Table::ALL {
        txn.open_table(documents(table))?;
    }
    Ok(())
}

/// Format and revision of a database; `None` when it is empty.
pub(crate) fn stamps(db: &Database) -> Result<Option<(u64, u64)>, redb::Error> {
    let txn = db.begin_read()?;
    let numbers = match txn.open_table(NUMBERS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let format = numbers.get(FORMAT_KEY)?.map(|n| n.value());
    let revision = numbers.get(REVISION_KEY)?.map(|n| n.value());
    Ok(format.zip(revision))
}

/// Adds to a number of [`NUMBERS`] and answers what it was; `start` where there was none.
pub(crate) fn advance(
    txn: &WriteTransaction,
    key: &str,
    start: u64,
    by: u64,
) -> Result<u64, Failure> {
    let mut numbers = txn.open_table(NUMBERS)?;
    let now = numbers.get(key)?.map_or(start, |n| n.value());
    let next = now.checked_add(by).ok_or_else(|| {
        optikon_core::Error::Internal(format!("the counter \"{key}\" has no numbers left"))
    })?;
    numbers.insert(key, next)?;
    Ok(now)
}

/// Splits eight bytes of a number off the front.
pub(crate) fn split_number(bytes: &[u8]) -> Result<(u64, &[u8]), redb::Error> {
    match bytes.split_first_chunk::<8>() {
        Some((number, rest)) => Ok((u64::from_be_bytes(*number), rest)),
        None => Err(redb::Error::Corrupted(
            "a record is shorter than its head".to_owned(),
        )),
    }
}

/// The opposite of [`split_number`].
pub(crate) fn with_number(number: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + rest.len());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

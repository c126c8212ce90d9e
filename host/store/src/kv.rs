//! A plugin's durable keys: one name space, one rising version and one change log per slot.
//!
//! The log carries the values, so that a watch that comes back sees every change as it was. It is
//! bounded in number and bytes; who fell behind it is told `Expired` and lists again.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use optikon_core::{
    Error, Result,
    ports::{Change, ChangeStream, Entry, Expectation, Kv, Scan},
    words::SlotName,
};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable};

use crate::{
    error::Failure,
    open::{Shared, Store},
    tables::{ENTRIES, LOG, Limits, NUMBERS, REVISION_KEY, SLOTS, split_number, with_number},
    writer::Txn,
};

/// Entries of one page, as the contract of `optikon:host/kv` says.
const MAX_PAGE: u32 = 1_000;
/// A page ends early when it holds this much: an answer stays below what a guest may receive.
pub(crate) const PAGE_BYTES: usize = 8 << 20;

/// A slot's row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SlotState {
    /// The last version that was given out.
    pub(crate) version: u64,
    /// Keys and values of all entries.
    bytes: u64,
    /// Every change after this version is in the log.
    pub(crate) log_start: u64,
    log_bytes: u64,
}

impl SlotState {
    fn from_row((version, bytes, log_start, log_bytes): (u64, u64, u64, u64)) -> Self {
        Self {
            version,
            bytes,
            log_start,
            log_bytes,
        }
    }

    fn row(self) -> (u64, u64, u64, u64) {
        (self.version, self.bytes, self.log_start, self.log_bytes)
    }

    pub(crate) fn read(txn: &ReadTransaction, slot: &str) -> Result<Self, Failure> {
        let row = txn.open_table(SLOTS)?.get(slot)?.map(|r| r.value());
        Ok(row.map(Self::from_row).unwrap_or_default())
    }
}

fn check_key(key: &str, limits: &Limits) -> Result<()> {
    if key.is_empty() {
        return Err(Error::invalid("key", "must not be empty"));
    }
    if key.len() > limits.key_bytes {
        return Err(Error::TooLarge {
            what: "a key".to_owned(),
            limit_bytes: limits.key_bytes as u64,
        });
    }
    Ok(())
}

fn check_expectation(expect: Expectation, present: Option<u64>, key: &str) -> Result<()> {
    let message = match (expect, present) {
        (Expectation::Any, _) | (Expectation::Absent, None) => return Ok(()),
        (Expectation::At(wanted), Some(version)) if wanted == version => return Ok(()),
        (Expectation::Absent, Some(version)) => {
            format!("the key \"{key}\" exists, at version {version}")
        }
        (Expectation::At(wanted), Some(version)) => {
            format!("the key \"{key}\" is at version {version}, not {wanted}")
        }
        (Expectation::At(wanted), None) => {
            format!("the key \"{key}\" does not exist, so it is not at version {wanted}")
        }
    };
    Err(Error::Conflict {
        message,
        revision: present.map(|v| v.to_string()),
    })
}

/// What a write does to one key.
enum Mutation {
    Put(Vec<u8>),
    Delete,
}

const PUT: u8 = 1;
const DELETED: u8 = 2;

fn encode_change(kind: u8, key: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 + key.len() + value.len());
    bytes.push(kind);
    // Keys are at most 1,024 bytes long.
    bytes.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// One row of the log.
pub(crate) fn decode_change(version: u64, bytes: &[u8]) -> Result<Change, redb::Error> {
    let parse = || {
        let (kind, rest) = bytes.split_first()?;
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (key, value) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        let entry = Entry {
            key: std::str::from_utf8(key).ok()?.to_owned(),
            value: value.to_vec(),
            version,
        };
        match *kind {
            PUT => Some(Change::Put(entry)),
            DELETED => Some(Change::Deleted(entry)),
            _ => None,
        }
    };
    parse().ok_or_else(|| redb::Error::Corrupted(format!("change {version} of a slot's log")))
}

/// Changes one key, its slot's row and its log; checks first, so that a refusal writes nothing.
fn mutate(
    txn: &Txn<'_>,
    limits: &Limits,
    slot: &str,
    key: &str,
    mutation: Mutation,
    expect: Expectation,
) -> Result<u64, Failure> {
    let mut slots = txn.raw.open_table(SLOTS)?;
    let mut entries = txn.raw.open_table(ENTRIES)?;
    let row = slots.get(slot)?.map(|r| r.value());
    let mut state = row.map(SlotState::from_row).unwrap_or_default();
    let present = match entries.get((slot, key))? {
        Some(row) => {
            let (version, value) = split_number(row.value())?;
            Some((version, value.to_vec()))
        }
        None => None,
    };
    check_expectation(expect, present.as_ref().map(|(v, _)| *v), key)?;
    let old_bytes = present
        .as_ref()
        .map_or(0, |(_, value)| (key.len() + value.len()) as u64);
    let version = state.version + 1;
    let change = match mutation {
        Mutation::Put(value) => {
            let bytes = state.bytes.saturating_sub(old_bytes) + (key.len() + value.len()) as u64;
            if bytes > limits.slot_bytes {
                return Err(Error::TooLarge {
                    what: format!("what slot \"{slot}\" would hold"),
                    limit_bytes: limits.slot_bytes,
                }
                .into());
            }
            state.bytes = bytes;
            entries.insert((slot, key), with_number(version, &value).as_slice())?;
            encode_change(PUT, key, &value)
        }
        Mutation::Delete => {
            let Some((_, value)) = present else {
                return Err(Error::not_found("key", key).into());
            };
            state.bytes = state.bytes.saturating_sub(old_bytes);
            entries.remove((slot, key))?;
            encode_change(DELETED, key, &value)
        }
    };
    state.version = version;
    let mut log = txn.raw.open_table(LOG)?;
    log.insert((slot, version), change.as_slice())?;
    state.log_bytes += change.len() as u64;
    while version - state.log_start > limits.log_changes
        || (state.log_bytes > limits.log_bytes && state.log_start + 1 < version)
    {
        state.log_start += 1;
        if let Some(old) = log.remove((slot, state.log_start))? {
            state.log_bytes = state.log_bytes.saturating_sub(old.value().len() as u64);
        }
    }
    slots.insert(slot, state.row())?;
    txn.slots.borrow_mut().insert(slot.to_owned(), version);
    Ok(version)
}

/// Where a scan goes on.
struct Token {
    nonce: u64,
    revision: u64,
    after: String,
}

impl Token {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}.{}.{}", self.nonce, self.revision, self.after))
    }

    fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(3, '.');
        Some(Self {
            nonce: parts.next()?.parse().ok()?,
            revision: parts.next()?.parse().ok()?,
            after: parts.next()?.to_owned(),
        })
    }
}

/// One page, and the last key when more follow.
fn page(
    txn: &ReadTransaction,
    slot: &str,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<(Vec<Entry>, Option<String>), Failure> {
    let table = txn.open_table(ENTRIES)?;
    let start = match after {
        Some(after) => std::ops::Bound::Excluded((slot, after)),
        None => std::ops::Bound::Included((slot, prefix)),
    };
    let mut entries = Vec::new();
    let mut bytes = 0;
    for row in table.range::<(&str, &str)>((start, std::ops::Bound::Unbounded))? {
        let (at, stored) = row?;
        let (row_slot, key) = at.value();
        if row_slot != slot || !key.starts_with(prefix) {
            return Ok((entries, None));
        }
        let (version, value) = split_number(stored.value())?;
        let size = key.len() + value.len();
        let is_full = entries.len() >= limit as usize || bytes + size > PAGE_BYTES;
        if is_full && !entries.is_empty() {
            let last = entries.last().map(|e: &Entry| e.key.clone());
            return Ok((entries, last));
        }
        bytes += size;
        entries.push(Entry {
            key: key.to_owned(),
            value: value.to_vec(),
            version,
        });
    }
    Ok((entries, None))
}

/// A page of a scan; runs where it may block.
pub(crate) fn scan(
    shared: &Shared,
    slot: &str,
    prefix: &str,
    limit: u32,
    next: Option<&str>,
) -> Result<Scan> {
    let gone = || {
        Error::Expired("the snapshot of this scan is gone: scan again from the beginning".into())
    };
    let token = match next {
        Some(text) => Some(
            Token::decode(text)
                .filter(|t| t.after.starts_with(prefix))
                .ok_or_else(|| Error::invalid("next", "is not a token of this scan"))?,
        ),
        None => None,
    };
    shared.db.read_with(|db, snapshots| {
        let (txn, after) = match &token {
            Some(token) if token.nonce == shared.nonce => {
                let txn = snapshots.find(token.revision).ok_or_else(gone)?;
                (txn, Some(token.after.as_str()))
            }
            Some(_) => return Err(gone().into()),
            None => (Arc::new(db.begin_read()?), None),
        };
        let (entries, last) = page(&txn, slot, prefix, after, limit.clamp(1, MAX_PAGE))?;
        let version = SlotState::read(&txn, slot)?.version;
        let mut next = None;
        if let Some(after) = last {
            let revision = txn
                .open_table(NUMBERS)?
                .get(REVISION_KEY)?
                .map_or(0, |r| r.value());
            next = Some(
                Token {
                    nonce: shared.nonce,
                    revision,
                    after,
                }
                .encode(),
            );
            snapshots.keep(revision, txn);
        }
        Ok(Scan {
            entries,
            version,
            next,
        })
    })
}

impl Store {
    async fn change(
        &self,
        slot: &SlotName,
        key: &str,
        mutation: Mutation,
        expect: Expectation,
    ) -> Result<u64> {
        let limits = self.shared().limits;
        check_key(key, &limits)?;
        let bytes = match &mutation {
            Mutation::Put(value) if value.len() > limits.value_bytes => {
                return Err(Error::TooLarge {
                    what: "a value".to_owned(),
                    limit_bytes: limits.value_bytes as u64,
                });
            }
            Mutation::Put(value) => value.len(),
            Mutation::Delete => 0,
        };
        let (slot, key) = (slot.clone(), key.to_owned());
        self.shared()
            .queue
            .submit(bytes, move |txn| {
                mutate(txn, &limits, slot.as_str(), &key, mutation, expect)
            })
            .await
    }
}

#[async_trait]
impl Kv for Store {
    async fn get(&self, slot: &SlotName, key: &str) -> Result<Option<Entry>> {
        check_key(key, &self.shared().limits)?;
        self.shared().db.read(|txn| {
            let table = txn.open_table(ENTRIES)?;
            let Some(row) = table.get((slot.as_str(), key))? else {
                return Ok(None);
            };
            let (version, value) = split_number(row.value())?;
            Ok(Some(Entry {
                key: key.to_owned(),
                value: value.to_vec(),
                version,
            }))
        })
    }

    async fn scan(
        &self,
        slot: &SlotName,
        prefix: &str,
        limit: u32,
        next: Option<String>,
    ) -> Result<Scan> {
        let (slot, prefix) = (slot.clone(), prefix.to_owned());
        self.blocking(move |shared| scan(shared, slot.as_str(), &prefix, limit, next.as_deref()))
            .await
    }

    async fn put(
        &self,
        slot: &SlotName,
        key: &str,
        value: Vec<u8>,
        expect: Expectation,
    ) -> Result<u64> {
        self.change(slot, key, Mutation::Put(value), expect).await
    }

    async fn delete(&self, slot: &SlotName, key: &str, expect: Expectation) -> Result<u64> {
        self.change(slot, key, Mutation::Delete, expect).await
    }

    async fn watch(
        &self,
        slot: &SlotName,
        prefix: &str,
        after: Option<u64>,
    ) -> Result<ChangeStream> {
        self.follow(slot, prefix, after)
    }
}

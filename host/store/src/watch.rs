//! Watches: each is a cursor on its slot's change log, so a slow reader costs no memory, and one
//! that is too slow for the log is told so.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt as _, stream};
use optikon_core::{
    Error, Result,
    ports::{Change, ChangeStream, Entry},
    words::SlotName,
};
use tokio::sync::watch;

use crate::{
    error::Failure,
    kv::{self, PAGE_BYTES, SlotState},
    open::{Shared, Store},
    tables::LOG,
};

/// Changes that one watch holds in memory.
const BATCH: usize = 256;
/// Changes of other prefixes after which a bookmark moves the reader on, so that a quiet prefix in
/// a busy slot does not fall behind the log.
const QUIET: u64 = 1_000;

/// Tells watches of a slot that there is something to read.
#[derive(Debug)]
pub(crate) struct Watchers(Mutex<Option<HashMap<String, watch::Sender<u64>>>>);

impl Default for Watchers {
    fn default() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }
}

impl Watchers {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HashMap<String, watch::Sender<u64>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of a closed store: a receiver whose sender is gone.
    fn subscribe(&self, slot: &str) -> watch::Receiver<u64> {
        match self.lock().as_mut() {
            Some(slots) => slots
                .entry(slot.to_owned())
                .or_insert_with(|| watch::channel(0).0)
                .subscribe(),
            None => watch::channel(0).1,
        }
    }

    pub(crate) fn notify(&self, slot: &str, version: u64) {
        if let Some(sender) = self.lock().as_ref().and_then(|slots| slots.get(slot)) {
            sender.send_replace(version);
        }
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }
}

struct Watcher {
    shared: Arc<Shared>,
    slot: SlotName,
    prefix: Arc<str>,
    /// Everything up to here was read.
    cursor: u64,
    /// The last version that the reader can resume from.
    told: u64,
    /// What is still to be listed first.
    list: Listing,
    ready: VecDeque<Change>,
    notify: watch::Receiver<u64>,
    has_ended: bool,
}

enum Listing {
    Page(Option<String>),
    Done,
}

/// What was read from the log in one go.
struct Batch {
    changes: Vec<Change>,
    /// The version up to which the log was read.
    cursor: u64,
    /// Whether nothing follows for now.
    is_current: bool,
}

fn behind() -> Error {
    Error::Expired("the change log no longer reaches back to this version: list again".into())
}

fn read_batch(shared: &Shared, slot: &str, prefix: &str, cursor: u64) -> Result<Batch> {
    shared.db.read(|txn| {
        let state = SlotState::read(txn, slot)?;
        check_cursor(state, cursor)?;
        let log = txn.open_table(LOG)?;
        let mut batch = Batch {
            changes: Vec::new(),
            cursor,
            is_current: true,
        };
        let mut bytes = 0;
        for row in log.range((slot, cursor + 1)..=(slot, u64::MAX))? {
            let (at, stored) = row?;
            if batch.changes.len() >= BATCH || bytes > PAGE_BYTES {
                batch.is_current = false;
                break;
            }
            let (_, version) = at.value();
            let change = kv::decode_change(version, stored.value())?;
            batch.cursor = version;
            if let Change::Put(entry) | Change::Deleted(entry) = &change
                && entry.key.starts_with(prefix)
            {
                bytes += entry.value.len();
                batch.changes.push(change);
            }
        }
        Ok(batch)
    })
}

fn check_cursor(state: SlotState, cursor: u64) -> Result<(), Failure> {
    if cursor < state.log_start || cursor > state.version {
        return Err(behind().into());
    }
    Ok(())
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<Change>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                let (Change::Put(Entry { version, .. })
                | Change::Deleted(Entry { version, .. })
                | Change::Bookmark(version)) = &change;
                self.told = self.told.max(*version);
                return Some(Ok(change));
            }
            if self.has_ended {
                return None;
            }
            if let Err(error) = self.fill().await {
                self.has_ended = true;
                return Some(Err(error));
            }
        }
    }

    /// Gets at least one change, or waits for one.
    async fn fill(&mut self) -> Result<()> {
        let (shared, slot, prefix) = (self.shared.clone(), self.slot.clone(), self.prefix.clone());
        if let Listing::Page(next) = &mut self.list {
            let next = next.take();
            let page = blocking(move || {
                kv::scan(
                    &shared,
                    slot.as_str(),
                    &prefix,
                    BATCH as u32,
                    next.as_deref(),
                )
            })
            .await?;
            self.ready.extend(page.entries.into_iter().map(Change::Put));
            self.list = match page.next {
                Some(next) => Listing::Page(Some(next)),
                None => {
                    self.ready.push_back(Change::Bookmark(page.version));
                    self.cursor = page.version;
                    Listing::Done
                }
            };
            return Ok(());
        }
        // Before the log is read: a change that comes meanwhile wakes us at once.
        self.notify.borrow_and_update();
        let cursor = self.cursor;
        let batch = blocking(move || read_batch(&shared, slot.as_str(), &prefix, cursor)).await?;
        self.cursor = batch.cursor;
        let is_quiet =
            batch.changes.is_empty() && self.cursor - self.told.min(self.cursor) >= QUIET;
        self.ready.extend(batch.changes);
        if is_quiet {
            self.ready.push_back(Change::Bookmark(self.cursor));
        }
        if self.ready.is_empty() && batch.is_current && self.notify.changed().await.is_err() {
            return Err(Error::unavailable(
                "the store is closed: the gateway is stopping",
            ));
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::Internal(format!("reading the store: {e}")))?
}

impl Store {
    pub(crate) fn follow(
        &self,
        slot: &SlotName,
        prefix: &str,
        after: Option<u64>,
    ) -> Result<ChangeStream> {
        let shared = self.shared().clone();
        let notify = shared.watchers.subscribe(slot.as_str());
        if let Some(cursor) = after {
            shared
                .db
                .read(|txn| check_cursor(SlotState::read(txn, slot.as_str())?, cursor))?;
        }
        let watcher = Watcher {
            shared,
            slot: slot.clone(),
            prefix: prefix.into(),
            cursor: after.unwrap_or(0),
            told: after.unwrap_or(0),
            list: match after {
                Some(_) => Listing::Done,
                None => Listing::Page(None),
            },
            ready: VecDeque::new(),
            notify,
            has_ended: false,
        };
        Ok(stream::unfold(watcher, |mut watcher| async move {
            watcher.next().await.map(|item| (item, watcher))
        })
        .boxed())
    }
}

//! Snapshots that scans read from, so that all pages of one scan are of one version.
//!
//! A snapshot keeps redb from reusing the pages it shows, so there are few, and they end: by age,
//! or when newer ones need their place. A scan that comes back later is told `Expired`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use redb::ReadTransaction;

/// Sixteen scans at once, each of its own version; scans of one version share one.
const MAX_SNAPSHOTS: usize = 16;
/// The time between two pages.
const MAX_IDLE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Snapshots(Mutex<HashMap<u64, Snapshot>>);

struct Snapshot {
    txn: Arc<ReadTransaction>,
    used: Instant,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("used", &self.used)
            .finish()
    }
}

impl Snapshots {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Snapshot>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Keeps a snapshot for the next page.
    pub(crate) fn keep(&self, revision: u64, txn: Arc<ReadTransaction>) {
        let mut all = self.lock();
        let used = Instant::now();
        all.entry(revision)
            .and_modify(|s| s.used = used)
            .or_insert(Snapshot { txn, used });
        while all.len() > MAX_SNAPSHOTS {
            let Some(oldest) = all.iter().min_by_key(|(_, s)| s.used).map(|(r, _)| *r) else {
                return;
            };
            all.remove(&oldest);
        }
    }

    /// The snapshot of a revision, unless it ended.
    pub(crate) fn find(&self, revision: u64) -> Option<Arc<ReadTransaction>> {
        self.lock().get(&revision).map(|s| s.txn.clone())
    }

    /// Ends what nobody came back for.
    pub(crate) fn expire(&self) {
        self.lock().retain(|_, s| s.used.elapsed() < MAX_IDLE);
    }

    /// Ends all, as the database is opened anew.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}

//! Holds changes back for the moment in which the registry is listed, or another one takes over.
//!
//! Whoever changes something, or applies an answer of the registry to the mirror, passes. The list or the switch waits until
//! all have left, keeps new ones waiting, and counts up; an answer that was asked for before is then asked for again.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard};

/// The gate in front of the registry's slot.
#[derive(Debug, Default)]
pub struct Gate {
    lock: Arc<RwLock<()>>,
    epoch: AtomicU64,
    /// Of a registry that took over: the revision of its list, which was taken in, and the epoch since.
    listed: Mutex<Option<(u64, String)>>,
}

/// While it lives, the registry stays the one that it is, and is not listed.
#[derive(Debug)]
pub struct Pass<'a> {
    _guard: RwLockReadGuard<'a, ()>,
}

/// While it lives, nobody passes.
#[derive(Debug)]
pub struct Hold {
    _guard: OwnedRwLockWriteGuard<()>,
}

impl Gate {
    /// Waits while the gate is held. Never from inside another pass: the two would wait for each other.
    pub async fn pass(&self) -> Pass<'_> {
        Pass {
            _guard: self.lock.read().await,
        }
    }

    /// Closes the gate once everybody has left; none when that takes longer.
    pub async fn hold(&self, within: Duration) -> Option<Hold> {
        let guard = tokio::time::timeout(within, self.lock.clone().write_owned());
        Some(Hold {
            _guard: guard.await.ok()?,
        })
    }

    /// Rises with every list and every switch.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What was asked for before is old from now on.
    pub fn switched(&self, _hold: &Hold) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The same, and the new registry was listed at this revision: nobody has to list it to watch it.
    pub fn switched_at(&self, hold: &Hold, revision: String) {
        self.switched(hold);
        *self.listed() = Some((self.epoch(), revision));
    }

    /// Where a watch of the present registry may begin, once.
    pub fn take_listed(&self) -> Option<(u64, String)> {
        let listed = self.listed().take();
        listed.filter(|(epoch, _)| *epoch == self.epoch())
    }

    fn listed(&self) -> MutexGuard<'_, Option<(u64, String)>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

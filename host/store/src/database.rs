//! The open database: reads, write transactions, and how both outlive a failing disk.
//!
//! redb gives up a handle whose storage failed once. It is then opened anew; when the disk takes no
//! writes at all, on an overlay in memory, so that reads go on. The next write after `retry` tries
//! the disk again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use optikon_core::Error;
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, StorageBackend,
    WriteTransaction,
};

use crate::{
    error::{Failure, unavailable},
    medium::{Boxed, Medium},
    overlay::Overlay,
    snapshots::Snapshots,
};

/// Pages that redb keeps in memory: the whole store of some hundred clusters. What thousands of clients read is in the
/// mirror, not here.
const CACHE_BYTES: usize = 6 << 20;

/// One database in one place.
#[derive(Debug)]
pub(crate) struct Db {
    medium: Arc<dyn Medium>,
    state: RwLock<State>,
    trouble: Mutex<Option<Trouble>>,
    pub(crate) snapshots: Snapshots,
    retry: Duration,
}

#[derive(Debug)]
struct State {
    /// None only when it could not be opened in any way.
    db: Option<Database>,
    /// How often it was opened.
    generation: u64,
    /// Whether its writes reach the disk.
    real: bool,
}

/// Why the last write failed, and when.
#[derive(Debug)]
struct Trouble {
    error: Error,
    at: Instant,
}

impl Db {
    pub(crate) fn new(medium: Arc<dyn Medium>, db: Database, retry: Duration) -> Self {
        Self {
            medium,
            state: RwLock::new(State {
                db: Some(db),
                generation: 1,
                real: true,
            }),
            trouble: Mutex::new(None),
            snapshots: Snapshots::default(),
            retry,
        }
    }

    pub(crate) fn medium(&self) -> &dyn Medium {
        &*self.medium
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why writes fail now, where they do.
    pub(crate) fn problem(&self) -> Option<Error> {
        self.trouble().as_ref().map(|t| t.error.clone())
    }

    /// Reads in one snapshot. `work` may run twice.
    pub(crate) fn read<T>(
        &self,
        work: impl Fn(&ReadTransaction) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        self.read_with(|db, _| work(&db.begin_read()?))
    }

    /// Reads from a snapshot of its own choice; none may outlive `work` but in [`Snapshots`].
    pub(crate) fn read_with<T>(
        &self,
        work: impl Fn(&Database, &Snapshots) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let (seen, outcome) = self.try_read(&work);
        match outcome {
            Err(Failure::Storage(e)) if is_latched(&e) => {
                self.reopen(seen);
                finish(self.medium(), self.try_read(&work).1)
            }
            outcome => finish(self.medium(), outcome),
        }
    }

    fn try_read<T>(
        &self,
        work: &impl Fn(&Database, &Snapshots) -> Result<T, Failure>,
    ) -> (u64, Result<T, Failure>) {
        let state = self.state();
        let outcome = match &state.db {
            Some(db) => guarded(|| work(db, &self.snapshots)),
            None => Err(Failure::Storage(redb::Error::DatabaseClosed)),
        };
        (state.generation, outcome)
    }

    /// Runs one durable transaction. `work` says whether it wrote anything; if not, nothing is
    /// committed. When this fails, what was written may be there or not, but whole.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(bool, T), redb::Error>,
    ) -> Result<T, Error> {
        self.recover()?;
        let (seen, outcome) = {
            let state = self.state();
            let outcome = match &state.db {
                Some(db) => guarded(|| transact(db, work)),
                None => Err(redb::Error::DatabaseClosed.into()),
            };
            (state.generation, outcome)
        };
        match outcome {
            Ok((wrote, value)) => {
                if wrote && self.trouble().take().is_some() {
                    tracing::info!(store = self.medium.place(), "the store takes writes again");
                }
                Ok(value)
            }
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Storage(error)) => {
                let error = unavailable(&self.medium.place(), &error);
                self.fail(error.clone());
                self.reopen(seen);
                Err(error)
            }
        }
    }

    fn fail(&self, error: Error) {
        let mut trouble = self.trouble();
        if trouble.is_none() {
            tracing::error!(%error, "the store takes no writes");
        }
        *trouble = Some(Trouble {
            error,
            at: Instant::now(),
        });
    }

    /// Refuses a write at once while the last failure is fresh, else gets a handle that writes.
    fn recover(&self) -> Result<(), Error> {
        let fresh = self
            .trouble()
            .as_ref()
            .filter(|t| t.at.elapsed() < self.retry)
            .map(|t| t.error.clone());
        if let Some(error) = fresh {
            return Err(error);
        }
        let (seen, real) = {
            let state = self.state();
            (state.generation, state.real && state.db.is_some())
        };
        if real {
            return Ok(());
        }
        self.reopen(seen);
        let state = self.state();
        if state.real && state.db.is_some() {
            return Ok(());
        }
        drop(state);
        let error = self.problem().unwrap_or_else(|| {
            Error::unavailable(format!(
                "the store in {} takes no writes",
                self.medium.place()
            ))
        });
        self.fail(error.clone());
        Err(error)
    }

    /// Opens the database anew, unless somebody did since `seen`.
    fn reopen(&self, seen: u64) {
        let mut state = self.state_mut();
        if state.generation != seen {
            return;
        }
        self.snapshots.clear();
        // The old handle must be gone before the new one reads: its cache would show other pages.
        if let Some(old) = state.db.take() {
            drop(catch_unwind(AssertUnwindSafe(move || drop(old))));
        }
        state.generation += 1;
        let real = self
            .medium
            .open()
            .map_err(redb::Error::Io)
            .and_then(|backend| open_backend(backend, false));
        match real {
            Ok(db) => {
                state.db = Some(db);
                state.real = true;
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot be opened for writing");
                let view = self
                    .medium
                    .open()
                    .and_then(Overlay::new)
                    .map_err(redb::Error::Io)
                    .and_then(|backend| open_backend(Box::new(backend), false));
                state.real = false;
                match view {
                    Ok(db) => state.db = Some(db),
                    Err(error) => {
                        tracing::error!(%error, "the store cannot be opened for reading either");
                    }
                }
            }
        }
    }
}

fn finish<T>(medium: &dyn Medium, outcome: Result<T, Failure>) -> Result<T, Error> {
    outcome.map_err(|failure| match failure {
        Failure::Refused(error) => error,
        Failure::Storage(error) => unavailable(&medium.place(), &error),
    })
}

/// Whether the handle is of no more use, though the file may be well.
fn is_latched(error: &redb::Error) -> bool {
    matches!(
        error,
        redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_)
    )
}

fn transact<T>(
    db: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<(bool, T), redb::Error>,
) -> Result<(bool, T), Failure> {
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::Immediate)
        .map_err(redb::Error::from)?;
    // Both: a commit survives a torn header, and the start after a crash walks no tree.
    txn.set_two_phase_commit(true);
    txn.set_quick_repair(true);
    let (wrote, value) = work(&txn)?;
    if wrote {
        txn.commit()?;
    } else {
        txn.abort()?;
    }
    Ok((wrote, value))
}

/// Opens or initialises a database on a backend; `verify` reads and checks every page.
pub(crate) fn open_backend(
    backend: Box<dyn StorageBackend>,
    verify: bool,
) -> Result<Database, redb::Error> {
    let outcome = guarded(|| {
        Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(verify)
            .create_with_backend(Boxed(backend))
            .map_err(Failure::from)
    });
    outcome.map_err(|failure| match failure {
        Failure::Storage(error) => error,
        Failure::Refused(error) => redb::Error::Corrupted(error.to_string()),
    })
}

/// One transaction on a database that nobody else has.
pub(crate) fn alone<T>(
    db: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    match guarded(|| transact(db, |txn| Ok((true, work(txn)?)))) {
        Ok((_, value)) => Ok(value),
        Err(Failure::Storage(error)) => Err(error),
        Err(Failure::Refused(error)) => Err(redb::Error::Corrupted(error.to_string())),
    }
}

/// redb may panic on a page that is not what it must be; that is damage, not a fault of ours.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("panic");
        Err(redb::Error::Corrupted(text.to_owned()).into())
    })
}

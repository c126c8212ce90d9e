//! The one writer: a thread that commits everything that waits in one transaction.
//!
//! A write is acknowledged after its transaction is durable. The caller may leave meanwhile; the
//! write then still happens, whole. Audit records wait at most [`AUDIT_WINDOW`] for company.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use optikon_core::{Error, Result};
use redb::WriteTransaction;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    audit,
    error::Failure,
    open::Shared,
    tables::{REVISION_KEY, advance},
};

/// Half of the loss window that is promised: the other half is for the commit.
const AUDIT_WINDOW: Duration = Duration::from_millis(500);
/// Bytes that may wait for the writer, in KiB: 64 values of the largest kind.
const ROOM_KIB: u32 = 64 << 10;
/// Writes in one transaction.
const MAX_BATCH: usize = 512;

/// A transaction as a write sees it.
pub(crate) struct Txn<'a> {
    pub(crate) raw: &'a WriteTransaction,
    pub(crate) now_ms: u64,
    /// Slots that changed, with their new version.
    pub(crate) slots: RefCell<BTreeMap<String, u64>>,
}

trait Job: Send {
    /// Does the write; whether it wrote anything.
    fn apply(&mut self, txn: &Txn<'_>) -> Result<bool, redb::Error>;
    /// Tells the caller.
    fn finish(self: Box<Self>, failure: Option<&Error>);
}

struct Task<T, F> {
    work: Option<F>,
    writes: bool,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
    _room: OwnedSemaphorePermit,
}

impl<T: Send, F: FnOnce(&Txn<'_>) -> Result<T, Failure> + Send> Job for Task<T, F> {
    fn apply(&mut self, txn: &Txn<'_>) -> Result<bool, redb::Error> {
        let Some(work) = self.work.take() else {
            return Ok(false);
        };
        match work(txn) {
            Ok(value) => {
                self.outcome = Some(Ok(value));
                Ok(self.writes)
            }
            Err(Failure::Refused(error)) => {
                self.outcome = Some(Err(error));
                Ok(false)
            }
            Err(Failure::Storage(error)) => Err(error),
        }
    }

    fn finish(self: Box<Self>, failure: Option<&Error>) {
        let outcome = match (failure, self.outcome) {
            // A refusal holds whatever became of the others.
            (_, Some(Err(error))) => Err(error),
            (Some(error), _) => Err(error.clone()),
            (None, Some(value)) => value,
            (None, None) => Err(Error::Internal("a write was never tried".to_owned())),
        };
        // The caller may have left; the write stands.
        drop(self.reply.send(outcome));
    }
}

/// What waits for the writer.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<Waiting>,
    wake: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    audit: audit::Pending,
    audit_since: Option<Instant>,
    is_closed: bool,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting")
            .field("jobs", &self.jobs.len())
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
        }
    }
}

fn closed() -> Error {
    Error::unavailable("the store is closed: the gateway is stopping")
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room, then for the write to be durable. `bytes`: about what it writes.
    pub(crate) async fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Txn<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.enqueue(bytes, true, work).await
    }

    /// Waits until everything that was handed in before is durable.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.enqueue(0, false, |_| Ok(())).await
    }

    async fn enqueue<T: Send + 'static>(
        &self,
        bytes: usize,
        writes: bool,
        work: impl FnOnce(&Txn<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(ROOM_KIB);
        let room = self
            .room
            .clone()
            .acquire_many_owned(kib.min(ROOM_KIB))
            .await
            .map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.is_closed {
                return Err(closed());
            }
            waiting.jobs.push_back(Box::new(Task {
                work: Some(work),
                writes,
                outcome: None,
                reply,
                _room: room,
            }));
        }
        self.wake.notify_one();
        answer.await.map_err(|_| closed())?
    }

    /// Hands in an audit record; never waits.
    pub(crate) fn audit(&self, record: Vec<u8>) {
        let mut waiting = self.lock();
        waiting.audit.push(record);
        waiting.audit_since.get_or_insert_with(Instant::now);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Lets the writer finish what waits and end.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.room.close();
        self.wake.notify_all();
    }

    /// Waits for work. With `probe`, wakes up after that time also without any.
    fn take(&self, probe: Option<Duration>) -> Batch {
        let start = Instant::now();
        let mut waiting = self.lock();
        loop {
            let due = [
                waiting.audit_since.map(|since| since + AUDIT_WINDOW),
                probe.map(|after| start + after),
            ]
            .into_iter()
            .flatten()
            .min();
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            if !waiting.jobs.is_empty() || waiting.is_closed || left.is_some_and(|l| l.is_zero()) {
                let count = waiting.jobs.len().min(MAX_BATCH);
                let jobs: Vec<_> = waiting.jobs.drain(..count).collect();
                waiting.audit_since = None;
                return Batch {
                    jobs,
                    audit: std::mem::take(&mut waiting.audit),
                    is_last: waiting.is_closed && waiting.jobs.is_empty(),
                };
            }
            waiting = match left {
                Some(left) => {
                    self.wake
                        .wait_timeout(waiting, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .wake
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Audit records that could not be written wait again, before the newer ones.
    fn put_back(&self, mut older: audit::Pending) {
        let mut waiting = self.lock();
        older.extend(std::mem::take(&mut waiting.audit));
        if !older.is_empty() {
            waiting.audit_since.get_or_insert_with(Instant::now);
        }
        waiting.audit = older;
    }
}

struct Batch {
    jobs: Vec<Box<dyn Job>>,
    audit: audit::Pending,
    is_last: bool,
}

/// The writer's thread, until the queue is closed and empty.
pub(crate) fn run(shared: &Shared) {
    loop {
        let has_problem = shared.db.problem().is_some();
        let batch = shared.queue.take(has_problem.then_some(shared.retry));
        let is_last = batch.is_last;
        commit(shared, batch, has_problem);
        shared.db.snapshots.expire();
        if is_last {
            let lost = shared.queue.lock().audit.len();
            if lost > 0 {
                tracing::error!(
                    lost,
                    "audit records are lost: the store closes and takes no writes"
                );
            }
            return;
        }
    }
}

fn commit(shared: &Shared, batch: Batch, is_probe: bool) {
    let Batch {
        mut jobs, audit, ..
    } = batch;
    if jobs.is_empty() && audit.is_empty() && !is_probe {
        return;
    }
    let outcome = shared.db.write(|raw| {
        let txn = Txn {
            raw,
            now_ms: (shared.now_ms)(),
            slots: RefCell::default(),
        };
        // A probe after a failure writes no more than the next revision.
        let wrote = Cell::new(is_probe);
        for job in &mut jobs {
            let did = job.apply(&txn)?;
            wrote.set(wrote.get() || did);
        }
        if !audit.is_empty() {
            audit::append(&txn, &audit)?;
            wrote.set(true);
        }
        let revision = if wrote.get() {
            match advance(raw, REVISION_KEY, 1, 1) {
                Ok(before) => Some(before + 1),
                Err(Failure::Storage(error)) => return Err(error),
                Err(Failure::Refused(error)) => {
                    return Err(redb::Error::Corrupted(error.to_string()));
                }
            }
        } else {
            None
        };
        Ok((wrote.get(), (revision, txn.slots.into_inner())))
    });
    match outcome {
        Ok((revision, slots)) => {
            if let Some(revision) = revision
                && let Err(error) = shared.db.medium().acknowledge(revision)
            {
                // The write itself is durable; only an older copy would go unnoticed until the
                // next commit notes its revision.
                tracing::warn!(%error, revision, "cannot note the acknowledged revision");
            }
            for (slot, version) in slots {
                shared.watchers.notify(&slot, version);
            }
            for job in jobs {
                job.finish(None);
            }
        }
        Err(error) => {
            shared.queue.put_back(audit);
            for job in jobs {
                job.finish(Some(&error));
            }
        }
    }
}

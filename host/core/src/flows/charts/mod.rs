//! `/charts`: releases on any number of clusters.
//!
//! A request is validated whole (`request`), its targets are resolved and grouped into waves
//! (`targets`), its chart is found (`sources`) and kept (`archives`), plans are made once per distinct input (`prepare`,
//! `plan`), the operation is journaled (`accept`, `journal`, `events`) and run wave by wave (`run`), each cluster by
//! itself (`target`). What releases are there is read with a row per cluster (`read`, `drift`), each once (`remember`).

mod accept;
mod adopt;
mod archives;
mod auto;
mod drift;
mod events;
mod foreign;
mod identity;
mod journal;
mod once;
mod plan;
mod prepare;
mod read;
mod remember;
pub mod request;
mod run;
mod sources;
mod target;
mod targets;
#[cfg(test)]
mod tests;
mod watched;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::clusters::Clusters;
use crate::{
    error::{Error, Result},
    ports::{Archives, Charts, Documents, Fetcher, Progress, ProgressSink, Vault, World},
    words::{Durations, Operation, OperationId, SlotName, TargetState},
};

use events::Feed;

pub use archives::ArchiveInfo;
pub use auto::Auto;
pub use events::OperationEvent;
pub(in crate::flows) use foreign::Followed;
pub use journal::OperationQuery;
pub use once::Once;
pub use read::{ReleaseQuery, Selection};
pub use request::{ActionRequest, ChartSource, ChartsRequest};
pub use sources::{CredentialKind, Provenance, Repository, RepositoryKind};

/// A start has read what was interrupted by then, or says that it has not.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);

/// The use-cases of `/charts`, `/archives` and `/operations`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChartFlows {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clusters: Clusters,
    backends: BTreeMap<SlotName, Arc<dyn Charts>>,
    archives: Arc<dyn Archives>,
    fetcher: Arc<dyn Fetcher>,
    /// Charts that are being fetched.
    fetches: Semaphore,
    documents: Arc<dyn Documents>,
    vault: Arc<dyn Vault>,
    world: Arc<dyn World>,
    memory: Arc<remember::Memory>,
    provenance: OnceLock<Provenance>,
    live: Mutex<HashMap<OperationId, Live>>,
    /// Targets of operations that are over.
    ended: Mutex<TargetCounts>,
    /// How long targets waited for the journal.
    journaled: Mutex<Durations>,
    /// Woken when an operation is to be run.
    work: Notify,
    queue: Mutex<Vec<OperationId>>,
    /// Whether the operations that a crash interrupted are live again.
    has_recovered: watch::Sender<bool>,
    /// Idempotency keys whose request is being taken in.
    claimed: Mutex<HashSet<String>>,
    progress: mpsc::Sender<Progress>,
    reports: Mutex<Option<mpsc::Receiver<Progress>>>,
}

/// Reports that wait to be written down; more are dropped, the next one says where it is.
const REPORTS: usize = 256;

/// Charts fetched at once: each may be an index of 48 MiB.
const FETCHES: usize = 4;

/// An operation that is not over, in memory.
#[derive(Debug, Clone)]
struct Live {
    id: OperationId,
    operation: Arc<Mutex<Operation>>,
    feed: Arc<Feed>,
    /// What somebody wants of it.
    wish: watch::Sender<Wish>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    GoOn,
    Resume,
    Cancel,
}

impl ChartFlows {
    /// Over these ports; `backends` by slot (`charts-helm`).
    pub fn new(
        clusters: Clusters,
        backends: BTreeMap<SlotName, Arc<dyn Charts>>,
        archives: Arc<dyn Archives>,
        fetcher: Arc<dyn Fetcher>,
        documents: Arc<dyn Documents>,
        vault: Arc<dyn Vault>,
        world: Arc<dyn World>,
    ) -> Self {
        let (progress, reports) = mpsc::channel(REPORTS);
        Self {
            inner: Arc::new(Inner {
                clusters,
                backends,
                archives,
                fetcher,
                fetches: Semaphore::new(FETCHES),
                documents,
                vault,
                world,
                memory: Arc::default(),
                provenance: OnceLock::new(),
                live: Mutex::default(),
                ended: Mutex::default(),
                journaled: Mutex::default(),
                work: Notify::new(),
                queue: Mutex::default(),
                has_recovered: watch::channel(false).0,
                claimed: Mutex::default(),
                progress,
                reports: Mutex::new(Some(reports)),
            }),
        }
    }
}

impl ChartFlows {
    /// From now on, charts are checked against a keyring. Once, before anything is served.
    pub fn set_provenance(&self, provenance: Provenance) {
        if self.inner.provenance.set(provenance).is_err() {
            tracing::warn!("a second keyring was given; the first one counts");
        }
    }

    /// How long targets of operations waited for the journal, before their first change and after the last target of their
    /// wave, since the start.
    pub fn journaled(&self) -> Durations {
        lock(&self.inner.journaled).clone()
    }

    /// Targets by state, of the operations under way and of those that ended since the start.
    pub fn targets(&self) -> TargetCounts {
        let mut counts = lock(&self.inner.ended).clone();
        for live in lock(&self.inner.live).values() {
            count(&mut counts, &live.snapshot());
        }
        counts
    }
}

/// How many targets are in each state.
pub type TargetCounts = BTreeMap<TargetState, u64>;

fn count(counts: &mut TargetCounts, operation: &Operation) {
    for target in &operation.targets {
        *counts.entry(target.state).or_default() += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProgressSink for ChartFlows {
    fn report(&self, progress: Progress) {
        if self.inner.progress.try_send(progress).is_err() {
            tracing::debug!("a report of progress was dropped; too many wait");
        }
    }
}

impl Inner {
    /// The slot of a backend's name; without one it is chosen per cluster.
    fn backend(&self, name: Option<&str>) -> Result<(SlotName, Arc<dyn Charts>)> {
        let is_auto = |name: &&str| *name == "auto";
        let has_auto = self
            .backends
            .keys()
            .any(|slot| slot.as_str() == "charts-auto");
        let name = match name.filter(|name| !is_auto(name)) {
            Some(name) => name,
            None if has_auto => "auto",
            None => "helm",
        };
        let slot: SlotName = format!("charts-{name}")
            .parse()
            .map_err(|_| Error::invalid("backend", "is not the name of a backend"))?;
        match self.backends.get(&slot) {
            Some(backend) => Ok((slot, backend.clone())),
            None => Err(Error::NoPlugin {
                message: format!(
                    "no such slot is configured; name a plugin under [plugins.slots.{slot}]"
                ),
                slot,
            }),
        }
    }

    /// Returns when it is known which releases are held, and by whom. A start takes a moment until then.
    ///
    /// # Errors
    /// `Unavailable` when that takes longer than a request should.
    async fn recovered(&self) -> Result<()> {
        let mut has_recovered = self.has_recovered.subscribe();
        let known = has_recovered.wait_for(|is_done| *is_done);
        match tokio::time::timeout(RECOVERED_WITHIN, known).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::unavailable(
                "the gateway is still reading the operations that its last end interrupted; try again",
            )),
        }
    }

    fn live(&self, id: &OperationId) -> Option<Live> {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }
}

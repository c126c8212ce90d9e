//! Another plugin in a slot, while it runs.
//!
//! A swap is an operation: the new plugin is loaded and tried, a registry is filled with what the old one holds where that
//! is asked for, and then the slot's pointer moves. The old one serves until that moment, and goes on serving when
//! anything before it fails. What fills a slot lasts (`record`), with the last five before it.
//!
//! A cluster that is copied has another uid in its new registry. The gateway goes on knowing it by the first one, in its
//! own table and never in the object, so that credentials, probes and operations stay with it, and nobody who may write
//! objects can make one cluster pass for another.
//!
//! `steps` does one swap, with `copying` and `copy` for the two registries and `back` for what a rollback needs beside;
//! `first` notes what is written right after.

mod back;
mod copy;
mod copying;
mod first;
mod record;
mod request;
mod run;
mod steps;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::{charts::ChartFlows, clusters::Clusters, health::rfc3339};
use crate::{
    error::{Error, Result},
    ports::{Call, Candidate, Documents, Filling, Registry, Slots, Table, Vault, World},
    words::{Caller, Operation, OperationId, OperationKind, OperationState, SlotName},
};
use record::History;

pub(in crate::flows) use first::FirstWrites;
pub use request::{Migrate, SwapRequest};

/// What the gateway calls the clusters of, by the uid in their registry: rows of [`Table::Meta`].
pub(in crate::flows) const ALIAS: &str = "uid/";
/// Credentials of clusters that were left behind in an earlier registry: rows of [`Table::Slots`].
pub(in crate::flows) const KEPT_CREDENTIALS: &str = "kept/";

/// The use-cases that fill slots. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Swaps {
    inner: Arc<Inner>,
}

/// What [`Swaps`] stands on.
#[derive(Debug)]
pub struct SwapsDeps {
    /// Reads and writes of clusters, which are held at the switch.
    pub clusters: Clusters,
    /// The journal of operations.
    pub charts: ChartFlows,
    /// The slots.
    pub slots: Arc<dyn Slots>,
    /// The registry's slot.
    pub registry: Arc<dyn Registry>,
    /// What lasts.
    pub documents: Arc<dyn Documents>,
    /// Secrets of configurations.
    pub vault: Arc<dyn Vault>,
    /// Clock and dice.
    pub world: Arc<dyn World>,
    /// Told when another registry serves.
    pub swapped: watch::Sender<u64>,
    /// Whether the configuration file alone decides what fills a slot.
    pub is_managed_by_file: bool,
}

#[derive(Debug)]
struct Inner {
    deps: SwapsDeps,
    /// The swap under way.
    busy: Mutex<Option<OperationId>>,
    jobs: mpsc::Sender<Job>,
    work: Mutex<Option<mpsc::Receiver<Job>>>,
}

#[derive(Debug)]
struct Job {
    slot: SlotName,
    filling: Filling,
    candidate: Arc<dyn Candidate>,
    migrate: Migrate,
    is_rollback: bool,
    followed: super::charts::Followed,
}

/// What fills the slots according to the last swaps, for a start.
///
/// # Errors
/// The store's; a filling whose secrets cannot be opened is an error of its slot.
pub async fn present_fillings(
    documents: &dyn Documents,
    vault: &dyn Vault,
) -> Result<BTreeMap<SlotName, Result<Filling>>> {
    let rows = documents
        .scan_documents(Table::Slots, "", None, usize::MAX)
        .await?;
    let mut found = BTreeMap::new();
    for (key, _) in rows {
        let Ok(slot) = key.parse::<SlotName>() else {
            continue;
        };
        let history = History::read(documents, &slot).await?;
        if let Some(record) = history.fillings.first() {
            found.insert(slot, record.open(vault).await);
        }
    }
    Ok(found)
}

impl Swaps {
    /// Over these ports; nothing runs before [`Swaps::work`].
    pub fn new(deps: SwapsDeps) -> Self {
        let (jobs, work) = mpsc::channel(1);
        Self {
            inner: Arc::new(Inner {
                deps,
                busy: Mutex::default(),
                jobs,
                work: Mutex::new(Some(work)),
            }),
        }
    }

    /// Lets another plugin fill a slot: loads it, checks what it asks for, and begins the operation.
    ///
    /// # Errors
    /// `NotFound` for a slot that does not exist; `Invalid` with everything that keeps the plugin from being loaded or
    /// granted; `Conflict` while another swap runs, or where the configuration file decides.
    pub async fn swap(
        &self,
        caller: &Caller,
        slot: &SlotName,
        request: &SwapRequest,
    ) -> Result<Operation> {
        let filling = self.wanted(slot, request).await?;
        self.accept(caller, slot, filling, request.migrate, false)
            .await
    }

    /// What a swap would say, without one: loads the plugin, checks what it asks for, asks whether it can serve.
    ///
    /// # Errors
    /// As [`Swaps::swap`], and the plugin's own answer to `check`.
    pub async fn check(&self, slot: &SlotName, request: &SwapRequest) -> Result<Value> {
        let filling = self.wanted(slot, request).await?;
        let candidate = self.inner.deps.slots.load(slot, &filling).await?;
        candidate.check(Call::client()).await?;
        Ok(json!({ "slot": slot, "plugin": candidate.info(), "grants": filling.grants }))
    }

    async fn wanted(&self, slot: &SlotName, request: &SwapRequest) -> Result<Filling> {
        let slots = &self.inner.deps.slots;
        if slots.info(slot).is_none() {
            return Err(Error::not_found("slot", slot));
        }
        if request.migrate == Migrate::Copy && slot.as_str() != "registry" {
            return Err(Error::invalid("migrate", "is for the slot registry"));
        }
        let info = slots.look(&request.plugin).await?;
        let present = slots.present(slot);
        let mut filling = request.filling(&info, present.as_ref())?;
        if request.central.is_some()
            && let Some(central) = &mut filling.central
        {
            // Two at one address with two credentials are two: what serves keeps its own.
            let mut random = [0; 8];
            self.inner.deps.world.random(&mut random);
            let id: String = random.iter().map(|b| format!("{b:02x}")).collect();
            central.uid = format!("central:{id}")
                .parse()
                .map_err(|e| Error::Internal(format!("central: {e}")))?;
        }
        Ok(filling)
    }

    /// Lets the plugin before serve again. A registry that was filled by a copy is copied back, from what the gateway
    /// remembers where it does not answer.
    ///
    /// # Errors
    /// `Conflict` when there is none before, and as [`Swaps::swap`].
    pub async fn rollback(&self, caller: &Caller, slot: &SlotName) -> Result<Operation> {
        let deps = &self.inner.deps;
        if deps.slots.info(slot).is_none() {
            return Err(Error::not_found("slot", slot));
        }
        let history = History::read(deps.documents.as_ref(), slot).await?;
        let (Some(present), Some(before)) = (history.fillings.first(), history.fillings.get(1))
        else {
            return Err(Error::Conflict {
                message: format!("slot \"{slot}\" was filled by nothing else before"),
                revision: None,
            });
        };
        let filling = before.open(deps.vault.as_ref()).await?;
        self.accept(caller, slot, filling, present.migrate, true)
            .await
    }

    /// The last five fillings of a slot before the present one, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn history(&self, slot: &SlotName) -> Result<Vec<Value>> {
        let history = History::read(self.inner.deps.documents.as_ref(), slot).await?;
        let before = history.fillings.iter().skip(1);
        Ok(before
            .map(|record| {
                json!({ "plugin": record.plugin, "digest": record.digest, "grants": record.grants,
                    "central": record.central, "since": rfc3339(record.since_ms) })
            })
            .collect())
    }

    async fn accept(
        &self,
        caller: &Caller,
        slot: &SlotName,
        filling: Filling,
        migrate: Migrate,
        is_rollback: bool,
    ) -> Result<Operation> {
        let deps = &self.inner.deps;
        if deps.is_managed_by_file {
            return Err(Error::Conflict {
                message: "the configuration file decides what fills a slot (plugins.managed = \"file\"): change it and \
                          start again"
                    .into(),
                revision: None,
            });
        }
        let candidate = deps.slots.load(slot, &filling).await?;
        let mut random = [0; 10];
        deps.world.random(&mut random);
        let created_ms = deps.world.now_ms();
        let operation = Operation {
            id: OperationId::new(created_ms, random),
            kind: OperationKind::Swap,
            state: OperationState::Pending,
            release: String::new(),
            namespace: String::new(),
            requested_by: caller.name.clone(),
            created_ms,
            finished_ms: None,
            plans: 0,
            wave: 0,
            targets: Vec::new(),
            request: json!({ "slot": slot, "plugin": filling.plugin, "digest": candidate.info().digest,
                "migrate": migrate, "rollback": is_rollback }),
            digests: BTreeMap::new(),
            message: None,
        };
        self.take_turn(&operation.id)?;
        let begun = async {
            let followed = deps.charts.follow(operation.clone()).await?;
            let job = Job {
                slot: slot.clone(),
                filling,
                candidate,
                migrate,
                is_rollback,
                followed,
            };
            let sent = self.inner.jobs.try_send(job);
            sent.map_err(|_| Error::unavailable("the gateway is ending"))
        };
        if let Err(error) = begun.await {
            self.inner.end_turn();
            return Err(error);
        }
        deps.documents.audit(json!({
            "time": rfc3339(created_ms), "who": caller.name, "verb": if is_rollback { "rollback" } else { "swap" },
            "kind": "slot", "name": slot, "operation": operation.id, "outcome": "accepted",
        }));
        Ok(operation)
    }

    fn take_turn(&self, id: &OperationId) -> Result<()> {
        let mut busy = self.inner.busy();
        if let Some(other) = busy.as_ref() {
            return Err(Error::Conflict {
                message: format!("a swap is under way, operation {other}; wait for it"),
                revision: None,
            });
        }
        *busy = Some(id.clone());
        Ok(())
    }
}

impl Inner {
    fn busy(&self) -> std::sync::MutexGuard<'_, Option<OperationId>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_turn(&self) {
        *self.busy() = None;
    }
}

//! Runs swaps one after the other, and watches over what they brought.

use std::{
    sync::{Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use super::{Inner, Job, Swaps, record::History, steps::Swap};
use crate::{
    error::{Error, Result},
    flows::{custody::owner_of, input},
    ports::Table,
    words::{Caller, Operation, OperationKind, OperationState, SlotName},
};

/// A new plugin is watched for so long …
const PROBATION: Duration = Duration::from_secs(60);
/// … and rolled back when so many of its calls end in a trap, at a limit or in a broken contract,
const FAILURES: u64 = 5;
/// and they are at least one in so many.
const FAILED_SHARE: u64 = 4;

impl Swaps {
    /// Runs swaps until dropped; those that a restart interrupted are ended first.
    pub async fn work(&self) {
        if let Err(error) = self.inner.end_interrupted().await {
            tracing::error!(%error, "interrupted swaps could not be read");
        }
        if let Err(error) = self.inner.go_on_noting().await {
            tracing::error!(%error, "what was written since the last swap could not be read");
        }
        let taken = self.inner.work.lock();
        let Some(mut jobs) = taken.unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let mut watched: Option<(SlotName, tokio::time::Instant)> = None;
        loop {
            let job = match &watched {
                None => jobs.recv().await,
                Some((slot, until)) if tokio::time::Instant::now() < *until => {
                    let second = tokio::time::timeout(Duration::from_secs(1), jobs.recv()).await;
                    match second {
                        Ok(job) => job,
                        Err(_) => {
                            if self.inner.is_failing(slot) {
                                let slot = slot.clone();
                                watched = None;
                                tracing::error!(%slot, "the new plugin fails too often, and is rolled back");
                                if let Err(error) = self.rollback(&Caller::host(), &slot).await {
                                    tracing::error!(%slot, %error, "it cannot be rolled back");
                                }
                            }
                            continue;
                        }
                    }
                }
                Some(_) => {
                    watched = None;
                    continue;
                }
            };
            let Some(job) = job else { return };
            let (slot, is_rollback) = (job.slot.clone(), job.is_rollback);
            let is_done = self.inner.run(job).await;
            self.inner.end_turn();
            watched =
                (is_done && !is_rollback).then(|| (slot, tokio::time::Instant::now() + PROBATION));
        }
    }
}

impl Inner {
    async fn end_interrupted(&self) -> Result<()> {
        let rows = self
            .deps
            .documents
            .scan_documents(Table::Operations, "", None, 10_000)
            .await?;
        for (_, bytes) in rows {
            let Ok(operation) = serde_json::from_slice::<Operation>(&bytes) else {
                continue;
            };
            if operation.kind == OperationKind::Swap && !operation.state.is_final() {
                let message = "the gateway was started anew; what served before serves, unless the slot says otherwise: \
                               ask for the swap again";
                self.deps.charts.interrupted(operation, message).await?;
                // It may have been about to leave a registry whose cluster keeps them.
                self.bring_home().await;
            }
        }
        Ok(())
    }

    /// Puts credentials back where the present registry keeps them: copies of them were made for another one that does not
    /// serve. They serve from where they are until then.
    pub(super) async fn bring_home(&self) {
        let (entries, _) = self.deps.clusters.mirror().all();
        let owners = entries.iter().filter_map(|entry| {
            let id = input::reference_in(&entry.cluster)?;
            Some((id, owner_of(&entry.cluster)?))
        });
        let owners: Vec<_> = owners.collect();
        if let Err(error) = self.deps.vault.spread(&owners).await {
            tracing::warn!(%error, "copies of credentials that a swap made stay in the store of this gateway until the next one");
        }
    }

    /// Since the present registry took over, unless it came back by a rollback.
    async fn go_on_noting(&self) -> Result<()> {
        let documents = self.deps.documents.as_ref();
        let slot: SlotName = "registry"
            .parse()
            .map_err(|e| Error::Internal(format!("{e}")))?;
        let history = History::read(documents, &slot).await?;
        let Some(present) = history.fillings.first() else {
            return Ok(());
        };
        let is_back = present.is_back;
        let first = self.deps.clusters.first_writes();
        first
            .resume(documents, if is_back { 0 } else { present.since_ms })
            .await
    }

    fn is_failing(&self, slot: &SlotName) -> bool {
        let Some(info) = self.deps.slots.info(slot) else {
            return false;
        };
        let (ok, failed) = info
            .calls
            .values()
            .fold((0, 0), |(ok, failed), f| (ok + f.ok, failed + f.failed));
        failed >= FAILURES && failed * FAILED_SHARE >= ok + failed
    }

    async fn run(&self, job: Job) -> bool {
        let Job {
            slot,
            filling,
            candidate,
            migrate,
            is_rollback,
            followed,
        } = job;
        let id = followed.operation().id;
        let swap = Swap {
            inner: self,
            slot: &slot,
            filling: &filling,
            candidate: candidate.as_ref(),
            migrate,
            is_rollback,
            followed: &followed,
            id: id.as_str(),
            misfits: Mutex::default(),
            same: Mutex::default(),
            has_gathered: AtomicBool::default(),
        };
        let outcome = Box::pin(swap.perform()).await;
        match &outcome {
            Ok(message) => {
                tracing::info!(%slot, plugin = %filling.plugin, "another plugin serves");
                followed.end(OperationState::Succeeded, message).await;
            }
            Err(error) => {
                tracing::warn!(%slot, plugin = %filling.plugin, %error, "the swap failed; what served before serves on");
                let message = format!("{error}; what served before serves on");
                followed.end(OperationState::Failed, &message).await;
            }
        }
        outcome.is_ok()
    }
}

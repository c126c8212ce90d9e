//! Runs operations wave by wave.
//!
//! A target's begin is durable before its first write, its end after the last. What lies between is
//! found again from the cluster: the backend recognises the operation's own work, so a target that
//! was begun before a crash is simply asked again.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tracing::Instrument;

use super::{
    Inner, Live, Wish,
    journal::{Sealed, sealed_id, verdict},
    plan::reason_of,
    request::{OnFailure, Strategy},
};
use crate::{
    error::{Error, Result},
    flows::{health::one_line, mirror::Entry},
    ports::{Call, Charts, Facts, Outcome},
    words::{
        Operation, OperationId, OperationKind, OperationState, SlotName, Target, TargetState,
        Writes,
    },
};

/// Targets prepared, and by default applied, at once.
pub(super) const PARALLEL: usize = 10;
/// A target's, where the request gives none.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);
/// A target's call may take this much longer than what its backend was told.
const SLACK: Duration = Duration::from_secs(30);

impl Inner {
    pub(super) async fn run(&self, id: &OperationId) {
        let Some(live) = self.live(id) else { return };
        let span = crate::first_step!("operation", id = %id, state = tracing::field::Empty);
        if let Err(error) = self.run_waves(id, &live).instrument(span.clone()).await {
            tracing::error!(operation = %id, %error, "the operation ended early");
            let message = one_line(&error.to_string());
            live.change(|o| {
                for target in o.targets.iter_mut() {
                    match target.state {
                        TargetState::Pending => target.state = TargetState::Skipped,
                        TargetState::Running => target.state = TargetState::Unknown,
                        _ => continue,
                    }
                    (target.reason, target.message) =
                        (Some("Interrupted".into()), Some(message.clone()));
                }
            });
        }
        let is_cancelled = *live.wish.borrow() == Wish::Cancel;
        let done = live.change(|o| {
            o.state = verdict(o, is_cancelled);
            o.finished_ms = Some(self.world.now_ms());
        });
        span.record("state", tracing::field::debug(done.state));
        // The record first: a crash in between leaves a sealed part that nobody asks for.
        while let Err(error) = self.save(&done).await {
            tracing::warn!(operation = %id, %error, "the end could not be journaled; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.event(
            &live,
            "operation",
            json!({ "state": done.state, "plans": done.plans }),
        )
        .await;
        if let Err(error) = self.vault.erase(&sealed_id(id)).await {
            tracing::warn!(operation = %id, %error, "the sealed part could not be erased");
        }
        let mut ended = super::lock(&self.ended);
        super::lock(&self.live).remove(id);
        super::count(&mut ended, &done);
    }

    async fn run_waves(&self, id: &OperationId, live: &Live) -> Result<()> {
        let sealed = self.open_sealed(id).await?;
        let slot = sealed.slot()?;
        let backend = self
            .backends
            .get(&slot)
            .cloned()
            .ok_or_else(|| no_backend(&slot))?;
        let running = live.change(|o| {
            if o.state == OperationState::Pending {
                o.state = OperationState::Running;
            }
        });
        self.save(&running).await?;
        self.event(live, "operation", json!({ "state": running.state }))
            .await;
        let strategy = &sealed.strategy;
        let total = running.targets.len();
        let allowed = match &strategy.max_failures {
            Some(amount) => amount.of(total, "strategy.maxFailures")?,
            None => 0,
        };
        let last_wave = running.targets.iter().map(|t| t.wave).max().unwrap_or(0);
        let parallel = strategy.max_parallel.map_or(PARALLEL, |n| n as usize);
        for wave in 0..=last_wave {
            let rows: Vec<usize> = (0..total)
                .filter(|i| {
                    live.snapshot().targets.get(*i).is_some_and(|t| {
                        t.wave == wave
                            && matches!(t.state, TargetState::Pending | TargetState::Running)
                    })
                })
                .collect();
            stream::iter(rows)
                .map(|row| {
                    let (backend, sealed) = (backend.clone(), &sealed);
                    async move {
                        if !self.is_over(live, strategy, allowed) {
                            self.run_target(live, backend.as_ref(), sealed, row).await?;
                        }
                        Ok::<_, Error>(())
                    }
                })
                .buffer_unordered(parallel)
                .collect::<Vec<_>>()
                .await
                .into_iter()
                .collect::<Result<Vec<_>>>()?;
            if self.is_over(live, strategy, allowed) {
                break;
            }
            if let Some(pause) = strategy
                .waves
                .get(wave as usize)
                .filter(|_| wave < last_wave)
            {
                self.pause(live, pause.manual, pause.pause_seconds).await?;
            }
        }
        let failures = failures(&live.snapshot());
        if strategy.on_failure == OnFailure::RollbackAll && failures > allowed {
            self.roll_back_all(live, backend.as_ref(), &sealed).await?;
        }
        let skipped = live.change(|o| {
            for target in o
                .targets
                .iter_mut()
                .filter(|t| t.state == TargetState::Pending)
            {
                target.state = TargetState::Skipped;
            }
        });
        self.save(&skipped).await
    }

    fn is_over(&self, live: &Live, strategy: &Strategy, allowed: usize) -> bool {
        let is_cancelled = *live.wish.borrow() == Wish::Cancel;
        let goes_on = matches!(
            strategy.on_failure,
            OnFailure::Continue | OnFailure::Rollback
        ) && strategy.max_failures.is_none();
        is_cancelled || (!goes_on && failures(&live.snapshot()) > allowed)
    }

    async fn pause(&self, live: &Live, is_manual: bool, seconds: Option<u64>) -> Result<()> {
        if !is_manual && seconds.is_none() {
            return Ok(());
        }
        let mut wish = live.wish.subscribe();
        let paused = live.change(|o| o.state = OperationState::Paused);
        self.save(&paused).await?;
        self.event(
            live,
            "operation",
            json!({ "state": "paused", "manual": is_manual }),
        )
        .await;
        let told = async {
            // An error means that the process ends.
            let _ = wish.wait_for(|w| *w != Wish::GoOn).await;
        };
        if is_manual {
            told.await;
        } else {
            let wait = Duration::from_secs(seconds.unwrap_or(0));
            let _ = tokio::time::timeout(wait, told).await;
        }
        if *live.wish.borrow() == Wish::Cancel {
            return Ok(());
        }
        live.wish.send_replace(Wish::GoOn);
        let running = live.change(|o| o.state = OperationState::Running);
        self.save(&running).await?;
        self.event(live, "operation", json!({ "state": "running" }))
            .await;
        Ok(())
    }

    async fn run_target(
        &self,
        live: &Live,
        backend: &dyn Charts,
        sealed: &Sealed,
        row: usize,
    ) -> Result<()> {
        let operation = live.snapshot();
        let Some(target) = operation.targets.get(row).cloned() else {
            return Ok(());
        };
        let entry = self
            .clusters
            .mirror()
            .get(&target.cluster)
            .filter(|e| e.uid == target.uid);
        let Some(entry) = entry else {
            let state = if target.started_ms.is_some() {
                TargetState::Unknown
            } else {
                TargetState::Skipped
            };
            return self
                .ended(
                    live,
                    row,
                    state,
                    Some(("ClusterDeleted", "the cluster was deleted".into())),
                    None,
                )
                .await;
        };
        let started = live.change(|o| {
            if let Some(target) = o.targets.get_mut(row) {
                target.state = TargetState::Running;
                target.started_ms.get_or_insert(self.world.now_ms());
            }
        });
        // Durable before the first write: after a crash nobody takes this target for untouched.
        self.save(&started).await?;
        self.event(
            live,
            "target",
            json!({ "cluster": target.cluster, "state": "running" }),
        )
        .await;
        let outcome = self
            .apply_to(&entry, &operation, backend, sealed, row)
            .instrument(crate::step!("target", cluster = %target.cluster))
            .await;
        match outcome {
            Ok(outcome) => {
                let state = if outcome.is_changed {
                    TargetState::Succeeded
                } else {
                    TargetState::Unchanged
                };
                self.ended(live, row, state, None, Some(outcome.release.revision))
                    .await
            }
            Err((reason, message)) => {
                self.ended(
                    live,
                    row,
                    TargetState::Failed,
                    Some((&reason, message)),
                    None,
                )
                .await?;
                if sealed.strategy.on_failure == OnFailure::Rollback {
                    self.roll_back(live, backend, sealed, row).await?;
                }
                Ok(())
            }
        }
    }

    async fn apply_to(
        &self,
        entry: &Entry,
        operation: &Operation,
        backend: &dyn Charts,
        sealed: &Sealed,
        row: usize,
    ) -> Result<Outcome, (String, String)> {
        let of = |error: Error| (reason_of(&error).to_owned(), one_line(&error.to_string()));
        let connection = self
            .connect(entry, Writes::All)
            .await
            .map_err(|fault| (fault.reason.reason().to_owned(), one_line(&fault.message)))?;
        let facts = Facts {
            release: operation.release.clone(),
            namespace: operation.namespace.clone(),
            action: sealed.actions.get(row).cloned().unwrap_or_default(),
            cluster: entry.cluster.name().to_string(),
            labels: entry.cluster.labels(),
            ..Facts::default()
        };
        let timeout = sealed
            .options
            .timeout_seconds
            .map_or(TIMEOUT, Duration::from_secs);
        let mut options = serde_json::to_value(&sealed.options).unwrap_or_default();
        if let Value::Object(map) = &mut options {
            map.remove("timeoutSeconds");
            map.insert(
                "timeoutMs".into(),
                u64::try_from(timeout.as_millis())
                    .unwrap_or(u64::MAX)
                    .into(),
            );
        }
        let options = options.to_string();
        let mut call = Call::background().within(timeout + SLACK);
        call.operation = Some(operation.id.clone());
        let plan = sealed.plan(row).map_err(of)?;
        let done = match (operation.kind, plan) {
            (OperationKind::Install, Some(plan)) => {
                backend
                    .install(call, connection, facts, plan, &options)
                    .await
            }
            (OperationKind::Upgrade, Some(plan)) => {
                backend
                    .upgrade(call, connection, facts, plan, &options)
                    .await
            }
            (OperationKind::Rollback, _) => {
                let revision = Some(sealed.to_revision).filter(|r| *r > 0);
                backend
                    .rollback(call, connection, facts, revision, &options)
                    .await
            }
            (OperationKind::Uninstall, _) => {
                backend.uninstall(call, connection, facts, &options).await
            }
            (OperationKind::Test, _) => backend.run_tests(call, connection, facts, &options).await,
            (kind, _) => Err(Error::Internal(format!(
                "an operation of kind {kind:?} has no plan"
            ))),
        };
        done.map_err(of)
    }

    async fn ended(
        &self,
        live: &Live,
        row: usize,
        state: TargetState,
        problem: Option<(&str, String)>,
        revision: Option<u32>,
    ) -> Result<()> {
        let now = self.world.now_ms();
        let changed = live.change(|o| {
            if let Some(target) = o.targets.get_mut(row) {
                target.state = state;
                target.revision = revision.or(target.revision);
                target.duration_ms = target.started_ms.map(|s| now.saturating_sub(s));
                if let Some((reason, message)) = &problem {
                    (target.reason, target.message) =
                        (Some((*reason).to_owned()), Some(message.clone()));
                }
            }
        });
        self.save(&changed).await?;
        if let Some(target) = changed.targets.get(row) {
            self.event(
                live,
                "target",
                serde_json::to_value(target).unwrap_or_default(),
            )
            .await;
        }
        Ok(())
    }

    /// Back to what a cluster had before this operation; what it did not have is uninstalled.
    async fn roll_back(
        &self,
        live: &Live,
        backend: &dyn Charts,
        sealed: &Sealed,
        row: usize,
    ) -> Result<()> {
        let operation = live.snapshot();
        let Some(target) = operation.targets.get(row).cloned() else {
            return Ok(());
        };
        let kind = if target.revision_before.is_some() {
            OperationKind::Rollback
        } else {
            OperationKind::Uninstall
        };
        let entry = self
            .clusters
            .mirror()
            .get(&target.cluster)
            .filter(|e| e.uid == target.uid);
        let Some(entry) = entry else { return Ok(()) };
        let undo = Operation { kind, ..operation };
        let sealed = Sealed {
            slot: sealed.slot.clone(),
            actions: sealed.actions.clone(),
            options: sealed.options.clone(),
            to_revision: target.revision_before.unwrap_or(0),
            ..Sealed::default()
        };
        match self.apply_to(&entry, &undo, backend, &sealed, row).await {
            Ok(_) => {
                self.ended(live, row, TargetState::RolledBack, None, None)
                    .await
            }
            Err((reason, message)) => {
                let message = format!(
                    "{}; going back failed too: {message}",
                    target.message.unwrap_or_default()
                );
                self.ended(
                    live,
                    row,
                    TargetState::Failed,
                    Some((&reason, message)),
                    None,
                )
                .await
            }
        }
    }

    async fn roll_back_all(
        &self,
        live: &Live,
        backend: &dyn Charts,
        sealed: &Sealed,
    ) -> Result<()> {
        let rows: Vec<usize> = {
            let operation = live.snapshot();
            let changed = |t: &Target| {
                t.state == TargetState::Succeeded
                    || (t.state == TargetState::Failed && t.started_ms.is_some())
            };
            (0..operation.targets.len())
                .filter(|i| operation.targets.get(*i).is_some_and(changed))
                .collect()
        };
        stream::iter(rows)
            .map(|row| self.roll_back(live, backend, sealed, row))
            .buffer_unordered(PARALLEL)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect()
    }
}

fn failures(operation: &Operation) -> usize {
    operation
        .targets
        .iter()
        .filter(|t| matches!(t.state, TargetState::Failed | TargetState::Unknown))
        .count()
}

fn no_backend(slot: &SlotName) -> Error {
    Error::NoPlugin {
        slot: slot.clone(),
        message: "the slot is not configured any more".into(),
    }
}

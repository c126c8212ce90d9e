//! Operations: accepted whole, journaled before anything is touched, run wave by wave.
//!
//! A target's begin is durable before its first write, its end after the last. What lies between is
//! found again from the cluster: the backend recognises the operation's own work, so a target that
//! was begun before a crash is simply asked again.

use std::{sync::PoisonError, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    ActionRequest, ChartFlows, ChartsRequest, Inner, Live, Wish,
    journal::{Sealed, sealed_id, verdict},
    plan::{Plans, reason_of},
    request::{DryRun, OnFailure, Strategy},
    targets,
};
use crate::{
    error::{Error, Result},
    flows::{health::one_line, mirror::Entry},
    ports::{Call, Charts, Facts, Outcome, Table},
    words::{
        Caller, Fault, Operation, OperationId, OperationKind, OperationState, SlotName, Target,
        TargetState, Writes,
    },
};

/// Targets prepared, and by default applied, at once.
const PARALLEL: usize = 10;
const TIMEOUT: Duration = Duration::from_secs(300);
/// A target's call may take this much longer than what its backend was told.
const SLACK: Duration = Duration::from_secs(30);

/// What one row of an operation starts from.
struct Prepared {
    plan: Option<usize>,
    action: &'static str,
    revision_before: Option<u32>,
    problem: Option<(String, String)>,
}

impl ChartFlows {
    /// Installs (or with `is_upgrade` upgrades) a release on the selected clusters. Validated whole
    /// and planned before the first cluster is changed; runs on after this returned.
    ///
    /// # Errors
    /// `Invalid` with every field, `NotFound` for an unknown archive, `Conflict` naming the operation
    /// that holds the release on one of the clusters.
    pub async fn apply(
        &self,
        caller: &Caller,
        request: ChartsRequest,
        is_upgrade: bool,
    ) -> Result<Operation> {
        if request.dry_run != DryRun::None {
            return Err(Error::invalid(
                "dryRun",
                "previews are not served by this version; leave it out",
            ));
        }
        let inner = &self.inner;
        let chosen = targets::select(inner.clusters.mirror(), caller, &request.targets)?;
        let (slot, backend) = inner.backend(request.backend.as_deref())?;
        self.archive(&request.chart.digest).await?;
        let archive = inner.archives.fetch(&request.chart.digest).await?;
        let rows = targets::rows(&chosen, &request.strategy)?;

        let plans = Mutex::new(Plans::default());
        let prepare = chosen.iter().cloned().map(|entry| {
            let (plans, backend, archive, request) = (&plans, &backend, &archive, &request);
            async move {
                let values = targets::values_for(&entry, &request.values, &request.overrides)?;
                inner
                    .prepare(
                        &entry,
                        backend.as_ref(),
                        archive,
                        &values,
                        request,
                        is_upgrade,
                        plans,
                    )
                    .await
            }
        });
        let prepared: Vec<Prepared> = stream::iter(prepare)
            .buffered(PARALLEL)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_>>()?;
        let plans = plans.into_inner();
        if plans.all.is_empty()
            && let Some((_, message)) = prepared
                .iter()
                .filter_map(|p| p.problem.as_ref())
                .find(|(r, _)| r == "Invalid")
        {
            return Err(Error::invalid("chart", message.clone()));
        }
        let kind = if is_upgrade {
            OperationKind::Upgrade
        } else {
            OperationKind::Install
        };
        let sealed = Sealed {
            slot: slot.to_string(),
            plans: plans
                .all
                .iter()
                .map(|p| STANDARD.encode(&p.prepared.plan))
                .collect(),
            plan_of: prepared.iter().map(|p| p.plan).collect(),
            actions: prepared.iter().map(|p| p.action.to_owned()).collect(),
            options: request.options.clone(),
            strategy: request.strategy.clone(),
            to_revision: 0,
        };
        let mut operation = self.record(
            caller,
            kind,
            &request.release.name,
            &request.release.namespace,
            rows,
        );
        operation.plans = u32::try_from(plans.all.len()).unwrap_or(u32::MAX);
        operation
            .digests
            .insert("chart".into(), request.chart.digest.clone());
        operation.request = json!({
            "chart": request.chart, "options": request.options, "strategy": request.strategy, "backend": slot,
        });
        for (target, prepared) in operation.targets.iter_mut().zip(prepared) {
            target.revision_before = prepared.revision_before;
            if let Some((reason, message)) = prepared.problem {
                target.state = TargetState::Failed;
                (target.reason, target.message) = (Some(reason), Some(message));
            }
        }
        self.accept(operation, &sealed).await
    }

    /// Rolls back, tests or uninstalls a release on the selected clusters.
    ///
    /// # Errors
    /// As [`ChartFlows::apply`].
    pub async fn act(
        &self,
        caller: &Caller,
        kind: OperationKind,
        release: &str,
        request: ActionRequest,
    ) -> Result<Operation> {
        let chosen = targets::select(self.inner.clusters.mirror(), caller, &request.targets)?;
        let (slot, _) = self.inner.backend(request.backend.as_deref())?;
        let rows = targets::rows(&chosen, &request.strategy)?;
        let sealed = Sealed {
            slot: slot.to_string(),
            plan_of: vec![None; rows.len()],
            actions: vec!["upgrade".to_owned(); rows.len()],
            options: request.options.clone(),
            strategy: request.strategy.clone(),
            to_revision: request.to_revision,
            ..Sealed::default()
        };
        let mut operation = self.record(caller, kind, release, &request.namespace, rows);
        operation.request = json!({
            "options": request.options, "strategy": request.strategy, "toRevision": request.to_revision, "backend": slot,
        });
        self.accept(operation, &sealed).await
    }

    fn record(
        &self,
        caller: &Caller,
        kind: OperationKind,
        release: &str,
        namespace: &str,
        targets: Vec<Target>,
    ) -> Operation {
        let mut random = [0; 10];
        self.inner.world.random(&mut random);
        let created_ms = self.inner.world.now_ms();
        Operation {
            id: OperationId::new(created_ms, random),
            kind,
            state: OperationState::Pending,
            release: release.to_owned(),
            namespace: namespace.to_owned(),
            requested_by: caller.name.clone(),
            created_ms,
            finished_ms: None,
            plans: 0,
            targets,
            request: Value::Null,
            digests: std::collections::BTreeMap::new(),
        }
    }

    /// Takes the locks, journals, and hands over to the runner.
    async fn accept(&self, operation: Operation, sealed: &Sealed) -> Result<Operation> {
        let inner = &self.inner;
        let live = {
            let mut all = inner.live.lock().unwrap_or_else(PoisonError::into_inner);
            for other in all.values().map(Live::snapshot) {
                let same =
                    other.release == operation.release && other.namespace == operation.namespace;
                let held = operation
                    .targets
                    .iter()
                    .find(|t| other.targets.iter().any(|o| o.uid == t.uid));
                if let Some(target) = held.filter(|_| same) {
                    return Err(Error::Conflict {
                        message: format!(
                            "release \"{}\" on cluster \"{}\" is held by operation {}; wait for it or cancel it",
                            operation.release, target.cluster, other.id
                        ),
                        revision: None,
                    });
                }
            }
            let live = Live::new(operation.clone(), 0);
            all.insert(operation.id.clone(), live.clone());
            live
        };
        let journaled = async {
            let bytes = serde_json::to_vec(sealed).map_err(|e| Error::Internal(e.to_string()))?;
            inner
                .vault
                .seal_bytes(&sealed_id(&operation.id), &bytes)
                .await?;
            inner.save(&operation).await
        };
        if let Err(error) = journaled.await {
            inner
                .live
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&operation.id);
            return Err(error);
        }
        inner
            .event(&live, "operation", json!({ "state": "pending" }))
            .await;
        inner.documents.audit(json!({
            "time": crate::flows::health::rfc3339(operation.created_ms), "who": operation.requested_by,
            "verb": operation.kind, "kind": "release", "name": operation.release,
            "operation": operation.id, "outcome": "accepted",
        }));
        inner
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(operation.id.clone());
        inner.work.notify_one();
        Ok(operation)
    }

    /// Runs operations until dropped; those that a crash interrupted go on first.
    pub async fn work(&self) {
        if let Err(error) = self.recover().await {
            tracing::error!(%error, "interrupted operations could not be read; they stay as they are");
        }
        let mut running = JoinSet::new();
        loop {
            let ids = std::mem::take(
                &mut *self
                    .inner
                    .queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            for id in ids {
                let flows = self.clone();
                running.spawn(async move { flows.inner.run(&id).await });
            }
            tokio::select! {
                () = self.inner.work.notified() => {}
                Some(_) = running.join_next() => {}
            }
        }
    }

    async fn recover(&self) -> Result<()> {
        let rows = self
            .inner
            .documents
            .scan_documents(Table::Operations, "", None, 10_000)
            .await?;
        for (key, bytes) in rows {
            let operation: Operation = match serde_json::from_slice(&bytes) {
                Ok(operation) => operation,
                Err(error) => {
                    tracing::error!(operation = %key, %error, "an operation's record is not readable");
                    continue;
                }
            };
            if operation.state.is_final() || operation.kind == OperationKind::Swap {
                continue;
            }
            let last = self.inner.last_event(&operation.id).await?;
            let live = Live::new(operation.clone(), last);
            if operation.state == OperationState::Cancelling {
                live.wish.send_replace(Wish::Cancel);
            }
            let mut all = self
                .inner
                .live
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            all.insert(operation.id.clone(), live);
            drop(all);
            self.inner
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(operation.id);
        }
        Ok(())
    }
}

impl Inner {
    #[expect(
        clippy::too_many_arguments,
        reason = "one row's inputs, used in one place"
    )]
    async fn prepare(
        &self,
        entry: &Entry,
        backend: &dyn Charts,
        archive: &bytes::Bytes,
        values: &str,
        request: &ChartsRequest,
        is_upgrade: bool,
        plans: &Mutex<Plans>,
    ) -> Result<Prepared> {
        let mut prepared = Prepared {
            plan: None,
            action: "install",
            revision_before: None,
            problem: None,
        };
        let made = async {
            let connection = self.connect(entry, Writes::None).await.map_err(of_fault)?;
            let release = &request.release;
            let facts = self
                .facts(
                    entry,
                    connection.as_ref(),
                    &release.name,
                    &release.namespace,
                )
                .await;
            let mut facts = facts.map_err(of_fault)?;
            if is_upgrade {
                let call = Call::background().within(TIMEOUT);
                let history = backend
                    .history(call, connection.clone(), facts.clone(), 1)
                    .await;
                let last = match history {
                    Ok(list) => list.into_iter().next(),
                    Err(Error::NotFound { .. }) => None,
                    Err(error) => return Err((reason_of(&error).to_owned(), error)),
                };
                if let Some(last) = last.filter(|l| l.status != "uninstalled") {
                    prepared.action = "upgrade";
                    prepared.revision_before = Some(last.revision);
                    facts.revision = last.revision.saturating_add(1);
                }
            }
            facts.action = prepared.action.to_owned();
            let mut plans = plans.lock().await;
            plans
                .index_for(backend, archive, values, &facts, connection)
                .await
                .map_err(|error| (reason_of(&error).to_owned(), error))
        };
        match made.await {
            Ok(index) => prepared.plan = Some(index),
            // Without a plugin nothing can be said of any cluster.
            Err((_, error @ (Error::NoPlugin { .. } | Error::Plugin(_)))) => return Err(error),
            Err((reason, error)) => prepared.problem = Some((reason, one_line(&error.to_string()))),
        }
        Ok(prepared)
    }

    async fn run(&self, id: &OperationId) {
        let Some(live) = self.live(id) else { return };
        if let Err(error) = self.run_waves(id, &live).await {
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
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
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

fn of_fault(fault: Fault) -> (String, Error) {
    (
        fault.reason.reason().to_owned(),
        Error::unavailable(fault.message),
    )
}

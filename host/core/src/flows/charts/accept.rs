//! Operations: accepted whole, journaled before anything is touched, handed over to the runner.

use std::{collections::HashSet, sync::PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    ActionRequest, ChartFlows, ChartsRequest, Live, Once, REPORTS, Wish, adopt,
    journal::{Sealed, sealed_id},
    request::DryRun,
    targets,
};
use crate::{
    error::{Error, Result},
    ports::Table,
    words::{Caller, Operation, OperationId, OperationKind, OperationState, Target},
};

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
        mut request: ChartsRequest,
        is_upgrade: bool,
        once: Option<Once>,
    ) -> Result<Operation> {
        let claim = self.inner.claim(once)?;
        let ready = self.ready(caller, &mut request, is_upgrade).await?;
        let rows = targets::rows(&ready.chosen, &request.strategy)?;
        let kind = if is_upgrade {
            OperationKind::Upgrade
        } else {
            OperationKind::Install
        };
        let plans = &ready.plans.all;
        let sealed = Sealed {
            slot: ready.slot.to_string(),
            plans: plans
                .iter()
                .map(|p| STANDARD.encode(&p.prepared.plan))
                .collect(),
            plan_of: ready.rows.iter().map(|p| p.plan).collect(),
            actions: ready.rows.iter().map(|p| p.action.to_owned()).collect(),
            options: request.options.clone(),
            strategy: request.strategy.clone(),
            to_revision: 0,
        };
        let release = &request.release;
        let mut operation =
            self.new_operation(caller, kind, &release.name, &release.namespace, rows);
        operation.plans = u32::try_from(plans.len()).unwrap_or(u32::MAX);
        operation
            .digests
            .insert("chart".into(), request.chart.digest.clone());
        operation.request = json!({
            "chart": request.chart, "options": request.options, "strategy": request.strategy,
            "backend": ready.slot,
        });
        for (target, prepared) in operation.targets.iter_mut().zip(ready.rows) {
            target.revision_before = prepared.revision_before;
            // It fails when its turn comes, so that waves and bounds count it where it belongs.
            if let Some((reason, message)) = prepared.problem {
                (target.reason, target.message) = (Some(reason), Some(message));
            }
        }
        let row = claim.as_ref().map(|c| c.row(&operation.id)).transpose()?;
        self.accept(operation, &sealed, row).await
    }

    /// Rolls back, tests, uninstalls or hands over a release on the selected clusters.
    ///
    /// # Errors
    /// As [`ChartFlows::apply`].
    pub async fn act(
        &self,
        caller: &Caller,
        kind: OperationKind,
        release: &str,
        request: ActionRequest,
        once: Option<Once>,
    ) -> Result<Operation> {
        if request.dry_run != DryRun::None {
            let message = "is a preview's, and changes nothing";
            return Err(Error::invalid("dryRun", message));
        }
        let claim = self.inner.claim(once)?;
        let chosen = self.chosen(caller, &request.targets).await?;
        // Handing over is the work of the one that is left.
        let usual = (kind == OperationKind::Adopt).then_some(adopt::LEFT);
        let (slot, _) = self.inner.backend(request.backend.as_deref().or(usual))?;
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
        let mut operation = self.new_operation(caller, kind, release, &request.namespace, rows);
        operation.request = json!({
            "options": request.options, "strategy": request.strategy, "toRevision": request.to_revision, "backend": slot,
        });
        let row = claim.as_ref().map(|c| c.row(&operation.id)).transpose()?;
        self.accept(operation, &sealed, row).await
    }

    fn new_operation(
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
            wave: 0,
            targets,
            request: Value::Null,
            digests: std::collections::BTreeMap::new(),
            message: None,
        }
    }

    /// What makes two targets the same cluster: its own identity where it is known, else its registration.
    fn lock_of(&self, target: &Target) -> String {
        let entry = self.inner.clusters.mirror().get(&target.cluster);
        let entry = entry.filter(|e| e.uid == target.uid);
        let identity = entry.and_then(|e| e.health.identity.clone());
        identity.unwrap_or_else(|| target.uid.to_string())
    }

    /// Waits until the interrupted operations are known, takes the locks, journals together with `row`, and hands over to the
    /// runner.
    async fn accept(
        &self,
        operation: Operation,
        sealed: &Sealed,
        row: Option<(Table, String, Option<Vec<u8>>)>,
    ) -> Result<Operation> {
        let inner = &self.inner;
        inner.recovered().await?;
        let live = {
            let mut all = inner.live.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted: Vec<String> = operation.targets.iter().map(|t| self.lock_of(t)).collect();
            for other in all.values() {
                let held = other.with(|other| {
                    let is_same = other.release == operation.release
                        && other.namespace == operation.namespace
                        && !other.state.is_final();
                    let locks: HashSet<String> = if is_same {
                        other.targets.iter().map(|t| self.lock_of(t)).collect()
                    } else {
                        HashSet::new()
                    };
                    wanted.iter().position(|lock| locks.contains(lock))
                });
                if let Some(target) = held.and_then(|row| operation.targets.get(row)) {
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
            let mut rows = vec![super::journal::row_of(&operation)?];
            rows.extend(row);
            inner.documents.write(rows).await
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
        self.inner.has_recovered.send_replace(true);
        let mut running = JoinSet::new();
        let taken = self
            .inner
            .reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut reports = taken.unwrap_or_else(|| tokio::sync::mpsc::channel(1).1);
        let mut some = Vec::new();
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
                1.. = reports.recv_many(&mut some, REPORTS) => {
                    self.inner.tell(std::mem::take(&mut some)).await;
                }
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
            let mut operation: Operation = match serde_json::from_slice(&bytes) {
                Ok(operation) => operation,
                Err(error) => {
                    tracing::error!(operation = %key, %error, "an operation's record is not readable");
                    continue;
                }
            };
            if operation.state.is_final() || operation.kind == OperationKind::Swap {
                continue;
            }
            let last = self.inner.replay(&mut operation).await?;
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

//! Operations: accepted whole, journaled before anything is touched, handed over to the runner.

use std::sync::PoisonError;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{sync::Mutex, task::JoinSet};

use super::{
    ActionRequest, ChartFlows, ChartsRequest, Inner, Live, Wish,
    journal::{Sealed, sealed_id},
    plan::{Plans, reason_of},
    request::DryRun,
    run::{PARALLEL, TIMEOUT},
    targets,
};
use crate::{
    error::{Error, Result},
    flows::{health::one_line, mirror::Entry},
    ports::{Call, Charts, Table},
    words::{
        Caller, Fault, Operation, OperationId, OperationKind, OperationState, Target, TargetState,
        Writes,
    },
};

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
        let taken = self
            .inner
            .reports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut reports = taken.unwrap_or_else(|| tokio::sync::mpsc::channel(1).1);
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
                Some(report) = reports.recv() => self.inner.tell(report).await,
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
}

fn of_fault(fault: Fault) -> (String, Error) {
    (
        fault.reason.reason().to_owned(),
        Error::unavailable(fault.message),
    )
}

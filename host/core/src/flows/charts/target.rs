//! One target of an operation: begun, changed, and what became of it.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{
    StreamExt,
    future::{self, Either},
    stream,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::Instrument;

use super::{
    adopt,
    events::{Recorded, nothing},
    prepare::options_json,
    request::OnFailure,
    run::{Course, TIMEOUT},
    watched::{Problem, Watched, Writing, of_error, of_fault},
};
use crate::{
    error::{Error, Result},
    flows::mirror::Entry,
    ports::{Call, Facts, Outcome, Release},
    words::{OperationKind, Target, TargetState, Writes},
};

/// A target's call may take this much longer than what its backend was told.
const SLACK: Duration = Duration::from_secs(30);
/// A look at what is there takes a request or two.
const LOOK: Duration = Duration::from_secs(15);
/// A member that went away in the middle of a change is waited for so long: an API server restarts in seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at such a member.
const PAUSE: Duration = Duration::from_secs(1);
/// Clusters taken back at once.
const BACK_AT_ONCE: usize = 10;

/// What is to be done to a target.
#[derive(Debug, Clone, Copy)]
struct Deed {
    kind: OperationKind,
    to_revision: u32,
    /// Revisions of this operation up to this one are of an earlier deed.
    after: u32,
}

/// What a cluster says about a change that was cut off.
enum Found {
    /// This operation made no revision there.
    Nothing,
    /// The release is not there.
    Gone,
    /// The operation's newest revision.
    Own(Box<Release>),
}

/// Whether a reason says for certain that the change ended, and how.
fn is_definite(reason: &str) -> bool {
    const DEFINITE: [&str; 18] = [
        "Invalid",
        "NotFound",
        "AlreadyExists",
        "Conflict",
        "Expired",
        "Forbidden",
        "TooLarge",
        "Unsupported",
        "NoPlugin",
        "NoPod",
        "PodNotReady",
        "SeveralPods",
        "NotTiller",
        "VersionMismatch",
        "ReleaseLocked",
        "TillerRefused",
        "TestsFailed",
        "Interrupted",
    ];
    DEFINITE.contains(&reason)
}

/// The problem, and what it leaves behind.
fn left((reason, message): Problem, found: &Found) -> Problem {
    let message = match found {
        Found::Own(own) if own.status.starts_with("pending-") => format!(
            "{message}; revision {} is left {}: a change with force clears it",
            own.revision, own.status
        ),
        _ => message,
    };
    (reason, message)
}

impl Course {
    /// Where a target is now: `None` when it was deleted, a problem when the registry does not say.
    async fn entry(&self, target: &Target) -> Result<Option<Arc<Entry>>, Problem> {
        let end = Instant::now() + self.within(PATIENCE);
        let clusters = &self.inner.clusters;
        loop {
            match clusters.present(&target.cluster, &target.uid).await {
                Ok(entry) => return Ok(Some(entry)),
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) if Instant::now() >= end => return Err(of_error(&error)),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Begins a target, or goes on with it, and ends it.
    ///
    /// It is over when this returns, and journaled as such when what it returns does: the next one need not wait for that.
    pub(super) async fn target(&self, row: usize) -> Result<Recorded> {
        let Some(target) = self.live.with(|o| o.targets.get(row).cloned()) else {
            return Ok(nothing());
        };
        let was_begun = target.started_ms.is_some();
        if let (false, Some(reason)) = (was_begun, target.reason.clone()) {
            let problem = (reason, target.message.unwrap_or_default());
            return Ok(self.ended(row, TargetState::Failed, Some(problem), None));
        }
        let (untouched, problem) = match self.entry(&target).await {
            Ok(Some(entry)) => return self.change(row, &entry, was_begun).await,
            Ok(None) => {
                let problem = ("ClusterDeleted".into(), "the cluster was deleted".into());
                (TargetState::Skipped, problem)
            }
            Err(problem) => (TargetState::Failed, problem),
        };
        let state = if was_begun {
            TargetState::Unknown
        } else {
            untouched
        };
        Ok(self.ended(row, state, Some(problem), None))
    }

    async fn change(&self, row: usize, entry: &Entry, was_begun: bool) -> Result<Recorded> {
        let now = self.inner.world.now_ms();
        self.live.change(|o| {
            if let Some(target) = o.targets.get_mut(row) {
                target.state = TargetState::Running;
                target.started_ms.get_or_insert(now);
            }
        });
        // Durable before the first write: after a crash nobody takes this target for untouched. What is read before that
        // is read meanwhile.
        let (told, journaled) = watch::channel(None);
        let begun = self.inner.record(&self.live, row);
        let begun = pin!(async move {
            let recorded = begun.await;
            told.send_replace(Some(recorded.is_ok()));
            recorded
        });
        let deed = Deed {
            kind: self.live.with(|o| o.kind),
            to_revision: self.sealed.to_revision,
            after: 0,
        };
        let writing = Writing::new(was_begun, journaled);
        let seen = pin!(
            self.see_through(entry, deed, row, &writing)
                .instrument(crate::step!("target", cluster = %entry.cluster.name()))
        );
        let seen = match future::select(begun, seen).await {
            Either::Left((Ok(()), seen)) => Ok(seen.await),
            Either::Left((Err(error), _)) => Err(error),
            Either::Right((seen, begun)) => begun.await.map(|()| seen),
        };
        if seen.is_err() && !writing.has_written.load(Ordering::Relaxed) {
            // Not begun after all, and known to be untouched.
            self.live.change(|o| {
                if let Some(target) = o.targets.get_mut(row) {
                    (target.state, target.started_ms) = (TargetState::Pending, None);
                }
            });
        }
        let (state, problem, revision) = seen?;
        if let Some(waited) = writing.waited() {
            super::lock(&self.inner.journaled).record(waited);
        }
        let ended = self.ended(row, state, problem, revision);
        if state == TargetState::Failed && self.sealed.strategy.on_failure == OnFailure::Rollback {
            ended.await?;
            self.roll_back(row).await?;
            return Ok(nothing());
        }
        Ok(ended)
    }

    /// Does it; where the connection breaks in the middle, waits for the member and goes on, and where it does not come
    /// back, says that nobody knows.
    async fn see_through(
        &self,
        entry: &Entry,
        deed: Deed,
        row: usize,
        writing: &Writing,
    ) -> (TargetState, Option<Problem>, Option<u32>) {
        let was_begun = writing.has_written.load(Ordering::Relaxed);
        let end = Instant::now() + self.within(PATIENCE);
        loop {
            let problem = match self.attempt(entry, deed, row, writing).await {
                Ok(outcome) => {
                    // What is gone after a crash was removed before it: that left nothing to recognise it by.
                    let was_removed = was_begun && deed.kind == OperationKind::Uninstall;
                    let state = if outcome.is_changed || was_removed {
                        TargetState::Succeeded
                    } else {
                        TargetState::Unchanged
                    };
                    // Of what is not there, there is none.
                    let revision = Some(outcome.release.revision).filter(|r| *r > 0);
                    return (state, None, revision);
                }
                Err(problem) => problem,
            };
            let is_final = deed.kind == OperationKind::Test || is_definite(&problem.0);
            if is_final || !writing.has_written.load(Ordering::Relaxed) {
                return (TargetState::Failed, Some(problem), None);
            }
            let found = match self.find_out(entry, row, end).await {
                Ok(found) => found,
                Err((_, why)) => {
                    let message = format!(
                        "{}; whether the cluster was changed is not known, as it does not answer: {why}",
                        problem.1
                    );
                    return (TargetState::Unknown, Some((problem.0, message)), None);
                }
            };
            match (deed.kind, &found) {
                (OperationKind::Uninstall | OperationKind::Adopt, Found::Gone) => {
                    return (TargetState::Succeeded, None, None);
                }
                // Removing goes on where it was cut off, whatever is left.
                (OperationKind::Uninstall, _) => {}
                (_, Found::Own(own)) if own.revision > deed.after => match own.status.as_str() {
                    "deployed" => return (TargetState::Succeeded, None, Some(own.revision)),
                    // Cut off: the backend recognises what it did, and goes on from there.
                    status if status.starts_with("pending-") => {}
                    _ => return (TargetState::Failed, Some(problem), None),
                },
                // Nothing of it was written down: it begins anew.
                _ => {}
            }
            if Instant::now() >= end {
                return (TargetState::Failed, Some(left(problem, &found)), None);
            }
            sleep(PAUSE).await;
        }
    }

    /// What the cluster itself says about this operation, asked until it answers or `end` has come.
    async fn find_out(&self, entry: &Entry, row: usize, end: Instant) -> Result<Found, Problem> {
        loop {
            let problem = match self.look(entry, row).await {
                Ok(found) => return Ok(found),
                Err(problem) => problem,
            };
            if Instant::now() >= end {
                return Err(problem);
            }
            sleep(PAUSE).await;
        }
    }

    async fn look(&self, entry: &Entry, row: usize) -> Result<Found, Problem> {
        let connection = self
            .inner
            .connect(entry, Writes::None)
            .await
            .map_err(|fault| of_fault(&fault))?;
        let connection = Watched::reading(connection);
        let call = Call::background().within(LOOK);
        let history = self
            .backend
            .history(call, connection.clone(), self.facts(entry, row), 0)
            .await;
        match history {
            Err(Error::NotFound { .. }) => Ok(Found::Gone),
            Err(error) => Err(connection.problem(&error)),
            Ok(list) => {
                let id = self.live.id.as_str();
                let own = list
                    .into_iter()
                    .find(|release| release.operation.as_deref() == Some(id));
                Ok(own.map_or(Found::Nothing, |own| Found::Own(Box::new(own))))
            }
        }
    }

    fn facts(&self, entry: &Entry, row: usize) -> Facts {
        let (release, namespace) = self.live.with(|o| (o.release.clone(), o.namespace.clone()));
        Facts {
            release,
            namespace,
            action: self.sealed.actions.get(row).cloned().unwrap_or_default(),
            cluster: entry.cluster.name().to_string(),
            labels: entry.cluster.labels().to_map(),
            ..Facts::default()
        }
    }

    async fn attempt(
        &self,
        entry: &Entry,
        deed: Deed,
        row: usize,
        writing: &Writing,
    ) -> Result<Outcome, Problem> {
        let inner = self
            .inner
            .connect(entry, Writes::All)
            .await
            .map_err(|fault| of_fault(&fault))?;
        let watched = Watched::new(inner, writing.clone());
        let connection = watched.clone();
        let facts = self.facts(entry, row);
        let given = self.sealed.options.timeout_seconds;
        let timeout = self.within(given.map_or(TIMEOUT, Duration::from_secs));
        let options = match deed.kind {
            OperationKind::Adopt => adopt::options_of(&self.sealed.options, timeout),
            _ => options_json(&self.sealed.options, timeout),
        };
        let mut call = Call::background().within(self.within(timeout + SLACK));
        call.operation = Some(self.live.id.clone());
        let plan = self.sealed.plan(row).map_err(|e| of_error(&e))?;
        let backend = &self.backend;
        let done = match (deed.kind, plan) {
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
                let revision = Some(deed.to_revision).filter(|r| *r > 0);
                backend
                    .rollback(call, connection, facts, revision, &options)
                    .await
            }
            (OperationKind::Uninstall | OperationKind::Adopt, _) => {
                backend.uninstall(call, connection, facts, &options).await
            }
            (OperationKind::Test, _) => backend.run_tests(call, connection, facts, &options).await,
            (kind, _) => Err(Error::Internal(format!(
                "an operation of kind {kind:?} has no plan"
            ))),
        };
        for backend in self.inner.backends.values() {
            // Who serves the cluster may be another one now.
            backend.forget(entry.cluster.name());
        }
        done.map_err(|error| watched.problem(&error))
    }

    fn ended(
        &self,
        row: usize,
        state: TargetState,
        problem: Option<Problem>,
        revision: Option<u32>,
    ) -> Recorded {
        let now = self.inner.world.now_ms();
        self.live.change(|o| {
            if let Some(target) = o.targets.get_mut(row) {
                target.state = state;
                target.revision = revision.or(target.revision);
                target.duration_ms = target.started_ms.map(|s| now.saturating_sub(s));
                if let Some((reason, message)) = problem {
                    (target.reason, target.message) = (Some(reason), Some(message));
                }
            }
        });
        self.inner.record(&self.live, row)
    }

    /// Back to what a cluster had before this operation; what it did not have is uninstalled. What this operation did
    /// not change stays as it is, and so does what somebody else has changed since.
    async fn roll_back(&self, row: usize) -> Result<()> {
        let Some(target) = self.live.with(|o| o.targets.get(row).cloned()) else {
            return Ok(());
        };
        let entry = match self.entry(&target).await {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(()),
            Err(problem) => return self.stays(row, &target, problem).await,
        };
        let end = Instant::now() + PATIENCE;
        let was_changed = target.state == TargetState::Succeeded;
        let after = match self.find_out(&entry, row, end).await {
            Ok(Found::Own(own)) => own.revision,
            // A crash after the last step of going back.
            Ok(Found::Gone) if was_changed => {
                return self.ended(row, TargetState::RolledBack, None, None).await;
            }
            Ok(Found::Gone | Found::Nothing) => return Ok(()),
            Err(problem) => return self.stays(row, &target, problem).await,
        };
        let deed = match target.revision_before {
            Some(to_revision) => Deed {
                kind: OperationKind::Rollback,
                to_revision,
                after,
            },
            None => Deed {
                kind: OperationKind::Uninstall,
                to_revision: 0,
                after,
            },
        };
        let (_, problem, revision) = self
            .see_through(&entry, deed, row, &Writing::journaled(true))
            .instrument(crate::step!("target", cluster = %entry.cluster.name(), undo = true))
            .await;
        match problem {
            Some(problem) => self.stays(row, &target, problem).await,
            None => {
                let state = TargetState::RolledBack;
                self.ended(row, state, None, revision).await
            }
        }
    }

    /// Going back failed too.
    async fn stays(&self, row: usize, target: &Target, (reason, why): Problem) -> Result<()> {
        let before = target.message.clone().unwrap_or_else(|| "changed".into());
        let message = format!("{before}; going back failed: {why}");
        self.ended(row, TargetState::Failed, Some((reason, message)), None)
            .await
    }

    pub(super) async fn roll_back_all(&self) -> Result<()> {
        let is_changed = |t: &Target| {
            t.state == TargetState::Succeeded
                || (t.state == TargetState::Failed && t.started_ms.is_some())
        };
        let rows: Vec<usize> = self.live.with(|o| {
            let rows = o.targets.iter().enumerate();
            rows.filter(|(_, t)| is_changed(t))
                .map(|(row, _)| row)
                .collect()
        });
        stream::iter(rows)
            .map(|row| self.roll_back(row))
            .buffer_unordered(BACK_AT_ONCE)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect()
    }
}

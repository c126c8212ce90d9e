//! A new revision, from its first write to its last: what install, upgrade and rollback share.

use std::collections::{BTreeMap, BTreeSet};

use optikon_plugin_sdk::{Error, Requester, charts::Outcome, log};

use crate::{
    flow::Flow,
    objects::Object,
    plan::Plan,
    ready::{readiness, readiness_with_jobs},
    record::{Info, Record, is_pending, stamp},
    store::{Entry, Stored},
    view,
    world::{Target, World},
};

/// The longest description of a failure that is written down.
const MAX_DESCRIPTION: usize = 2_048;

/// What a new revision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Install,
    Upgrade,
    /// To this revision.
    Rollback(u32),
}

impl Sort {
    fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Rollback(_) => "rollback",
        }
    }

    pub(crate) fn pending(self) -> String {
        format!("pending-{}", self.word())
    }

    fn begun(self) -> String {
        match self {
            Self::Install => "Initial install underway".to_owned(),
            Self::Upgrade => "Preparing upgrade".to_owned(),
            Self::Rollback(to) => format!("Rollback to {to}"),
        }
    }

    fn done(self) -> String {
        match self {
            Self::Install => "Install complete".to_owned(),
            Self::Upgrade => "Upgrade complete".to_owned(),
            Self::Rollback(to) => format!("Rollback to {to}"),
        }
    }

    fn failed(self, name: &str, error: &str) -> String {
        match self {
            Self::Install => format!("Release \"{name}\" failed: {error}"),
            Self::Upgrade => format!("Upgrade \"{name}\" failed: {error}"),
            Self::Rollback(_) => format!("Rollback \"{name}\" failed: {error}"),
        }
    }
}

/// A revision that is being made.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) sort: Sort,
    pub(crate) new: Stored,
    /// The revision whose objects are there now.
    pub(crate) base: Option<Stored>,
    pub(crate) objects: Vec<Object>,
    /// Those of the base.
    pub(crate) old: Vec<Object>,
}

/// What an operation has done to the release before.
#[derive(Debug)]
pub(crate) enum Own {
    Nothing,
    /// Its revision, however it ended.
    Ended(Stored),
    /// It was cut off.
    Open(Stored),
}

impl<C: Requester, W: World, T: Target + 'static> Flow<'_, C, W, T> {
    /// The revision that this call's operation made: by a rollback to `rollback`, or by an install or upgrade.
    pub(crate) async fn own(&self, entries: &[Entry], rollback: Option<u32>) -> Result<Own, Error> {
        let Some(operation) = self.operation() else {
            return Ok(Own::Nothing);
        };
        for entry in entries
            .iter()
            .filter(|e| e.operation.as_ref() == Some(&operation))
        {
            let stored = self.store().load(&self.name, entry.version).await?;
            if stored.record.info.rollback_revision == rollback.unwrap_or(0) {
                let is_open = is_pending(&stored.record.info.status);
                return Ok(if is_open {
                    Own::Open(stored)
                } else {
                    Own::Ended(stored)
                });
            }
        }
        Ok(Own::Nothing)
    }

    /// What a repeated call answers. What failed and is still the newest is undone now where that was asked for: the
    /// first call may have ended before it came to that.
    pub(crate) async fn again(&self, stored: Stored, entries: &[Entry]) -> Result<Outcome, Error> {
        let info = &stored.record.info;
        if info.status != "failed" {
            return Ok(Outcome {
                release: view::release(&stored, true),
                changed: true,
            });
        }
        let error = Error::unavailable(info.description.clone()).with("reason", "failed-before");
        let version = stored.record.version;
        let is_newest = entries.first().is_some_and(|e| e.version == version);
        if !self.options.atomic || !is_newest || info.rollback_revision > 0 {
            return Err(error);
        }
        let base = self.base(entries, version).await?;
        Err(self.undo(base.map(|b| b.record.version), error).await)
    }

    /// The revision whose objects are in the cluster: the deployed one, else the newest that was applied at all.
    pub(crate) async fn base(
        &self,
        entries: &[Entry],
        below: u32,
    ) -> Result<Option<Stored>, Error> {
        let older = || entries.iter().filter(|e| e.version < below);
        let deployed = older().find(|e| e.status == "deployed");
        let applied = || older().find(|e| matches!(e.status.as_str(), "failed" | "superseded"));
        match deployed.or_else(applied) {
            Some(entry) => Ok(Some(self.store().load(&self.name, entry.version).await?)),
            None => Ok(None),
        }
    }

    /// A pending revision of somebody else ends the call, or with `force` is declared failed.
    pub(crate) async fn clear_pending(&self, entries: &mut [Entry]) -> Result<(), Error> {
        let Some(last) = entries.first_mut().filter(|e| is_pending(&e.status)) else {
            return Ok(());
        };
        if !self.options.force {
            let message = format!(
                "another operation (install/upgrade/rollback) is in progress: revision {} of release \"{}\" is {}; if nobody is at work on it any more, force clears it",
                last.version, self.name, last.status
            );
            return Err(Error::conflict(message, Some(last.version.to_string())));
        }
        let mut stored = self.store().load(&self.name, last.version).await?;
        stored.record.info.description = format!(
            "Cleared: it was left behind as {}",
            stored.record.info.status
        );
        "failed".clone_into(&mut stored.record.info.status);
        self.store()
            .update(&mut stored, self.world.now_ms())
            .await?;
        "failed".clone_into(&mut last.status);
        Ok(())
    }

    /// The record of a new revision, as it is before anything is applied.
    pub(crate) fn record(&self, sort: Sort, version: u32, first: &str, plan: &Plan) -> Record {
        let now = stamp(self.world.now_ms());
        Record {
            name: self.name.clone(),
            info: Info {
                first_deployed: if first.is_empty() {
                    now.clone()
                } else {
                    first.to_owned()
                },
                last_deployed: now,
                description: sort.begun(),
                status: sort.pending(),
                notes: plan.notes.clone(),
                rollback_revision: if let Sort::Rollback(to) = sort { to } else { 0 },
                ..Info::default()
            },
            chart: plan.chart.clone(),
            config: plan.config.clone(),
            manifest: plan.manifest.clone(),
            hooks: plan.hooks.clone(),
            version,
            namespace: self.namespace.clone(),
            apply_method: "ssa".to_owned(),
            ..Record::default()
        }
    }

    /// Writes a new revision down and forgets the oldest ones.
    pub(crate) async fn begin(
        &self,
        record: Record,
        labels: BTreeMap<String, String>,
        entries: &[Entry],
    ) -> Result<Stored, Error> {
        let stored = self
            .store()
            .create(record, labels, self.operation(), self.world.now_ms())
            .await?;
        let max = self.options.history_max() as usize;
        if max > 0 {
            // The new one counts; the deployed one stays, and so does the newest failed one that may be the base.
            let deployed = entries
                .iter()
                .find(|e| e.status == "deployed")
                .map(|e| e.version);
            let old = entries
                .iter()
                .skip(max.saturating_sub(1))
                .filter(|e| Some(e.version) != deployed);
            for entry in old {
                self.store().delete(&self.name, entry.version).await?;
            }
        }
        Ok(stored)
    }

    /// Everything between the first write of a revision and its last.
    pub(crate) async fn run(&self, mut change: Change) -> Result<Outcome, Error> {
        match self.steps(&mut change).await {
            Ok(()) => self.finish(change).await,
            Err(error) => Err(self.fail(change, error).await),
        }
    }

    async fn steps(&self, change: &mut Change) -> Result<(), Error> {
        let word = change.sort.word();
        self.run_hooks(&mut change.new, &format!("pre-{word}"))
            .await?;
        let is_client_side = change
            .base
            .as_ref()
            .is_some_and(|base| !base.record.is_server_side());
        if is_client_side {
            self.migrate_all(&change.objects).await?;
        }
        self.apply_all(&change.objects, self.options.force).await?;
        let wanted: BTreeSet<_> = change.objects.iter().map(Object::identity).collect();
        let mut dropped = std::mem::take(&mut change.old);
        dropped.retain(|object| !wanted.contains(&object.identity()));
        if !dropped.is_empty() {
            for kept in self.remove_all(dropped).await? {
                log::info!("{} stays: it says so, or it is another's", kept);
            }
        }
        if self.options.waits() {
            let rule = if self.options.wait_for_jobs {
                readiness_with_jobs
            } else {
                readiness
            };
            self.wait_until(&change.objects, rule, "wait").await?;
        }
        self.run_hooks(&mut change.new, &format!("post-{word}"))
            .await
    }

    async fn finish(&self, mut change: Change) -> Result<Outcome, Error> {
        let now = self.world.now_ms();
        if let Some(mut base) = change.base.take() {
            "superseded".clone_into(&mut base.record.info.status);
            self.store().update(&mut base, now).await?;
        }
        let info = &mut change.new.record.info;
        "deployed".clone_into(&mut info.status);
        info.description = self
            .options
            .description
            .clone()
            .unwrap_or_else(|| change.sort.done());
        self.store().update(&mut change.new, now).await?;
        Ok(Outcome {
            release: view::release(&change.new, true),
            changed: true,
        })
    }

    /// Writes down what failed, and undoes it where that was asked for. Returns the error for the caller.
    async fn fail(&self, mut change: Change, mut error: Error) -> Error {
        let description = change.sort.failed(&self.name, &error.message);
        let info = &mut change.new.record.info;
        "failed".clone_into(&mut info.status);
        info.description = description.chars().take(MAX_DESCRIPTION).collect();
        if let Err(second) = self
            .store()
            .update(&mut change.new, self.world.now_ms())
            .await
        {
            error.message = format!(
                "{}; and it could not be written down: {}",
                error.message, second.message
            );
            return error;
        }
        if !self.options.atomic || matches!(change.sort, Sort::Rollback(_)) {
            return error;
        }
        let base = change
            .base
            .as_ref()
            .filter(|_| change.sort == Sort::Upgrade);
        self.undo(base.map(|b| b.record.version), error).await
    }

    /// Back to a revision, or to nothing. Returns the error for the caller.
    async fn undo(&self, base: Option<u32>, mut error: Error) -> Error {
        self.world.report("undo", "", 0, 0);
        let undone = match base {
            Some(version) => Box::pin(self.rollback_to(version))
                .await
                .map(|_| "rolled back"),
            None => Box::pin(self.remove_release()).await.map(|_| "uninstalled"),
        };
        error.message = match undone {
            Ok(words) => format!(
                "release {} failed, and has been {words} due to atomic being set: {}",
                self.name, error.message
            ),
            Err(second) => format!(
                "{}; and it could not be undone: {}",
                error.message, second.message
            ),
        };
        error
    }
}

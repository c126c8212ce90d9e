//! Rollback, uninstall, and the release's own tests.

use optikon_plugin_sdk::{Error, Requester, charts::Outcome, log};

use crate::{
    change::{Change, Own, Sort},
    flow::Flow,
    plan::Plan,
    record::stamp,
    view,
    world::{Target, World},
};

impl<C: Requester, W: World, T: Target + 'static> Flow<'_, C, W, T> {
    /// Back to a revision; 0 for the one before the newest.
    ///
    /// # Errors
    /// `not-found` when it is not kept.
    pub async fn rollback(&self, revision: u32) -> Result<Outcome, Error> {
        let mut entries = self.store().revisions(&self.name).await?;
        if let (0, Some(operation)) = (revision, self.operation()) {
            // The newest may be this operation's own: then "the one before" was decided already.
            let own = entries
                .iter()
                .filter(|e| e.operation.as_ref() == Some(&operation));
            for entry in own {
                let stored = self.store().load(&self.name, entry.version).await?;
                let to = stored.record.info.rollback_revision;
                if to > 0 {
                    return Box::pin(self.rollback(to)).await;
                }
            }
        }
        let last = entries
            .first()
            .ok_or_else(|| view::not_found(&self.name))?
            .version;
        let to = if revision == 0 {
            last.saturating_sub(1)
        } else {
            revision
        };
        match self.own(&entries, Some(to)).await? {
            Own::Ended(stored) => return self.again(stored, &entries).await,
            Own::Open(new) => {
                let base = self.base(&entries, new.record.version).await?;
                let objects = self.objects(&new.record.manifest).await?;
                let old = match &base {
                    Some(base) => self.old_objects(&base.record.manifest).await?,
                    None => Vec::new(),
                };
                return self
                    .run(Change {
                        sort: Sort::Rollback(to),
                        new,
                        base,
                        objects,
                        old,
                    })
                    .await;
            }
            Own::Nothing => {}
        }
        if !entries.iter().any(|e| e.version == to) {
            return Err(no_revision(&self.name, to));
        }
        self.clear_pending(&mut entries).await?;
        self.rollback_to(to).await
    }

    /// Makes a new revision of an old one, whatever the newest is.
    pub(crate) async fn rollback_to(&self, to: u32) -> Result<Outcome, Error> {
        let entries = self.store().revisions(&self.name).await?;
        let last = entries
            .first()
            .ok_or_else(|| view::not_found(&self.name))?
            .version;
        let wanted = self.store().load(&self.name, to).await?;
        let newest = self.store().load(&self.name, last).await?;
        let plan = Plan {
            manifest: wanted.record.manifest.clone(),
            hooks: wanted.record.hooks.iter().cloned().map(fresh).collect(),
            notes: wanted.record.info.notes.clone(),
            chart: wanted.record.chart.clone(),
            config: wanted.record.config.clone(),
            ..Plan::default()
        };
        let objects = self.objects(&plan.manifest).await?;
        // What the newest revision added has to go as well, however far it came.
        let mut old = self.old_objects(&newest.record.manifest).await?;
        let sort = Sort::Rollback(to);
        let first = newest.record.info.first_deployed.clone();
        let record = self.record(sort, last.saturating_add(1), &first, &plan);
        let base = self.base(&entries, last.saturating_add(1)).await?;
        if let Some(base) = base.as_ref().filter(|base| base.record.version != last) {
            old.extend(self.old_objects(&base.record.manifest).await?);
        }
        let new = self.begin(record, wanted.labels.clone(), &entries).await?;
        self.run(Change {
            sort,
            new,
            base,
            objects,
            old,
        })
        .await
    }

    /// Removes the release. One that is not there is unchanged.
    ///
    /// # Errors
    /// What the server says, and hooks that fail.
    pub async fn uninstall(&self) -> Result<Outcome, Error> {
        self.remove_release().await
    }

    pub(crate) async fn remove_release(&self) -> Result<Outcome, Error> {
        let entries = self.store().revisions(&self.name).await?;
        let Some(last) = entries.first() else {
            return Ok(Outcome {
                release: view::absent(&self.name, &self.namespace),
                changed: false,
            });
        };
        let mut stored = self.store().load(&self.name, last.version).await?;
        let is_gone = stored.record.info.status == "uninstalled";
        if !is_gone {
            let info = &mut stored.record.info;
            "uninstalling".clone_into(&mut info.status);
            info.deleted = stamp(self.world.now_ms());
            "Deletion in progress (or silently failed)".clone_into(&mut info.description);
            self.store()
                .update(&mut stored, self.world.now_ms())
                .await?;
            self.run_hooks(&mut stored, "pre-delete").await?;
            let objects = self.old_objects(&stored.record.manifest).await?;
            for kept in self.remove_all(objects).await? {
                log::info!("{} stays: it says so, or it is another's", kept);
            }
            self.run_hooks(&mut stored, "post-delete").await?;
            let info = &mut stored.record.info;
            "uninstalled".clone_into(&mut info.status);
            info.description = self
                .options
                .description
                .clone()
                .unwrap_or_else(|| "Uninstallation complete".to_owned());
        }
        if self.options.keep_history {
            if !is_gone {
                self.store()
                    .update(&mut stored, self.world.now_ms())
                    .await?;
            }
        } else {
            // The newest last: as long as it is there, a call that was cut off finds what is left to do.
            for entry in entries.iter().rev() {
                self.store().delete(&self.name, entry.version).await?;
            }
            "uninstalled".clone_into(&mut stored.record.info.status);
        }
        Ok(Outcome {
            release: view::release(&stored, false),
            changed: !(is_gone && self.options.keep_history),
        })
    }

    /// Runs the newest revision's tests.
    ///
    /// # Errors
    /// The first test that fails.
    pub async fn run_tests(&self) -> Result<Outcome, Error> {
        let entries = self.store().revisions(&self.name).await?;
        let last = entries.first().ok_or_else(|| view::not_found(&self.name))?;
        let mut stored = self.store().load(&self.name, last.version).await?;
        let result = self.run_hooks(&mut stored, "test").await;
        self.store()
            .update(&mut stored, self.world.now_ms())
            .await?;
        result?;
        Ok(Outcome {
            release: view::release(&stored, false),
            changed: false,
        })
    }
}

pub(crate) fn no_revision(name: &str, revision: u32) -> Error {
    Error::not_found(format!("release \"{name}\" has no revision {revision}"))
}

/// A hook that has not run yet.
fn fresh(hook: crate::record::Hook) -> crate::record::Hook {
    crate::record::Hook {
        last_run: crate::record::LastRun::default(),
        ..hook
    }
}

//! Hooks: objects that run at some event, one by one, by weight and name.

use optikon_plugin_sdk::{Error, Requester};

use crate::{
    cluster,
    flow::Flow,
    objects::{Object, locate, parse},
    ready::finished,
    record::{LastRun, stamp},
    store::Stored,
    world::{Target, World},
};

const BEFORE: &str = "before-hook-creation";
const SUCCEEDED: &str = "hook-succeeded";
const FAILED: &str = "hook-failed";
/// Never removed: what is made of them would go with them.
const DEFINITION: &str = "CustomResourceDefinition";

impl<C: Requester, W: World, T: Target + 'static> Flow<'_, C, W, T> {
    /// Runs a revision's hooks of one event and writes down how they ran. Hooks that this revision has run already are
    /// not run again, so that a change can go on where it was cut off.
    pub(crate) async fn run_hooks(&self, stored: &mut Stored, event: &str) -> Result<(), Error> {
        if self.options.no_hooks {
            return Ok(());
        }
        let hooks = &stored.record.hooks;
        let mut order: Vec<usize> = (0..hooks.len())
            .filter(|i| {
                hooks
                    .get(*i)
                    .is_some_and(|h| h.events.iter().any(|e| e == event))
            })
            .collect();
        order.sort_by(|a, b| {
            let key = |i: &usize| hooks.get(*i).map(|h| (h.weight, h.name.as_str()));
            key(a).cmp(&key(b))
        });
        let mut ran = Vec::new();
        for (done, index) in order.iter().copied().enumerate() {
            let Some(hook) = stored.record.hooks.get(index) else {
                continue;
            };
            self.world.report(
                "hooks",
                &format!("{event}: {}", hook.name),
                done,
                order.len(),
            );
            let objects = self.hook_objects(&hook.manifest).await?;
            let is_done = hook.last_run.phase == "Succeeded" && event != "test";
            if !is_done
                && let Err(error) = self
                    .run_hook(stored, index, &objects, event != "test")
                    .await
            {
                let policies = self.policies(stored, index);
                if policies.iter().any(|p| p == FAILED) {
                    self.remove_hook(&objects).await?;
                }
                // Those before it did succeed.
                self.remove_succeeded(stored, &ran).await?;
                let mut error = error;
                error.message = format!("failed {event}: hook {}", error.message);
                return Err(error);
            }
            ran.push((index, objects));
        }
        self.remove_succeeded(stored, &ran).await
    }

    fn policies(&self, stored: &Stored, index: usize) -> Vec<String> {
        let policies = stored
            .record
            .hooks
            .get(index)
            .map(|h| h.delete_policies.clone())
            .unwrap_or_default();
        if policies.is_empty() {
            vec![BEFORE.to_owned()]
        } else {
            policies
        }
    }

    async fn hook_objects(&self, manifest: &str) -> Result<Vec<Object>, Error> {
        let located = locate(self.cluster, parse(manifest)?, &self.namespace).await?;
        match located.unknown.first() {
            Some(unknown) => Err(Error::invalid(
                "chart",
                format!("a hook cannot be made: {unknown}"),
            )),
            None => Ok(located.objects),
        }
    }

    async fn run_hook(
        &self,
        stored: &mut Stored,
        index: usize,
        objects: &[Object],
        may_go_on: bool,
    ) -> Result<(), Error> {
        let policies = self.policies(stored, index);
        let awaited: Vec<Object> = objects
            .iter()
            .filter(|o| matches!(o.kind.kind.as_str(), "Job" | "Pod"))
            .cloned()
            .collect();
        let last_run = stored
            .record
            .hooks
            .get(index)
            .map(|h| h.last_run.clone())
            .unwrap_or_default();
        let mut is_under_way = may_go_on && last_run.phase == "Running";
        if is_under_way {
            for object in objects {
                // What is older than this run is of another one.
                let made = cluster::look(self.cluster, object)
                    .await?
                    .and_then(|present| {
                        let made = present
                            .pointer("/metadata/creationTimestamp")?
                            .as_str()?
                            .to_owned();
                        Some(made)
                    });
                let second = last_run.started_at.get(..19).unwrap_or_default();
                is_under_way &=
                    made.is_some_and(|made| made.get(..19).unwrap_or_default() >= second);
            }
        }
        if !is_under_way {
            if policies.iter().any(|p| p == BEFORE) {
                self.remove_hook(objects).await?;
            }
            let now = self.world.now_ms();
            let phase = "Running".to_owned();
            let run = LastRun {
                started_at: stamp(now),
                phase,
                ..LastRun::default()
            };
            if let Some(hook) = stored.record.hooks.get_mut(index) {
                hook.last_run = run;
                hook.delete_policies.clone_from(&policies);
            }
            // Only what takes time is worth a write of its own: the rest may as well be done again.
            if !awaited.is_empty() {
                self.store().update(stored, now).await?;
            }
            for object in objects {
                cluster::apply(self.cluster, object, &object.placed(), false, false).await?;
            }
        }
        let result = self.wait_until(&awaited, finished, "hooks").await;
        let now = self.world.now_ms();
        if let Some(hook) = stored.record.hooks.get_mut(index) {
            hook.last_run.completed_at = stamp(now);
            hook.last_run.phase = if result.is_ok() {
                "Succeeded"
            } else {
                "Failed"
            }
            .to_owned();
        }
        if result.is_ok() && !awaited.is_empty() {
            self.store().update(stored, now).await?;
        }
        result
    }

    async fn remove_succeeded(
        &self,
        stored: &Stored,
        ran: &[(usize, Vec<Object>)],
    ) -> Result<(), Error> {
        for (index, objects) in ran.iter().rev() {
            if self.policies(stored, *index).iter().any(|p| p == SUCCEEDED) {
                self.remove_hook(objects).await?;
            }
        }
        Ok(())
    }

    /// Removes the objects of a hook, whoever made them, and waits until they are gone.
    async fn remove_hook(&self, objects: &[Object]) -> Result<(), Error> {
        let mut gone = Vec::new();
        for object in objects.iter().filter(|o| o.kind.kind != DEFINITION) {
            if let Some(present) = cluster::look(self.cluster, object).await? {
                cluster::remove(self.cluster, object, &present).await?;
                gone.push(object.clone());
            }
        }
        self.wait_gone(&gone).await
    }
}

//! One change of one release: what its steps share.

use std::rc::Rc;

use futures::future::join_all;
use helm_functions::Environment;
use optikon_plugin_sdk::{Error, ErrorCode, Requester, log};
use serde_json::json;

use crate::{
    cluster,
    objects::{Kind, Object, check_owner, locate, parse, removal_order, runs},
    options::Options,
    store::Store,
    world::{Target, World},
};

/// The first and the longest pause between two looks where nothing tells of changes.
pub(crate) const FIRST_PAUSE_MS: u64 = 100;
const LONGEST_PAUSE_MS: u64 = 2_000;
/// How long a kind may stay unknown after its definition was made; what is known is cached for 5 s.
const DISCOVERY_MS: u64 = 15_000;
/// Left of a call after a wait, to write down what failed.
const RESERVE_MS: u64 = 3_000;

/// A change under way.
pub struct Flow<'a, C, W, T> {
    pub(crate) cluster: &'a C,
    pub(crate) world: &'a W,
    pub(crate) target: Rc<T>,
    pub(crate) environment: Rc<dyn Environment>,
    pub(crate) options: Options,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

impl<C, W, T> std::fmt::Debug for Flow<'_, C, W, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow")
            .field("name", &self.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<'a, C: Requester, W: World, T: Target + 'static> Flow<'a, C, W, T> {
    /// A change of the target's release.
    ///
    /// # Errors
    /// `invalid` when the options do not fit.
    pub fn new(
        cluster: &'a C,
        world: &'a W,
        target: Rc<T>,
        environment: Rc<dyn Environment>,
        options: &str,
    ) -> Result<Self, Error> {
        Ok(Self {
            cluster,
            world,
            environment,
            options: Options::parse(options)?,
            name: target.release(),
            namespace: target.namespace(),
            target,
        })
    }

    pub(crate) fn store(&self) -> Store<'_, C> {
        Store::new(self.cluster, &self.namespace)
    }

    /// The objects of a manifest; kinds that the cluster does not serve are an error.
    pub(crate) async fn objects(&self, manifest: &str) -> Result<Vec<Object>, Error> {
        let located = locate(self.cluster, parse(manifest)?, &self.namespace).await?;
        Self::all_known(located)
    }

    /// The same, after definitions were made: a server tells of new kinds a moment later.
    pub(crate) async fn objects_soon(&self, manifest: &str) -> Result<Vec<Object>, Error> {
        let deadline = self.deadline().min(self.world.now_ms() + DISCOVERY_MS);
        let mut pause = FIRST_PAUSE_MS;
        loop {
            let located = locate(self.cluster, parse(manifest)?, &self.namespace).await?;
            if located.unknown.is_empty() || !self.pause(&mut pause, deadline).await {
                return Self::all_known(located);
            }
        }
    }

    fn all_known(located: crate::objects::Located) -> Result<Vec<Object>, Error> {
        if located.unknown.is_empty() {
            return Ok(located.objects);
        }
        Err(Error::invalid(
            "chart",
            format!(
                "resource mapping not found: {}; ensure that their definitions are installed first",
                located.unknown.join(", ")
            ),
        ))
    }

    /// The objects of an old manifest; kinds that the cluster does not serve any more are left out.
    pub(crate) async fn old_objects(&self, manifest: &str) -> Result<Vec<Object>, Error> {
        let located = locate(self.cluster, parse(manifest)?, &self.namespace).await?;
        for unknown in located.unknown {
            log::warn!("objects of a former revision are left alone: {}", unknown);
        }
        Ok(located.objects)
    }

    /// Whether every present one of these objects is the release's own.
    pub(crate) async fn check_ownership(
        &self,
        objects: &[&Object],
        what: &str,
    ) -> Result<(), Error> {
        if self.options.take_ownership {
            return Ok(());
        }
        let present = join_all(
            objects
                .iter()
                .map(|object| cluster::look(self.cluster, object)),
        )
        .await;
        for (object, present) in objects.iter().zip(present) {
            let Some(present) = present? else { continue };
            if let Err(problem) = check_owner(&present, &self.name, &self.namespace) {
                let message = format!(
                    "unable to continue with {what}: {} exists and cannot be imported into the current release: invalid ownership metadata; {problem}",
                    object.title()
                );
                return Err(Error::conflict(message, None));
            }
        }
        Ok(())
    }

    /// Applies objects in their order, runs of one kind at once.
    pub(crate) async fn apply_all(&self, objects: &[Object], force: bool) -> Result<(), Error> {
        let mut done = 0;
        for run in runs(objects) {
            let kind = run
                .first()
                .map(|o| o.kind.kind.as_str())
                .unwrap_or_default();
            self.world.report("apply", kind, done, objects.len());
            let applied = join_all(run.iter().map(|object| async move {
                let value = object.marked(&self.name, &self.namespace);
                cluster::apply(self.cluster, object, &value, force, false).await
            }));
            for result in applied.await {
                result?;
            }
            done += run.len();
        }
        self.world.report("apply", "", done, objects.len());
        Ok(())
    }

    /// Moves what Helm set by update over to its apply, where a release was made that way.
    pub(crate) async fn migrate_all(&self, objects: &[Object]) -> Result<(), Error> {
        self.world.report(
            "migrate",
            "moving fields to server-side apply",
            0,
            objects.len(),
        );
        let moved = join_all(
            objects
                .iter()
                .map(|object| cluster::migrate(self.cluster, object)),
        )
        .await;
        for result in moved {
            result?;
        }
        Ok(())
    }

    /// Removes the release's own objects among these, in Helm's order; those that say so stay. Waits until they are gone
    /// where the options ask for it. Returns the titles of what stays.
    pub(crate) async fn remove_all(&self, objects: Vec<Object>) -> Result<Vec<String>, Error> {
        let objects = removal_order(objects);
        let mut kept = Vec::new();
        let mut removed = Vec::new();
        let mut done = 0;
        for run in runs(&objects) {
            let kind = run
                .first()
                .map(|o| o.kind.kind.as_str())
                .unwrap_or_default();
            self.world.report("delete", kind, done, objects.len());
            let results = join_all(run.iter().map(|object| self.remove_own(object))).await;
            for (object, result) in run.iter().zip(results) {
                if result? {
                    removed.push(object.clone())
                } else {
                    kept.push(object.title())
                }
            }
            done += run.len();
        }
        if self.options.waits() {
            self.wait_gone(&removed).await?;
        }
        Ok(kept)
    }

    /// False where it stays.
    async fn remove_own(&self, object: &Object) -> Result<bool, Error> {
        if object.is_kept() {
            return Ok(false);
        }
        let Some(present) = cluster::look(self.cluster, object).await? else {
            return Ok(true);
        };
        if crate::objects::is_kept(&present) {
            return Ok(false);
        }
        if let Err(problem) = check_owner(&present, &self.name, &self.namespace) {
            let title = object.title();
            log::warn!(
                "{} is left alone: it is not this release's any more; {}",
                title,
                problem
            );
            return Ok(false);
        }
        cluster::remove(self.cluster, object, &present).await?;
        Ok(true)
    }

    /// When a wait that begins now has to end, Unix milliseconds.
    pub(crate) fn deadline(&self) -> u64 {
        let left = self
            .world
            .remaining_ms()
            .map(|left| left.saturating_sub(RESERVE_MS));
        let timeout = self.options.timeout_ms().min(left.unwrap_or(u64::MAX));
        self.world.now_ms().saturating_add(timeout)
    }

    /// Sleeps, longer each time. False when there is no time left.
    pub(crate) async fn pause(&self, pause: &mut u64, deadline: u64) -> bool {
        let left = deadline.saturating_sub(self.world.now_ms());
        if left == 0 {
            return false;
        }
        self.world
            .sleep(u32::try_from((*pause).min(left)).unwrap_or(u32::MAX))
            .await;
        *pause = (*pause * 3 / 2).min(LONGEST_PAUSE_MS);
        true
    }

    /// Whether the release's namespace is there. Who may not look is told that it is.
    pub(crate) async fn has_namespace(&self) -> Result<bool, Error> {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        match optikon_plugin_sdk::api::Api(self.cluster).get(&path).await {
            Err(error) if error.code == ErrorCode::NotFound => Ok(false),
            Err(error) if error.code != ErrorCode::Denied => Err(error),
            _ => Ok(true),
        }
    }

    /// Creates the release's namespace, with the label that Helm gives it.
    pub(crate) async fn create_namespace(&self) -> Result<(), Error> {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {"name": self.namespace}},
        });
        let made = optikon_plugin_sdk::api::Api(self.cluster)
            .create("/api/v1/namespaces", &object, false)
            .await;
        match made {
            Err(error) if error.code != ErrorCode::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Creates the definitions of `crds/` that are missing, and waits until they can be used. Whether any was made.
    pub(crate) async fn create_definitions(
        &self,
        crds: &[(String, String)],
    ) -> Result<bool, Error> {
        let mut values = Vec::new();
        for (path, text) in crds {
            let parsed = parse(text)
                .map_err(|e| Error::invalid("chart", format!("{path}: {}", e.message)))?;
            values.extend(parsed);
        }
        if values.is_empty() {
            return Ok(false);
        }
        self.world.report("crds", "", 0, values.len());
        let located = locate(self.cluster, values, &self.namespace).await?;
        if let Some(unknown) = located.unknown.first() {
            return Err(Error::invalid(
                "chart",
                format!("what is below crds/ cannot be made: {unknown}"),
            ));
        }
        let present = join_all(
            located
                .objects
                .iter()
                .map(|o| cluster::look(self.cluster, o)),
        )
        .await;
        let mut made = Vec::new();
        for (object, present) in located.objects.iter().zip(present) {
            if present?.is_none() {
                made.push(object.clone());
            }
        }
        let applied = join_all(made.iter().map(|object| async move {
            cluster::apply(self.cluster, object, &object.placed(), false, false).await
        }));
        for result in applied.await {
            result?;
        }
        let definition = Kind::new("apiextensions.k8s.io/v1", "CustomResourceDefinition");
        made.retain(|object| object.kind == definition);
        self.wait_until(&made, crate::ready::readiness, "crds")
            .await?;
        Ok(!made.is_empty())
    }

    /// The operation whose call this is.
    pub(crate) fn operation(&self) -> Option<String> {
        self.world.operation()
    }
}

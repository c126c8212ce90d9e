//! The backend `auto`: which of the others serves a cluster, decided per cluster and call.
//!
//! The label `optikon.io/charts-backend`, else the rule of a slot, else what is found there: a ready Tiller and no releases
//! of Helm 3 is Tiller's, everything else is Helm's. A cluster that has both is Helm's, and what Helm does not know is
//! looked for with Tiller.

mod look;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    flows::mirror::Mirror,
    ports::{
        Call, Charts, Connection, Content, Facts, ObjectChange, Outcome, Prepared, Release, World,
    },
    words::{ClusterName, Selector, SlotName},
};
use look::look;

/// Who serves a cluster, said by its owner.
const LABEL: &str = "optikon.io/charts-backend";
const HELM: &str = "charts-helm";
const TILLER: &str = "charts-tiller";
/// How long what was found in a cluster is believed.
const BELIEVED_MS: u64 = 10_000;
/// A look at one release.
const LOOK: Duration = Duration::from_secs(30);
/// Before the payload of a plan: whose it is.
const MAGIC: &[u8] = b"optauto1";

/// What a cluster is served by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    slot: SlotName,
    /// Asked for what the first does not know.
    other: Option<SlotName>,
}

/// Chooses, and calls the chosen one.
#[derive(Debug)]
pub struct Auto {
    mirror: Arc<Mirror>,
    backends: BTreeMap<SlotName, Arc<dyn Charts>>,
    world: Arc<dyn World>,
    rules: OnceLock<Vec<(SlotName, Selector)>>,
    found: Mutex<HashMap<String, (u64, Choice)>>,
}

impl Auto {
    /// Over these backends, by slot.
    pub fn new(
        mirror: Arc<Mirror>,
        backends: BTreeMap<SlotName, Arc<dyn Charts>>,
        world: Arc<dyn World>,
    ) -> Self {
        Self {
            mirror,
            backends,
            world,
            rules: OnceLock::new(),
            found: Mutex::default(),
        }
    }

    /// Clusters that a selector names are served by that slot; the first rule that fits counts. Set once.
    pub fn set_rules(&self, rules: Vec<(SlotName, Selector)>) {
        if self.rules.set(rules).is_err() {
            tracing::warn!("the rules of backends were set before");
        }
    }

    async fn choose(&self, cluster: &dyn Connection) -> Result<Choice> {
        let only = |slot: SlotName| Choice { slot, other: None };
        let name = cluster.name().parse::<ClusterName>().ok();
        let entry = name.and_then(|name| self.mirror.get(&name));
        if let Some(entry) = &entry {
            if let Some(wanted) = entry.cluster.labels().get(LABEL) {
                let slot = format!("charts-{wanted}");
                let slot = slot
                    .parse()
                    .ok()
                    .filter(|slot| self.backends.contains_key(slot));
                return slot.map(only).ok_or_else(|| {
                    Error::invalid(
                        "backend",
                        format!("the label {LABEL}={wanted} names no backend of this gateway"),
                    )
                });
            }
            let mut rules = self.rules.get().into_iter().flatten();
            if let Some((slot, _)) = rules.find(|(_, rule)| entry.is_selected_by(rule)) {
                return Ok(only(slot.clone()));
            }
        }
        let (helm, tiller) = (slot(HELM)?, slot(TILLER)?);
        if !self.backends.contains_key(&tiller) {
            return Ok(only(helm));
        }
        let now = self.world.now_ms();
        // A namesake is another cluster.
        let key = entry.map_or_else(|| cluster.name().to_owned(), |entry| entry.uid.to_string());
        if let Some((at, choice)) = self.lock().get(&key).cloned()
            && now.saturating_sub(at) < BELIEVED_MS
        {
            return Ok(choice);
        }
        let choice = look(cluster, helm, tiller).await?;
        let mut found = self.lock();
        found.retain(|_, (at, _)| now.saturating_sub(*at) < BELIEVED_MS);
        found.insert(key, (now, choice.clone()));
        Ok(choice)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u64, Choice)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backend(&self, slot: &SlotName) -> Result<Arc<dyn Charts>> {
        self.backends
            .get(slot)
            .cloned()
            .ok_or_else(|| Error::NoPlugin {
                slot: slot.clone(),
                message: format!(
                    "no such slot is configured; name a plugin under [plugins.slots.{slot}]"
                ),
            })
    }

    /// The backend that serves a cluster, and the one to ask when that does not know a release.
    async fn serving(
        &self,
        cluster: &dyn Connection,
    ) -> Result<(Arc<dyn Charts>, Option<Arc<dyn Charts>>)> {
        let choice = self.choose(cluster).await?;
        let other = choice
            .other
            .as_ref()
            .map(|slot| self.backend(slot))
            .transpose()?;
        Ok((self.backend(&choice.slot)?, other))
    }

    /// The backend that a plan was made by, and its own payload.
    fn opened(&self, plan: &Bytes) -> Result<(Arc<dyn Charts>, Bytes)> {
        let broken = || Error::Internal("a plan of no backend".into());
        let rest = plan.strip_prefix(MAGIC).ok_or_else(broken)?;
        let (length, rest) = rest.split_first().ok_or_else(broken)?;
        let (name, _) = rest
            .split_at_checked(usize::from(*length))
            .ok_or_else(broken)?;
        let name = std::str::from_utf8(name).map_err(|_| broken())?;
        let slot: SlotName = name.parse().map_err(|_| broken())?;
        let start = MAGIC.len() + 1 + name.len();
        Ok((self.backend(&slot)?, plan.slice(start..)))
    }
}

fn slot(name: &str) -> Result<SlotName> {
    name.parse()
        .map_err(|_| Error::Internal(format!("\"{name}\" is no name of a slot")))
}

fn is_unknown<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::NotFound { .. }))
}

#[async_trait]
impl Charts for Auto {
    async fn choice(&self, cluster: Arc<dyn Connection>, facts: &Facts) -> Result<String> {
        let choice = self.choose(cluster.as_ref()).await?;
        let Some(other) = choice.other else {
            return Ok(choice.slot.to_string());
        };
        // Both are there: who has the release goes on with it.
        let ask = |slot: &SlotName| {
            let (backend, cluster, facts) = (self.backend(slot), cluster.clone(), facts.clone());
            async move {
                let call = Call::background().within(LOOK);
                backend?.history(call, cluster, facts, 1).await
            }
        };
        let is_others = match ask(&choice.slot).await {
            Err(Error::NotFound { .. }) => match ask(&other).await {
                Ok(_) => true,
                Err(Error::NotFound { .. }) => false,
                Err(error) => return Err(error),
            },
            Ok(_) => false,
            Err(error) => return Err(error),
        };
        let slot = if is_others { other } else { choice.slot };
        Ok(slot.to_string())
    }

    fn forget(&self, cluster: &ClusterName) {
        let entry = self.mirror.get(cluster);
        let key = entry.map_or_else(|| cluster.to_string(), |entry| entry.uid.to_string());
        self.lock().remove(&key);
    }

    async fn describe(&self, call: Call, archive: Bytes) -> Result<Value> {
        self.backend(&slot(HELM)?)?.describe(call, archive).await
    }

    async fn prepare(
        &self,
        call: Call,
        archive: Bytes,
        values: Vec<String>,
        facts: Facts,
        cluster: Option<Arc<dyn Connection>>,
    ) -> Result<Prepared> {
        let slot = match (&cluster, facts.backend.as_str()) {
            (_, chosen) if !chosen.is_empty() => slot(chosen)?,
            (Some(cluster), _) => self.choose(cluster.as_ref()).await?.slot,
            (None, _) => slot(HELM)?,
        };
        let backend = self.backend(&slot)?;
        let mut prepared = backend
            .prepare(call, archive, values, facts, cluster)
            .await?;
        let name = slot.as_str().as_bytes();
        let length = u8::try_from(name.len())
            .map_err(|_| Error::Internal("a slot's name is too long".into()))?;
        let head = [MAGIC, &[length], name].concat();
        prepared.plan.splice(0..0, head);
        // Another backend could not read it.
        prepared.reads.push("backend".into());
        Ok(prepared)
    }

    async fn install(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Outcome> {
        let (backend, plan) = self.opened(&plan)?;
        backend.install(call, cluster, facts, plan, options).await
    }

    async fn upgrade(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Outcome> {
        let (backend, plan) = self.opened(&plan)?;
        backend.upgrade(call, cluster, facts, plan, options).await
    }

    async fn preview(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Vec<ObjectChange>> {
        if plan.is_empty() {
            // Of a rollback or an uninstall: whoever has the release says it.
            let (first, other) = self.serving(cluster.as_ref()).await?;
            let said = first
                .preview(call.clone(), cluster.clone(), facts.clone(), plan, options)
                .await;
            return match other.filter(|_| is_unknown(&said)) {
                Some(other) => {
                    let none = Bytes::new();
                    other.preview(call, cluster, facts, none, options).await
                }
                None => said,
            };
        }
        let (backend, plan) = self.opened(&plan)?;
        backend.preview(call, cluster, facts, plan, options).await
    }

    async fn show(&self, call: Call, plan: Bytes) -> Result<Value> {
        let (backend, plan) = self.opened(&plan)?;
        backend.show(call, plan).await
    }

    async fn drift(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
    ) -> Result<Vec<ObjectChange>> {
        let (first, other) = self.serving(cluster.as_ref()).await?;
        let found = first
            .drift(call.clone(), cluster.clone(), facts.clone())
            .await;
        match other.filter(|_| is_unknown(&found)) {
            Some(other) => other.drift(call, cluster, facts).await,
            None => found,
        }
    }

    async fn rollback(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        revision: Option<u32>,
        options: &str,
    ) -> Result<Outcome> {
        let (first, other) = self.serving(cluster.as_ref()).await?;
        let done = first
            .rollback(
                call.clone(),
                cluster.clone(),
                facts.clone(),
                revision,
                options,
            )
            .await;
        match other.filter(|_| is_unknown(&done)) {
            Some(other) => {
                other
                    .rollback(call, cluster, facts, revision, options)
                    .await
            }
            None => done,
        }
    }

    async fn uninstall(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        options: &str,
    ) -> Result<Outcome> {
        let (first, other) = self.serving(cluster.as_ref()).await?;
        let done = first
            .uninstall(call.clone(), cluster.clone(), facts.clone(), options)
            .await;
        // What is not there is unchanged.
        let is_absent = done
            .as_ref()
            .is_ok_and(|done| !done.is_changed && done.release.revision == 0);
        match other.filter(|_| is_absent) {
            Some(other) => other.uninstall(call, cluster, facts, options).await,
            None => done,
        }
    }

    async fn run_tests(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        options: &str,
    ) -> Result<Outcome> {
        let (first, other) = self.serving(cluster.as_ref()).await?;
        let done = first
            .run_tests(call.clone(), cluster.clone(), facts.clone(), options)
            .await;
        match other.filter(|_| is_unknown(&done)) {
            Some(other) => other.run_tests(call, cluster, facts, options).await,
            None => done,
        }
    }

    async fn list_releases(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        namespace: Option<String>,
        filter: &str,
    ) -> Result<Vec<Release>> {
        let (first, other) = self.serving(cluster.as_ref()).await?;
        let mut found = first
            .list_releases(call.clone(), cluster.clone(), namespace.clone(), filter)
            .await?;
        if let Some(other) = other {
            let more = other
                .list_releases(call, cluster, namespace, filter)
                .await?;
            // What was handed over may still have its old records.
            let is_known = |release: &Release| {
                let mut known = found.iter();
                known.any(|k| k.name == release.name && k.namespace == release.namespace)
            };
            let more: Vec<_> = more.into_iter().filter(|r| !is_known(r)).collect();
            found.extend(more);
            found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        }
        Ok(found)
    }

    async fn records(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        namespace: Option<String>,
        name: &str,
    ) -> Result<Vec<Value>> {
        let (first, other) = self.serving(cluster.as_ref()).await?;
        let mut found = first
            .records(call.clone(), cluster.clone(), namespace.clone(), name)
            .await?;
        if let Some(other) = other {
            let key = |record: &Value| {
                let text = |key: &str| record.get(key).and_then(Value::as_str).map(str::to_owned);
                (text("namespace"), text("name"))
            };
            let known: HashSet<_> = found.iter().map(key).collect();
            let more = other.records(call, cluster, namespace, name).await?;
            found.extend(
                more.into_iter()
                    .filter(|record| !known.contains(&key(record))),
            );
            found.sort_by_key(key);
        }
        Ok(found)
    }

    async fn get(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        revision: Option<u32>,
    ) -> Result<Content> {
        let (first, other) = self.serving(cluster.as_ref()).await?;
        let found = first
            .get(call.clone(), cluster.clone(), facts.clone(), revision)
            .await;
        match other.filter(|_| is_unknown(&found)) {
            Some(other) => other.get(call, cluster, facts, revision).await,
            None => found,
        }
    }

    async fn history(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        limit: u32,
    ) -> Result<Vec<Release>> {
        let (first, other) = self.serving(cluster.as_ref()).await?;
        let found = first
            .history(call.clone(), cluster.clone(), facts.clone(), limit)
            .await;
        match other.filter(|_| is_unknown(&found)) {
            Some(other) => other.history(call, cluster, facts, limit).await,
            None => found,
        }
    }
}

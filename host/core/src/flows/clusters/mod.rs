//! The use-cases of `/cluster`: read from the mirror or live, written straight through the registry.

mod preconditions;
mod write;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Map, Value};

use super::{
    custody::Custody,
    feed,
    gate::Gate,
    looks::{LookSeries, Looks, Wanted},
    mirror::{Cursor, Entry, Mirror},
    swap::FirstWrites,
    together::tasks,
    view::{self, Detail},
};
use crate::{
    error::{Error, Result},
    ports::{Call, Documents, Outbound, Registry, World},
    words::{Caller, ClusterName, Depth, Selector, Uid},
};

/// A change that meets another one is tried again this often when the caller named no version.
const MAX_TRIES: u32 = 5;
/// Members looked at by one live list at once: as many as the prober's slot takes of the host's own fan-outs.
const LIST_FAN_OUT: usize = 1_024;

/// Where the status of a read comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Asked now, with this deadline.
    Live(Duration),
    /// As last seen in the background.
    Cached,
    /// No status.
    None,
}

/// What a list asks for.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Empty = all.
    pub selector: Selector,
    /// Absent = everything in one answer.
    pub limit: Option<usize>,
    /// From the page before.
    pub next: Option<String>,
    /// Where the status comes from.
    pub source: Source,
    /// Asks the registry before answering, not the mirror alone.
    pub is_fresh: bool,
}

/// What must hold for a write, and whether it is one.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Checks everything, changes nothing.
    pub is_dry_run: bool,
    /// `If-Match`: the version that the caller saw.
    pub if_match: Option<String>,
    /// Precondition on the uid.
    pub uid: Option<String>,
    /// What is done with unknown fields.
    pub drops_unknown: bool,
}

/// A change of part of a cluster.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902.
    Json(json_patch::Patch),
}

/// The use-cases of `/cluster`.
#[derive(Debug, Clone)]
pub struct Clusters {
    pub(in crate::flows) registry: Arc<dyn Registry>,
    pub(in crate::flows) mirror: Arc<Mirror>,
    pub(in crate::flows) custody: Custody,
    pub(in crate::flows) looks: Arc<Looks>,
    pub(in crate::flows) outbound: Arc<dyn Outbound>,
    pub(in crate::flows) documents: Arc<dyn Documents>,
    pub(in crate::flows) world: Arc<dyn World>,
    pub(in crate::flows) gate: Arc<Gate>,
    /// What was written since another registry serves.
    pub(in crate::flows) first: Arc<FirstWrites>,
}

impl Clusters {
    /// Over these ports; `mirror` starts empty, [`Clusters::load`] and [`Clusters::feed`] fill it.
    pub fn new(
        registry: Arc<dyn Registry>,
        looks: Arc<Looks>,
        mirror: Arc<Mirror>,
        custody: Custody,
        outbound: Arc<dyn Outbound>,
        documents: Arc<dyn Documents>,
        world: Arc<dyn World>,
    ) -> Self {
        Self {
            registry,
            mirror,
            custody,
            looks,
            outbound,
            documents,
            world,
            gate: Arc::default(),
            first: Arc::default(),
        }
    }

    /// How long looks at members took since the start.
    pub fn looks_took(&self) -> LookSeries {
        self.looks.took()
    }

    /// What comes along when the registry of before serves again.
    pub(in crate::flows) fn first_writes(&self) -> &Arc<FirstWrites> {
        &self.first
    }

    /// Where changes are held while another registry takes over.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The mirror that reads come from.
    pub fn mirror(&self) -> &Arc<Mirror> {
        &self.mirror
    }

    /// One cluster, as [`view`] shows it, and the version for its ETag.
    ///
    /// # Errors
    /// `NotFound`, also for a cluster outside the caller's selector. A member that does not answer
    /// is no error.
    pub async fn get(
        &self,
        caller: &Caller,
        name: &ClusterName,
        source: Source,
        is_fresh: bool,
    ) -> Result<(Map<String, Value>, u64)> {
        let entry = if is_fresh {
            self.fetch_fresh(caller, name).await?
        } else {
            self.find(caller, name)?
        };
        let object = match source {
            Source::None => view::object(&entry, Detail::None),
            Source::Cached => view::object(&entry, Detail::Whole),
            Source::Live(deadline) => {
                let seen = self
                    .looks
                    .look(&entry, Depth::Workloads, deadline, Wanted::Live)
                    .await;
                let entry = self.again(&entry);
                return Ok((
                    view::live(&entry, &seen, self.world.now_ms()),
                    entry.version,
                ));
            }
        };
        Ok((object, entry.version))
    }

    /// One cluster as last seen, as JSON: made once per state, however often it is asked for.
    ///
    /// # Errors
    /// As [`Clusters::get`].
    pub async fn rendered(
        &self,
        caller: &Caller,
        name: &ClusterName,
        is_fresh: bool,
    ) -> Result<(Arc<Entry>, Bytes)> {
        let entry = if is_fresh {
            self.fetch_fresh(caller, name).await?
        } else {
            self.find(caller, name)?
        };
        let bytes = entry.rendered.get(|| {
            let object = view::object(&entry, Detail::Whole);
            serde_json::to_vec(&object).unwrap_or_default()
        });
        Ok((entry, bytes))
    }

    /// `status`, `nodes` or `workloads` of one cluster, live.
    ///
    /// # Errors
    /// As [`Clusters::get`].
    pub async fn part(
        &self,
        caller: &Caller,
        name: &ClusterName,
        part: &str,
        deadline: Duration,
    ) -> Result<Value> {
        let entry = self.find(caller, name)?;
        let depth = if part == "nodes" {
            Depth::Nodes
        } else {
            Depth::Workloads
        };
        let seen = self.looks.look(&entry, depth, deadline, Wanted::Live).await;
        let entry = self.again(&entry);
        let now_ms = self.world.now_ms();
        Ok(match part {
            "status" => {
                let mut object = view::live(&entry, &seen, now_ms);
                object.remove("status").unwrap_or(Value::Null)
            }
            part => view::part(&entry, &seen, part, now_ms),
        })
    }

    /// Many clusters, and the version of the mirror that they are of; a member that does not answer is a row with its
    /// reason.
    ///
    /// # Errors
    /// `Expired` for an old `continue`; with `is_fresh`, whatever keeps the registry from answering.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<(view::List, u64)> {
        if query.is_fresh {
            self.refresh().await?;
        }
        let keeps =
            |e: &Entry| e.is_selected_by(&caller.selector) && e.is_selected_by(&query.selector);
        let listed = self
            .mirror
            .list(query.limit, query.next.as_deref(), keeps)?;
        let shown = |detail| {
            let rows = listed.items.iter();
            rows.map(|entry| view::row(entry, detail)).collect()
        };
        let rows: Result<Vec<_>> = match query.source {
            Source::None => shown(Detail::None),
            Source::Cached => shown(Detail::Row),
            Source::Live(deadline) => {
                let looks = listed.items.iter().cloned().map(|entry| {
                    let clusters = self.clone();
                    async move {
                        clusters
                            .looks
                            .look(&entry, Depth::Nodes, deadline, Wanted::FanOut)
                            .await;
                        view::row(&clusters.again(&entry), Detail::Row)
                    }
                });
                tasks(looks).buffered(LIST_FAN_OUT).try_collect().await
            }
        };
        let list = view::list(rows?, listed.version, listed.next, listed.remaining);
        Ok((list, listed.version))
    }

    /// Follows changes after `version` (without one: from now on).
    ///
    /// # Errors
    /// `Expired`.
    pub fn watch(&self, version: Option<u64>) -> Result<Cursor> {
        self.mirror.watch(version)
    }

    fn find(&self, caller: &Caller, name: &ClusterName) -> Result<Arc<Entry>> {
        let found = self
            .mirror
            .get(name)
            .filter(|e| e.is_selected_by(&caller.selector));
        if found.is_none() && !self.mirror.synced().is_synced && self.mirror.synced().heard_ms == 0
        {
            return Err(Error::unavailable(
                "the registry was not read yet; try again",
            ));
        }
        found.ok_or_else(|| Error::not_found("cluster", name))
    }

    /// From the registry itself; what it says is in the mirror afterwards. Asked again when another registry took over
    /// meanwhile.
    async fn fetch_fresh(&self, caller: &Caller, name: &ClusterName) -> Result<Arc<Entry>> {
        loop {
            let epoch = self.gate.epoch();
            let answer = self.registry.get(Call::client(), name).await;
            let _pass = self.gate.pass().await;
            if self.gate.epoch() == epoch {
                return self.taken_in(caller, name, answer);
            }
        }
    }

    /// The same for whoever has passed the gate.
    async fn fetch(&self, caller: &Caller, name: &ClusterName) -> Result<Arc<Entry>> {
        let answer = self.registry.get(Call::client(), name).await;
        self.taken_in(caller, name, answer)
    }

    fn taken_in(
        &self,
        caller: &Caller,
        name: &ClusterName,
        answer: Result<crate::ports::Object>,
    ) -> Result<Arc<Entry>> {
        let object = answer.map_err(|error| match error {
            Error::NotFound { .. } => Error::not_found("cluster", name),
            other => other,
        })?;
        let entry = match self.mirror.get(name) {
            Some(entry) if entry.revision == object.revision => entry,
            _ => self.apply(object)?,
        };
        if entry.is_selected_by(&caller.selector) {
            Ok(entry)
        } else {
            Err(Error::not_found("cluster", name))
        }
    }

    /// The cluster with this name and uid, whoever asks. A mirror that lacks it may be older than it, as just after a
    /// start; then the registry itself is asked.
    ///
    /// # Errors
    /// `NotFound` when the registry has none, and why it could not be asked.
    pub(in crate::flows) async fn present(
        &self,
        name: &ClusterName,
        uid: &Uid,
    ) -> Result<Arc<Entry>> {
        let is_meant = |entry: &Arc<Entry>| entry.uid == *uid;
        if let Some(entry) = self.mirror.get(name).filter(is_meant) {
            return Ok(entry);
        }
        let entry = self.fetch(&Caller::host(), name).await?;
        Some(entry)
            .filter(is_meant)
            .ok_or_else(|| Error::not_found("cluster", name))
    }

    async fn fetch_for_change(
        &self,
        caller: &Caller,
        name: &ClusterName,
        is_again: bool,
    ) -> Result<Arc<Entry>> {
        if !is_again && let Ok(entry) = self.find(caller, name) {
            return Ok(entry);
        }
        self.fetch(caller, name).await
    }

    /// After a conflict: whether the object itself is still the one that was seen.
    async fn is_only_status(&self, seen: &Entry) -> bool {
        let name = seen.cluster.name();
        match self.fetch(&Caller::host(), name).await {
            Ok(now) => now.uid == seen.uid && now.object_version == seen.object_version,
            Err(_) => false,
        }
    }

    async fn refresh(&self) -> Result<()> {
        loop {
            let epoch = self.gate.epoch();
            let objects = feed::list_all(self.registry.as_ref(), Call::client()).await?;
            let _pass = self.gate.pass().await;
            if self.gate.epoch() == epoch {
                self.mirror.refresh(objects.0, self.world.now_ms());
                return Ok(());
            }
        }
    }

    fn again(&self, entry: &Arc<Entry>) -> Arc<Entry> {
        let present = self
            .mirror
            .get(entry.cluster.name())
            .filter(|e| e.uid == entry.uid);
        present.unwrap_or_else(|| entry.clone())
    }
}

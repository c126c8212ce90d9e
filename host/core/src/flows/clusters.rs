//! The use-cases of `/cluster`: read from the mirror or live, written straight through the registry.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::{
    custody::Custody,
    input::{self, Draft, Unknown},
    looks::{Looks, Wanted},
    mirror::{Cursor, Entry, Mirror, Rendered},
    view::{self, Detail},
};
use crate::{
    error::{Error, Result},
    ports::{Call, Documents, Object, Outbound, Registry, Table, World},
    words::{Caller, Cluster, ClusterName, Depth, Selector, Uid},
};

/// A change that meets another one is tried again this often when the caller named no version.
const MAX_TRIES: u32 = 5;
/// Members looked at by one live list at once.
const LIST_FAN_OUT: usize = 256;

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
    pub(super) registry: Arc<dyn Registry>,
    pub(super) mirror: Arc<Mirror>,
    pub(super) custody: Custody,
    pub(super) looks: Arc<Looks>,
    pub(super) outbound: Arc<dyn Outbound>,
    pub(super) documents: Arc<dyn Documents>,
    pub(super) world: Arc<dyn World>,
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
        }
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
            self.fetch(caller, name).await?
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
            self.fetch(caller, name).await?
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

    /// Many clusters; a member that does not answer is a row with its reason.
    ///
    /// # Errors
    /// `Expired` for an old `continue`; with `is_fresh`, whatever keeps the registry from answering.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Value> {
        if query.is_fresh {
            self.refresh().await?;
        }
        let keeps =
            |e: &Entry| e.is_selected_by(&caller.selector) && e.is_selected_by(&query.selector);
        let listed = self
            .mirror
            .list(query.limit, query.next.as_deref(), keeps)?;
        let next = listed.next.as_deref();
        let detail = match query.source {
            Source::None => Detail::None,
            Source::Cached => Detail::Row,
            Source::Live(deadline) => {
                let looks = listed.items.iter().cloned().map(|entry| async move {
                    self.looks
                        .look(&entry, Depth::Nodes, deadline, Wanted::Live)
                        .await;
                    Value::Object(view::object(&self.again(&entry), Detail::Row))
                });
                let rows = stream::iter(looks).buffered(LIST_FAN_OUT).collect().await;
                return Ok(view::wrap(rows, listed.version, next, listed.remaining));
            }
        };
        Ok(view::list(
            &listed.items,
            detail,
            listed.version,
            next,
            listed.remaining,
        ))
    }

    /// Follows changes after `version` (without one: from now on).
    ///
    /// # Errors
    /// `Expired`.
    pub fn watch(&self, version: Option<u64>) -> Result<Cursor> {
        self.mirror.watch(version)
    }

    /// Registers a cluster. The credential is sealed before the registry is asked, and erased again
    /// when the registry refuses.
    ///
    /// # Errors
    /// `Invalid` with every field, `AlreadyExists`, `Denied` outside the caller's selector, and what
    /// keeps the registry or the store from writing.
    pub async fn create(
        &self,
        caller: &Caller,
        value: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Entry>> {
        let mut draft = input::read(value, None, unknown(options))?;
        if input::reference_of(&draft.object).is_some() {
            return Err(Error::invalid(
                "spec.authInfo.controller",
                "refers to a credential of another cluster; give the credential itself",
            ));
        }
        let name = self.name_for(&mut draft)?;
        strip_server_fields(&mut draft.object, &name);
        let cluster = Cluster::from_object(draft.object.clone())?;
        if !caller.selector.is_empty() && !caller.selector.matches(&cluster.labels()) {
            return Err(outside(caller));
        }
        if self.mirror.get(&name).is_some() && options.is_dry_run {
            return Err(Error::AlreadyExists {
                kind: "cluster",
                name: name.to_string(),
            });
        }
        let id = self.seal(&mut draft, None, options).await?;
        let cluster = Cluster::from_object(draft.object)?;
        let written = self
            .registry
            .create(Call::client(), &cluster, options.is_dry_run)
            .await;
        let object = self.or_release(written, id.as_deref()).await?;
        if options.is_dry_run {
            return Ok(Arc::new(self.unwritten(object)));
        }
        let entry = self.apply(object)?;
        if let Some(id) = id {
            self.custody.settle(&id, &entry.uid).await?;
        }
        self.audit(caller, "create", &name, &entry.uid);
        Ok(entry)
    }

    /// Replaces a cluster. A reference to its own credential keeps that credential; without one, or
    /// with a new credential, the old one is erased.
    ///
    /// # Errors
    /// `NotFound` (a PUT creates nothing), `Malformed` when the body names another cluster,
    /// `Conflict` for a stale version or another uid, `PreconditionFailed` for `If-Match`.
    pub async fn replace(
        &self,
        caller: &Caller,
        name: &ClusterName,
        value: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Entry>> {
        let mut tries = 0;
        loop {
            let present = self.fetch_for_change(caller, name, tries > 0).await?;
            check_preconditions(&present, options)?;
            let draft = input::read(value.clone(), Some(&present.cluster), unknown(options))?;
            tries += 1;
            match self.write(caller, &present, draft, options).await {
                Err(Error::Conflict { .. })
                    if tries < MAX_TRIES && self.is_only_status(&present).await => {}
                other => return other,
            }
        }
    }

    /// Changes part of a cluster; tried again on a concurrent change unless the patch or `If-Match`
    /// names a version.
    ///
    /// # Errors
    /// As [`Clusters::replace`]; `Invalid` for a patch that does not apply.
    pub async fn patch(
        &self,
        caller: &Caller,
        name: &ClusterName,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Entry>> {
        let mut tries = 0;
        loop {
            let present = self.fetch_for_change(caller, name, tries > 0).await?;
            check_preconditions(&present, options)?;
            let mut value = view::unmasked(&present);
            let version = value.pointer("/metadata/resourceVersion").cloned();
            match patch {
                Patch::Merge(patch) => json_patch::merge(&mut value, patch),
                Patch::Json(patch) => json_patch::patch(&mut value, patch).map_err(|error| {
                    Error::invalid("", format!("the patch does not apply: {error}"))
                })?,
            }
            let names_version = value.pointer("/metadata/resourceVersion") != version.as_ref();
            let draft = input::read(value, Some(&present.cluster), unknown(options))?;
            tries += 1;
            match self.write(caller, &present, draft, options).await {
                Err(Error::Conflict { .. })
                    if tries < MAX_TRIES && !names_version && options.if_match.is_none() => {}
                other => return other,
            }
        }
    }

    /// Forgets a cluster: the cluster itself and its releases are left alone, its credential, state
    /// and connections are erased.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` (other uid, stale version), `PreconditionFailed`.
    pub async fn delete(
        &self,
        caller: &Caller,
        name: &ClusterName,
        options: &WriteOptions,
        version: Option<&str>,
    ) -> Result<Arc<Entry>> {
        let mut tries = 0;
        loop {
            let present = self.fetch_for_change(caller, name, tries > 0).await?;
            check_preconditions(&present, options)?;
            check_version(&present, version)?;
            tries += 1;
            let uid = present.cluster.uid();
            let revision = Some(present.revision.clone());
            let call = Call::client();
            let deleted = self
                .registry
                .delete(call, name, uid.as_ref(), revision, options.is_dry_run)
                .await;
            let object = match deleted {
                Err(Error::Conflict { .. })
                    if tries < MAX_TRIES
                        && (version.is_none() || self.is_only_status(&present).await) =>
                {
                    continue;
                }
                other => other?,
            };
            if options.is_dry_run {
                return Ok(present);
            }
            if object
                .cluster
                .object()
                .get("metadata")
                .is_some_and(has_finalizers)
            {
                // Others have to finish first; it stays until they did.
                return self.apply(object);
            }
            self.mirror.erased(&object);
            self.forget(&present).await?;
            self.audit(caller, "delete", name, &present.uid);
            return Ok(present);
        }
    }

    /// Erases everything the host keeps for a cluster that is gone.
    pub(super) async fn forget(&self, entry: &Entry) -> Result<()> {
        self.outbound.forget(&entry.uid);
        if let Some(id) = input::reference_of(entry.cluster.object()) {
            self.custody.release(id).await?;
        }
        let probe = (Table::Probes, entry.uid.as_str().to_owned(), None);
        let mirrored = (
            Table::Mirror,
            entry.cluster.name().as_str().to_owned(),
            None,
        );
        self.documents.write(vec![probe, mirrored]).await
    }

    async fn write(
        &self,
        caller: &Caller,
        present: &Entry,
        mut draft: Draft,
        options: &WriteOptions,
    ) -> Result<Arc<Entry>> {
        let name = present.cluster.name();
        let asked = Cluster::from_object(draft.object.clone())?;
        if asked.name() != name {
            return Err(Error::Malformed(format!(
                "metadata.name is \"{}\", the path names \"{name}\"; names cannot be changed",
                asked.name()
            )));
        }
        if let Some(uid) = asked.uid()
            && uid != present.uid
        {
            return Err(Error::Conflict {
                message: format!(
                    "cluster \"{name}\" has another uid than the body; it was registered anew"
                ),
                revision: Some(present.version.to_string()),
            });
        }
        check_version(present, asked.resource_version())?;
        for labels in [present.cluster.labels(), asked.labels()] {
            if !caller.selector.is_empty() && !caller.selector.matches(&labels) {
                return Err(outside(caller));
            }
        }
        let old = input::reference_of(present.cluster.object()).map(str::to_owned);
        if let Some(given) = input::reference_of(&draft.object)
            && old.as_deref() != Some(given)
        {
            return Err(Error::invalid(
                "spec.authInfo.controller",
                "refers to a credential that is not this cluster's; give the credential itself",
            ));
        }
        carry_server_fields(&mut draft.object, &present.cluster);
        let id = self.seal(&mut draft, Some(&present.uid), options).await?;
        let cluster = Cluster::from_object(draft.object)?;
        let revision = Some(present.revision.clone());
        let written = self
            .registry
            .update(Call::client(), &cluster, revision, options.is_dry_run)
            .await;
        let object = self.or_release(written, id.as_deref()).await?;
        if options.is_dry_run {
            return Ok(Arc::new(self.unwritten(object)));
        }
        let entry = self.apply(object)?;
        let kept = input::reference_of(entry.cluster.object());
        if let Some(old) = old.filter(|old| Some(old.as_str()) != kept) {
            self.custody.release(&old).await?;
        }
        self.audit(caller, "update", name, &entry.uid);
        Ok(entry)
    }

    /// Seals a draft's credential and puts the reference in its place.
    async fn seal(
        &self,
        draft: &mut Draft,
        uid: Option<&Uid>,
        options: &WriteOptions,
    ) -> Result<Option<String>> {
        let Some(credential) = draft.credential.take() else {
            return Ok(None);
        };
        let takes_references = self.registry.supported().await?.object_references;
        if options.is_dry_run {
            input::set_reference(&mut draft.object, Some("dry-run"), takes_references);
            return Ok(None);
        }
        let id = self
            .custody
            .take(credential, &draft.object, uid.cloned())
            .await?;
        input::set_reference(&mut draft.object, Some(&id), takes_references);
        Ok(Some(id))
    }

    async fn or_release(&self, written: Result<Object>, id: Option<&str>) -> Result<Object> {
        if let (Err(error), Some(id)) = (&written, id) {
            // When the outcome is not known, the sweep decides later by what the registry has.
            let is_certain = !matches!(
                error,
                Error::Timeout(_)
                    | Error::Unavailable { .. }
                    | Error::Plugin(_)
                    | Error::Internal(_)
            );
            if is_certain {
                self.custody.release(id).await?;
            }
        }
        written
    }

    fn name_for(&self, draft: &mut Draft) -> Result<ClusterName> {
        let rule = || Error::invalid("metadata.name", ClusterName::label_rule());
        let Some(Value::Object(metadata)) = draft.object.get_mut("metadata") else {
            return Err(rule());
        };
        let given = metadata
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let text = if given.is_empty() {
            const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
            let base = metadata
                .get("generateName")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let mut random = [0; 5];
            self.world.random(&mut random);
            let tail = random
                .iter()
                .filter_map(|b| LETTERS.get(usize::from(*b) % LETTERS.len()));
            let base: String = base.chars().take(58).collect();
            base + &tail.map(|b| char::from(*b)).collect::<String>()
        } else {
            given
        };
        let name: ClusterName = text.parse().map_err(|_| rule())?;
        if !name.is_label() {
            return Err(rule());
        }
        metadata.insert("name".into(), text.into());
        metadata.remove("generateName");
        Ok(name)
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

    /// From the registry itself; what it says is in the mirror afterwards.
    async fn fetch(&self, caller: &Caller, name: &ClusterName) -> Result<Arc<Entry>> {
        let object =
            self.registry
                .get(Call::client(), name)
                .await
                .map_err(|error| match error {
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
        let objects = super::feed::list_all(self.registry.as_ref(), Call::client()).await?;
        self.mirror.replace(objects.0, self.world.now_ms());
        Ok(())
    }

    fn again(&self, entry: &Arc<Entry>) -> Arc<Entry> {
        let present = self
            .mirror
            .get(entry.cluster.name())
            .filter(|e| e.uid == entry.uid);
        present.unwrap_or_else(|| entry.clone())
    }

    fn apply(&self, object: Object) -> Result<Arc<Entry>> {
        let name = object.cluster.name().clone();
        self.mirror.wrote(object).ok_or_else(|| Error::Conflict {
            message: format!("cluster \"{name}\" was deleted meanwhile"),
            revision: None,
        })
    }

    fn unwritten(&self, object: Object) -> Entry {
        let version = self.mirror.version();
        let uid = object.cluster.uid();
        let uid = uid.or_else(|| object.cluster.name().as_str().parse().ok());
        Entry {
            uid: uid.unwrap_or_else(super::unknown_uid),
            cluster: object.cluster,
            revision: object.revision,
            object_version: version,
            version,
            health: Arc::default(),
            rendered: Rendered::default(),
        }
    }

    fn audit(&self, caller: &Caller, verb: &str, name: &ClusterName, uid: &Uid) {
        self.documents.audit(json!({
            "time": super::health::rfc3339(self.world.now_ms()),
            "who": caller.name, "verb": verb, "kind": "cluster", "name": name, "uid": uid,
            "outcome": "ok",
        }));
    }
}

fn unknown(options: &WriteOptions) -> Unknown {
    if options.drops_unknown {
        Unknown::Drop
    } else {
        Unknown::Refuse
    }
}

fn outside(caller: &Caller) -> Error {
    Error::Denied(format!(
        "\"{}\" may only change clusters that its selector selects, before and after the change",
        caller.name.escape_debug()
    ))
}

fn has_finalizers(metadata: &Value) -> bool {
    let list = metadata.get("finalizers").and_then(Value::as_array);
    list.is_some_and(|l| !l.is_empty()) && metadata.get("deletionTimestamp").is_some()
}

fn check_preconditions(present: &Entry, options: &WriteOptions) -> Result<()> {
    if let Some(uid) = &options.uid
        && uid != present.uid.as_str()
    {
        return Err(Error::Conflict {
            message: format!(
                "cluster \"{}\" has the uid {}, not the one of the precondition",
                present.cluster.name(),
                present.uid
            ),
            revision: Some(present.version.to_string()),
        });
    }
    match &options.if_match {
        None => Ok(()),
        Some(given) if given == "*" => Ok(()),
        Some(given) => check_version(present, Some(given))
            .map_err(|error| Error::PreconditionFailed(error.to_string())),
    }
}

/// A version is current as long as the object itself did not change after it: a status that moved
/// on is no reason to refuse a change.
fn check_version(present: &Entry, given: Option<&str>) -> Result<()> {
    let Some(given) = given.filter(|g| !g.is_empty()) else {
        return Ok(());
    };
    let name = present.cluster.name();
    let is_current = given
        .parse::<u64>()
        .is_ok_and(|v| v >= present.object_version && v <= present.version);
    if is_current {
        return Ok(());
    }
    Err(Error::Conflict {
        message: format!(
            "cluster \"{name}\" changed: resourceVersion {} is not {}; read it again and repeat the change",
            given.escape_debug(),
            present.version
        ),
        revision: Some(present.version.to_string()),
    })
}

/// Fields that only a registry sets.
const SERVER_FIELDS: [&str; 6] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

fn strip_server_fields(object: &mut Map<String, Value>, name: &ClusterName) {
    object.remove("status");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("name".into(), name.as_str().into());
        for field in SERVER_FIELDS {
            metadata.remove(field);
        }
    }
}

/// An update carries the registry's own fields and the present status; only what people may change
/// comes from the draft.
fn carry_server_fields(object: &mut Map<String, Value>, present: &Cluster) {
    let kept = present.object().get("metadata");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for field in SERVER_FIELDS
            .into_iter()
            .chain(["managedFields", "selfLink", "namespace"])
        {
            match kept.and_then(|k| k.get(field)) {
                Some(value) => metadata.insert(field.into(), value.clone()),
                None => metadata.remove(field),
            };
        }
    }
    match present.object().get("status") {
        Some(status) => object.insert("status".into(), status.clone()),
        None => object.remove("status"),
    };
}

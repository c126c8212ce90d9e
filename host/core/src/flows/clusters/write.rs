//! Changes: written straight through the registry, the credential sealed before it is asked.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Clusters, MAX_TRIES, Patch, WriteOptions,
    preconditions::{
        carry_server_fields, check_preconditions, check_version, has_finalizers, outside,
        strip_server_fields, unknown,
    },
};
use crate::{
    error::{Error, Result},
    flows::{
        input::{self, Draft},
        mirror::{Entry, Rendered},
        secrets::BOUND,
        swap::ALIAS,
        view,
    },
    ports::{Call, Object, Table},
    words::{Caller, Cluster, ClusterName, Uid},
};

impl Clusters {
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
        let _pass = self.gate.pass().await;
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
        if !caller.selector.is_empty() && !caller.selector.picks(|key| cluster.labels().get(key)) {
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
        self.note(&name, entry.version, Some(&entry)).await;
        self.audit(caller, "create", &name, &entry.uid);
        if let Some(id) = id {
            self.custody.settle(&id, &entry.uid).await?;
            self.mark_owner(&id, &entry).await;
        }
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
        let _pass = self.gate.pass().await;
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
        let _pass = self.gate.pass().await;
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
                    if tries < MAX_TRIES
                        && ((!names_version && options.if_match.is_none())
                            || self.is_only_status(&present).await) => {}
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
        let _pass = self.gate.pass().await;
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
                let entry = self.apply(object)?;
                self.note(name, entry.version, Some(&entry)).await;
                return Ok(entry);
            }
            self.mirror.erased(&object);
            self.note(name, self.mirror.version(), None).await;
            self.audit(caller, "delete", name, &present.uid);
            if let Err(error) = self.forget(&present).await {
                tracing::warn!(cluster = %name, %error, "what was kept for a cluster that is gone is erased by a later sweep");
            }
            return Ok(present);
        }
    }

    /// Erases everything the host keeps for a cluster that is gone.
    pub(in crate::flows) async fn forget(&self, entry: &Entry) -> Result<()> {
        self.outbound.forget(&entry.uid);
        if let Some(uid) = entry.cluster.uid() {
            self.custody.forget_found(&uid);
        }
        let mut rows = Vec::new();
        if let Some(uid) = entry.cluster.uid().filter(|uid| *uid != entry.uid) {
            self.mirror.forget_alias(&uid);
            rows.push((Table::Meta, format!("{ALIAS}{uid}"), None));
        }
        rows.push((Table::Meta, format!("{BOUND}{}", entry.uid), None));
        let probe = (Table::Probes, entry.uid.as_str().to_owned(), None);
        let mirrored = (
            Table::Mirror,
            entry.cluster.name().as_str().to_owned(),
            None,
        );
        rows.extend([probe, mirrored]);
        self.documents.write(rows).await?;
        match input::reference_in(&entry.cluster) {
            Some(id) => self.custody.release(&id).await,
            None => Ok(()),
        }
    }

    /// Seals every credential that stands in an object, so that it outlasts a change of the registry; answers the clusters
    /// whose credential does not.
    pub(in crate::flows) async fn adopt_found(&self, entries: &[Arc<Entry>]) -> Vec<String> {
        let mut left = Vec::new();
        for entry in entries.iter().filter(|e| input::is_hidden_in(&e.cluster)) {
            let name = entry.cluster.name();
            if let Err(fault) = self.custody.adopt(&entry.cluster, &entry.uid).await {
                tracing::warn!(cluster = %name, %fault, "a credential does not come along");
                left.push(name.to_string());
            }
        }
        left
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
        check_version(present, asked.resource_version().as_deref())?;
        for labels in [present.cluster.labels(), asked.labels()] {
            if !caller.selector.is_empty() && !caller.selector.picks(|key| labels.get(key)) {
                return Err(outside(caller));
            }
        }
        let old = input::reference_in(&present.cluster);
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
        self.note(name, entry.version, Some(&entry)).await;
        self.audit(caller, "update", name, &entry.uid);
        if let Some(id) = &id {
            self.mark_owner(id, &entry).await;
        }
        let kept = input::reference_in(&entry.cluster);
        if let Some(old) = old.filter(|old| Some(old) != kept.as_ref())
            && let Err(error) = self.custody.release(&old).await
        {
            tracing::warn!(cluster = %name, %error, "the former credential is erased by a later sweep");
        }
        Ok(entry)
    }

    /// For people and for Kubernetes' garbage collector. The registry has the write already, so it is acknowledged in any
    /// case.
    async fn mark_owner(&self, id: &str, entry: &Entry) {
        if let Err(error) = self.custody.belongs_to(id, &entry.cluster).await {
            let cluster = entry.cluster.name();
            tracing::warn!(%cluster, %error, "a credential does not name its cluster; the next one given does");
        }
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

    pub(super) fn apply(&self, object: Object) -> Result<Arc<Entry>> {
        let name = object.cluster.name().clone();
        self.mirror.wrote(object).ok_or_else(|| Error::Conflict {
            message: format!("cluster \"{name}\" was deleted meanwhile"),
            revision: None,
        })
    }

    /// For a rollback. The registry has the write already, so it is acknowledged in any case.
    async fn note(&self, name: &ClusterName, version: u64, entry: Option<&Entry>) {
        let (documents, now_ms) = (self.documents.as_ref(), self.world.now_ms());
        let noted = self
            .first
            .note(documents, now_ms, name, version, entry)
            .await;
        if let Err(error) = noted {
            tracing::warn!(cluster = %name, %error, "a rollback to the registry before would not know this write");
        }
    }

    fn unwritten(&self, object: Object) -> Entry {
        let version = self.mirror.version();
        let uid = object.cluster.uid();
        let uid = uid.or_else(|| object.cluster.name().as_str().parse().ok());
        Entry {
            uid: uid.unwrap_or_else(crate::flows::unknown_uid),
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
            "time": crate::flows::health::rfc3339(self.world.now_ms()),
            "who": caller.name, "verb": verb, "kind": "cluster", "name": name, "uid": uid,
            "outcome": "ok",
        }));
    }
}

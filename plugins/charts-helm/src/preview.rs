//! What a change would do, object by object, as the API server itself says in a dry run.

use std::collections::BTreeSet;

use futures::future::join_all;
use optikon_plugin_sdk::{Error, ErrorCode, Requester, charts::Change};
use serde_json::{Map, Value, json};

use crate::{
    cluster,
    flow::Flow,
    objects::{Located, Object, check_owner, is_kept, locate, parse, removal_order},
    options::Previewed,
    plan::Plan,
    world::{Target, World},
};

/// What the server counts or stamps by itself.
const VOLATILE: [&str; 4] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "creationTimestamp",
];
/// Of one object, so that the answer stays readable.
const MAX_FIELDS: usize = 500;
/// Objects asked about at once.
const AT_ONCE: usize = 32;

impl<C: Requester, W: World, T: Target + 'static> Flow<'_, C, W, T> {
    /// What an install or an upgrade with this plan would change.
    ///
    /// # Errors
    /// What the server refuses, with the object's name.
    pub async fn preview(&self, plan: Plan) -> Result<Vec<Change>, Error> {
        let entries = self.store().revisions(&self.name).await?;
        let is_there = entries
            .first()
            .is_some_and(|last| last.status != "uninstalled");
        let base = if is_there {
            self.base(&entries, u32::MAX).await?
        } else {
            None
        };
        let crds = plan.crds.clone();
        let (plan, old, is_client_side) = match &base {
            Some(base) => {
                let old = self.old_objects(&base.record.manifest).await?;
                let is_client_side = !base.record.is_server_side();
                (self.draft_plan(plan, &entries).await?, old, is_client_side)
            }
            None => {
                let version = entries
                    .first()
                    .map_or(1, |last| last.version.saturating_add(1));
                (self.fitting(plan, false, version).await?, Vec::new(), false)
            }
        };
        let located = locate(self.cluster, parse(&plan.manifest)?, &self.namespace).await?;
        if !located.unknown.is_empty() && (crds.is_empty() || self.options.skip_crds) {
            return Err(unmapped(&located));
        }
        // What Helm set by update would conflict with its own apply; the real change moves it over first.
        let force = self.options.force || is_client_side;
        self.changes(located, old, force, !self.options.take_ownership)
            .await
    }

    /// What a rollback or an uninstall, as the options say, would change.
    ///
    /// # Errors
    /// As [`Flow::preview`]; `not-found` where the release or the revision is not there.
    pub async fn preview_without_plan(&self) -> Result<Vec<Change>, Error> {
        let entries = self.store().revisions(&self.name).await?;
        let last = entries.first().map(|entry| entry.version);
        let last = last.ok_or_else(|| crate::view::not_found(&self.name))?;
        let newest = self.store().load(&self.name, last).await?;
        let mut old = self.old_objects(&newest.record.manifest).await?;
        match self.options.preview {
            None => Err(Error::invalid(
                "options",
                "an empty plan, and nothing to preview",
            )),
            Some(Previewed::Uninstall) => self.removals(old).await,
            Some(Previewed::Rollback) => {
                let to = match self.options.to_revision {
                    0 => last.saturating_sub(1),
                    revision => revision,
                };
                if !entries.iter().any(|entry| entry.version == to) {
                    return Err(crate::undo::no_revision(&self.name, to));
                }
                let wanted = self.store().load(&self.name, to).await?;
                let manifest = parse(&wanted.record.manifest)?;
                let located = locate(self.cluster, manifest, &self.namespace).await?;
                if !located.unknown.is_empty() {
                    return Err(unmapped(&located));
                }
                let base = self.base(&entries, last.saturating_add(1)).await?;
                if let Some(base) = base.as_ref().filter(|base| base.record.version != last) {
                    let known: BTreeSet<_> = old.iter().map(Object::identity).collect();
                    let more = self.old_objects(&base.record.manifest).await?;
                    let more = more.into_iter().filter(|o| !known.contains(&o.identity()));
                    let more: Vec<_> = more.collect();
                    old.extend(more);
                }
                let is_client_side = base.is_some_and(|base| !base.record.is_server_side());
                let force = self.options.force || is_client_side;
                // As the rollback itself, which asks nobody for what was the release's before.
                self.changes(located, old, force, false).await
            }
        }
    }

    /// What applying these objects over those of a former revision would change.
    async fn changes(
        &self,
        located: Located,
        old: Vec<Object>,
        force: bool,
        checks_owner: bool,
    ) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for some in located.objects.chunks(AT_ONCE) {
            self.world
                .report("preview", "", changes.len(), located.objects.len());
            let looks = some
                .iter()
                .map(|object| self.compare(object, force, checks_owner));
            for change in join_all(looks).await {
                changes.push(change?);
            }
        }
        changes.extend(located.unknown.iter().map(|kind| missing(kind)));
        let wanted: BTreeSet<_> = located.objects.iter().map(Object::identity).collect();
        let dropped = old
            .into_iter()
            .filter(|object| !wanted.contains(&object.identity()))
            .collect();
        changes.extend(self.removals(dropped).await?);
        Ok(changes)
    }

    /// What removing these objects would do to each that is there.
    async fn removals(&self, objects: Vec<Object>) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for object in removal_order(objects) {
            if let Some(present) = cluster::look(self.cluster, &object).await? {
                let is_own = check_owner(&present, &self.name, &self.namespace).is_ok();
                let stays = object.is_kept() || is_kept(&present) || !is_own;
                let what = if stays { "kept" } else { "deleted" };
                changes.push(change(&object, what, "[]".into()));
            }
        }
        Ok(changes)
    }

    /// Which objects are not as the deployed revision says.
    ///
    /// # Errors
    /// `not-found` when nothing is deployed.
    pub async fn drift(&self) -> Result<Vec<Change>, Error> {
        let entries = self.store().revisions(&self.name).await?;
        let deployed = entries.iter().find(|entry| entry.status == "deployed");
        let deployed = deployed.ok_or_else(|| crate::view::not_found(&self.name))?;
        let stored = self.store().load(&self.name, deployed.version).await?;
        let located = locate(
            self.cluster,
            parse(&stored.record.manifest)?,
            &self.namespace,
        )
        .await?;
        let mut changes = Vec::new();
        for some in located.objects.chunks(AT_ONCE) {
            self.world
                .report("drift", "", changes.len(), located.objects.len());
            let looked = join_all(some.iter().map(|object| self.strayed(object)));
            for change in looked.await {
                changes.push(change?);
            }
        }
        // A kind that is not served any more: its objects are missing.
        changes.extend(located.unknown.iter().map(|kind| missing(kind)));
        Ok(changes)
    }

    /// How an object differs from what its release says, whoever owns its fields now.
    async fn strayed(&self, object: &Object) -> Result<Change, Error> {
        let Some(present) = cluster::look(self.cluster, object).await? else {
            return Ok(change(object, "created", "[]".into()));
        };
        let wanted = object.marked(&self.name, &self.namespace);
        let applied = cluster::apply(self.cluster, object, &wanted, true, true).await?;
        Ok(compared(object, &present, &applied))
    }

    async fn draft_plan(&self, plan: Plan, entries: &[crate::store::Entry]) -> Result<Plan, Error> {
        Ok(self.draft(plan, entries).await?.plan)
    }

    async fn compare(
        &self,
        object: &Object,
        force: bool,
        checks_owner: bool,
    ) -> Result<Change, Error> {
        let present = cluster::look(self.cluster, object).await?;
        let wanted = object.marked(&self.name, &self.namespace);
        let applied = cluster::apply(self.cluster, object, &wanted, force, true).await;
        let applied = match applied {
            // In a namespace that is not there yet nothing can be tried.
            Err(error) if present.is_none() && error.code == ErrorCode::NotFound => Value::Null,
            other => other?,
        };
        let Some(present) = present else {
            return Ok(change(object, "created", "[]".into()));
        };
        if checks_owner && let Err(problem) = check_owner(&present, &self.name, &self.namespace) {
            return Err(Error::conflict(
                format!(
                    "{} exists and cannot be imported into the current release: invalid ownership metadata; {problem}",
                    object.title()
                ),
                None,
            ));
        }
        Ok(compared(object, &present, &applied))
    }
}

fn unmapped(located: &Located) -> Error {
    let kinds = located.unknown.join(", ");
    Error::invalid("chart", format!("resource mapping not found: {kinds}"))
}

/// An object of a kind that the cluster does not serve.
fn missing(unknown: &str) -> Change {
    Change {
        kind: unknown.to_owned(),
        namespace: None,
        name: String::new(),
        what: "created".into(),
        patch: "[]".into(),
    }
}

fn compared(object: &Object, present: &Value, applied: &Value) -> Change {
    let is_secret = object.kind.kind == "Secret" && object.kind.group.is_empty();
    let fields = difference(present, applied, is_secret);
    let what = if fields.is_empty() {
        "unchanged"
    } else {
        "changed"
    };
    change(object, what, Value::Array(fields).to_string())
}

fn change(object: &Object, what: &str, patch: String) -> Change {
    Change {
        kind: format!("{}/{}", object.api_version, object.kind.kind),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        what: what.to_owned(),
        patch,
    }
}

/// The fields in which two states of an object differ: `{path, old, new}`.
fn difference(old: &Value, new: &Value, is_secret: bool) -> Vec<Value> {
    let mut fields = Vec::new();
    walk("", Some(old), Some(new), is_secret, &mut fields);
    fields
}

fn walk(
    path: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    is_secret: bool,
    fields: &mut Vec<Value>,
) {
    if old == new || fields.len() >= MAX_FIELDS {
        return;
    }
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                if path == "/metadata" && VOLATILE.contains(&key.as_str()) {
                    continue;
                }
                let below = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                walk(&below, a.get(key), b.get(key), is_secret, fields);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                walk(
                    &format!("{path}/{index}"),
                    Some(a),
                    Some(b),
                    is_secret,
                    fields,
                );
            }
        }
        _ => {
            let mut field = Map::from_iter([("path".to_owned(), Value::from(path))]);
            for (key, value) in [("old", old), ("new", new)] {
                if let Some(value) = value {
                    field.insert(key.to_owned(), masked(path, value, is_secret));
                }
            }
            fields.push(Value::Object(field));
        }
    }
}

fn masked(path: &str, value: &Value, is_secret: bool) -> Value {
    let first = path.split('/').nth(1).unwrap_or_default();
    let is_last_applied = path.contains("kubectl.kubernetes.io~1last-applied-configuration");
    if !is_secret
        || !(matches!(first, "data" | "stringData")
            || is_last_applied
            || path == "/metadata/annotations")
    {
        return value.clone();
    }
    match value {
        Value::Object(map) => map
            .keys()
            .map(|key| (key.clone(), json!("***")))
            .collect::<Map<_, _>>()
            .into(),
        _ => json!("***"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_fields_and_hides_what_secrets_hold() {
        let old = json!({"kind": "Secret", "data": {"a": "MQ==", "b": "Mg=="}, "metadata": {"resourceVersion": "1", "labels": {"x/y": "1"}}});
        let new = json!({"kind": "Secret", "data": {"a": "MQ==", "b": "Mw=="}, "metadata": {"resourceVersion": "2", "labels": {"x/y": "2"}}});
        assert_eq!(
            difference(&old, &new, true),
            [
                json!({"path": "/data/b", "old": "***", "new": "***"}),
                json!({"path": "/metadata/labels/x~1y", "old": "1", "new": "2"}),
            ]
        );
        let gone = json!({"kind": "Secret", "metadata": {}});
        let fields = difference(&old, &gone, true);
        assert_eq!(
            fields[0],
            json!({"path": "/data", "old": {"a": "***", "b": "***"}})
        );
        assert_eq!(difference(&old, &old, true), [] as [Value; 0]);
    }
}

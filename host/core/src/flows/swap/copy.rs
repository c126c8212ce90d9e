//! Makes one registry hold what another holds.
//!
//! Each round compares both and writes the difference, so a round that was interrupted, an unknown outcome and a change that
//! came in between are all found by the next one. Nothing is overwritten or removed in the new registry that this gateway
//! did not put there.
//!
//! Thousands of objects are looked at more than once, so what two of them say is compared once for each pair of revisions.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::poll_fn,
    thread,
};

use futures::{StreamExt, stream};
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    flows::{feed::list_all, input},
    ports::{Call, Object, Registry, Supported},
    words::{Cluster, ClusterName},
};

/// Written at once: as many requests as a plugin's calls and one API server take side by side.
const PARALLEL: usize = 64;
/// Names shown in a message.
const MAX_SHOWN: usize = 10;
/// What of `metadata` is somebody's own and means the same in another registry. Owners do not: their uids are of the other
/// cluster, whose garbage collector would take the object away.
const CARRIED: [&str; 4] = ["name", "labels", "annotations", "finalizers"];

/// What is to be written to make the new registry equal.
#[derive(Debug, Default)]
pub(super) struct Difference {
    create: Vec<Cluster>,
    update: Vec<(Cluster, String)>,
    delete: Vec<Object>,
}

/// How the two compare, and what cannot be carried.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) difference: Difference,
    /// Per object, what stays behind.
    pub(super) losses: Vec<String>,
    /// Names that hold something of others in the new registry.
    pub(super) taken: Vec<ClusterName>,
}

/// Pairs that were found to say the same, by name: the revisions of both, and whether something stays behind.
#[derive(Debug, Default)]
pub(super) struct Same(HashMap<ClusterName, (String, String, bool)>);

impl Same {
    /// Whether something stays behind of a pair that is known to say the same.
    fn knows(&self, old: &Object, new: &Object) -> Option<bool> {
        let (before, there, has_loss) = self.0.get(old.cluster.name())?;
        (*before == old.revision && *there == new.revision).then_some(*has_loss)
    }

    fn note(&mut self, old: &Object, new: &Object, has_loss: bool) {
        // An object that the gateway only remembers may have none.
        if old.revision.is_empty() || new.revision.is_empty() {
            return;
        }
        let revisions = (old.revision.clone(), new.revision.clone(), has_loss);
        self.0.insert(old.cluster.name().clone(), revisions);
    }
}

/// What came of writing a difference.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// What the registry refused, and will refuse again.
    pub(super) refused: Refused,
    /// The objects as the registry has them now.
    stored: Vec<Object>,
    /// Of some it is not known what became of them.
    is_unsure: bool,
}

impl Written {
    /// What the registry holds now, where it held this before; none where only a list can tell.
    pub(super) fn after(self, there: Vec<Object>) -> Option<Vec<Object>> {
        if self.is_unsure {
            return None;
        }
        let named = |object: Object| (object.cluster.name().clone(), object);
        let mut all: BTreeMap<ClusterName, Object> = there.into_iter().map(named).collect();
        all.extend(self.stored.into_iter().map(named));
        Some(all.into_values().collect())
    }
}

impl Difference {
    pub(super) fn len(&self) -> usize {
        self.create.len() + self.update.len() + self.delete.len()
    }
}

/// The object as it is to be in a registry of this kind.
pub(super) fn carried(cluster: &Cluster, supported: Supported) -> Result<Cluster> {
    Cluster::from_object(carried_object(cluster, supported))
}

fn carried_object(cluster: &Cluster, supported: Supported) -> Map<String, Value> {
    let tree = cluster.object();
    let fields = tree.iter().filter(|(key, _)| *key != "status");
    let mut object: Map<String, Value> = fields
        .filter(|(key, _)| *key != "metadata")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let metadata = tree.get("metadata").and_then(Value::as_object);
    let kept: Map<String, Value> = metadata
        .into_iter()
        .flatten()
        .filter(|(key, _)| CARRIED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    object.insert("metadata".into(), Value::Object(kept));
    // A credential that stands in the object itself has its place in the vault by now.
    let id = input::reference_in(cluster);
    input::drop_hidden(&mut object);
    if let Some(id) = id {
        input::set_reference(&mut object, Some(&id), supported.object_references);
    }
    object
}

/// Whether two objects say the same: nothing, null and empty are one.
pub(super) fn is_same(one: &Cluster, other: &Cluster, supported: Supported) -> bool {
    let (one_tree, other_tree) = (one.object(), other.object());
    let has_credential =
        |tree: &Map<String, Value>| input::reference_of(tree).is_some() || input::is_hidden(tree);
    if has_credential(&one_tree) || has_credential(&other_tree) {
        // Each form has its own way to say it.
        let one = carried_object(one, supported);
        return is_same_object(&one, &carried_object(other, supported));
    }
    is_same_object(&one_tree, &other_tree)
}

fn is_same_object(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    fn metadata<'a>(tree: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
        tree.get("metadata")?.get(key)
    }
    let is_own = |key: &str| matches!(key, "apiVersion" | "kind" | "metadata" | "status");
    CARRIED
        .iter()
        .all(|key| says_same(metadata(one, key), metadata(other, key)))
        && one
            .keys()
            .chain(other.keys())
            .filter(|key| !is_own(key))
            .all(|key| says_same(one.get(key), other.get(key)))
}

fn says_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one.filter(|v| says(v)), other.filter(|v| says(v))) {
        (None, None) => true,
        (Some(Value::Object(one)), Some(Value::Object(other))) => one
            .keys()
            .chain(other.keys())
            .all(|key| says_same(one.get(key), other.get(key))),
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// Whether there is anything in it.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(fields) => fields.values().any(says),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

fn is_going(cluster: &Cluster) -> bool {
    if !cluster.mentions("deletionTimestamp") {
        return false;
    }
    let object = cluster.object();
    let metadata = object.get("metadata");
    metadata
        .and_then(|m| m.get("deletionTimestamp"))
        .is_some_and(|time| !time.is_null())
}

/// Refuses what the new registry could not take, before anything is written.
///
/// # Errors
/// `Invalid` with the names.
pub(super) fn check_source(source: &[Object], supported: Supported) -> Result<()> {
    let misfits: Vec<&ClusterName> = source
        .iter()
        .map(|object| object.cluster.name())
        .filter(|name| supported.label_names && !is_1035(name.as_str()))
        .collect();
    if !misfits.is_empty() {
        return Err(Error::invalid(
            "migrate",
            format!(
                "the new registry takes DNS-1035 labels only (letters, digits and '-', a letter first, at most 63): {}; \
                 nothing was copied",
                shown(misfits.iter().map(|n| n.as_str()))
            ),
        ));
    }
    let going = source.iter().filter(|object| is_going(&object.cluster));
    let going: Vec<&str> = going.map(|o| o.cluster.name().as_str()).collect();
    if going.is_empty() {
        return Ok(());
    }
    Err(Error::Conflict {
        message: format!(
            "being deleted, and held by finalizers: {}; wait until they are gone; nothing was copied",
            shown(going.iter().copied())
        ),
        revision: None,
    })
}

fn is_1035(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// A few of many names, for a message.
pub(super) fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.collect();
    let first = all
        .iter()
        .take(MAX_SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(MAX_SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// What has to be written into `new`; `ours` are names that this gateway put there or left there.
pub(super) fn compare(
    source: &[Object],
    new: &[Object],
    ours: &BTreeSet<String>,
    supported: Supported,
    same: &mut Same,
) -> Result<Compared> {
    let mut present: BTreeMap<&ClusterName, &Object> =
        new.iter().map(|o| (o.cluster.name(), o)).collect();
    let mut compared = Compared::default();
    let difference = &mut compared.difference;
    for object in source {
        let name = object.cluster.name();
        let there = present.remove(name);
        let known = there.and_then(|there| same.knows(object, there));
        // Held, so that it is parsed once.
        let tree = known.is_none().then(|| object.cluster.object());
        let has_loss = known.unwrap_or_else(|| tree.as_deref().is_some_and(has_owners));
        if has_loss {
            compared
                .losses
                .push(format!("{name}: metadata.ownerReferences"));
        }
        match there {
            _ if known.is_some() => {}
            None => difference.create.push(carried(&object.cluster, supported)?),
            Some(there) if is_same(&object.cluster, &there.cluster, supported) => {
                same.note(object, there, has_loss);
            }
            Some(there) if ours.contains(name.as_str()) => {
                let mut wanted = carried_object(&object.cluster, supported);
                if let (Some(Value::Object(metadata)), Some(uid)) =
                    (wanted.get_mut("metadata"), there.cluster.uid())
                {
                    metadata.insert("uid".into(), uid.as_str().into());
                }
                let wanted = Cluster::from_object(wanted)?;
                difference.update.push((wanted, there.revision.clone()));
            }
            Some(_) => compared.taken.push(name.clone()),
        }
    }
    for (name, there) in present {
        if ours.contains(name.as_str()) {
            difference.delete.push(there.clone());
        } else {
            compared.taken.push(name.clone());
        }
    }
    Ok(compared)
}

fn has_owners(tree: &Map<String, Value>) -> bool {
    let owners = tree.get("metadata").and_then(|m| m.get("ownerReferences"));
    let owners = owners.and_then(Value::as_array);
    owners.is_some_and(|owners| !owners.is_empty())
}

/// What the registry refused, and will refuse again.
type Refused = Vec<(ClusterName, Error)>;

/// Writes a difference. What could not be written for a reason that may pass is left to the next round.
///
/// # Errors
/// What keeps the registry from writing anything.
pub(super) async fn write(registry: &dyn Registry, difference: Difference) -> Result<Written> {
    let mut outcome = Written::default();
    let Difference {
        create,
        update,
        delete,
    } = difference;
    let call = Call::background;
    let created = stream::iter(create).map(|cluster| {
        let written = async move {
            registry
                .create(call(), &cluster, false)
                .await
                .map(Some)
                .map_err(|error| (cluster.name().clone(), error))
        };
        by_steps(written)
    });
    settle(created.buffer_unordered(PARALLEL), &mut outcome).await?;
    let updated = stream::iter(update).map(|(cluster, revision)| {
        let written = async move {
            registry
                .update(call(), &cluster, Some(revision), false)
                .await
                .map(Some)
                .map_err(|error| (cluster.name().clone(), error))
        };
        by_steps(written)
    });
    settle(updated.buffer_unordered(PARALLEL), &mut outcome).await?;
    let deleted = stream::iter(delete).map(|object| {
        let written = async move {
            let (name, uid) = (object.cluster.name(), object.cluster.uid());
            let revision = Some(object.revision.clone());
            registry
                .delete(call(), name, uid.as_ref(), revision, false)
                .await
                .map(|_| None)
                .map_err(|error| (name.clone(), error))
        };
        by_steps(written)
    });
    settle(deleted.buffer_unordered(PARALLEL), &mut outcome).await?;
    Ok(outcome)
}

/// A call computes for some tenths of a millisecond at each step, and dozens have one to make at once. In between, what
/// waits for a processor goes first: on a busy machine a request would wait until the system takes it away, some milliseconds.
fn by_steps<T>(call: impl Future<Output = T>) -> impl Future<Output = T> + Unpin {
    let mut call = Box::pin(call);
    poll_fn(move |context| {
        let polled = call.as_mut().poll(context);
        thread::yield_now();
        polled
    })
}

async fn settle(
    mut written: impl stream::Stream<Item = Result<Option<Object>, (ClusterName, Error)>> + Unpin,
    outcome: &mut Written,
) -> Result<()> {
    while let Some(written) = written.next().await {
        let (name, error) = match written {
            Ok(Some(object)) => {
                outcome.stored.push(object);
                continue;
            }
            // Deleted; a finalizer of somebody's may hold it.
            Ok(None) => {
                outcome.is_unsure = true;
                continue;
            }
            Err(refused) => refused,
        };
        outcome.is_unsure = true;
        match error {
            Error::Conflict { .. }
            | Error::AlreadyExists { .. }
            | Error::NotFound { .. }
            | Error::Busy { .. }
            | Error::Unavailable { .. }
            | Error::Timeout(_) => {
                tracing::debug!(cluster = %name, %error, "not copied in this round");
            }
            Error::Invalid(_) | Error::TooLarge { .. } => outcome.refused.push((name, error)),
            other => return Err(other),
        }
    }
    Ok(())
}

/// The refusal of one cluster as that of the whole migration.
pub(super) fn named(name: &ClusterName, error: Error) -> Error {
    let Error::Invalid(fields) = error else {
        return error;
    };
    let fields = fields.into_iter().map(|mut field| {
        field.message = format!("cluster \"{name}\": {}: {}", field.field, field.message);
        field.field = "migrate".into();
        field
    });
    Error::Invalid(fields.collect())
}

/// Why the new registry could never take an object.
pub(super) fn misfit(object: &Object, supported: Supported) -> Option<String> {
    if supported.label_names && !is_1035(object.cluster.name().as_str()) {
        return Some("its name is no DNS-1035 label".into());
    }
    is_going(&object.cluster).then(|| "it is being deleted, and held by finalizers".into())
}

/// Everything in a registry.
///
/// # Errors
/// Its own.
pub(super) async fn list(registry: &dyn Registry) -> Result<Vec<Object>> {
    Ok(list_at(registry).await?.0)
}

/// The same with the revision from which a watch misses nothing.
///
/// # Errors
/// Its own.
pub(super) async fn list_at(registry: &dyn Registry) -> Result<(Vec<Object>, String)> {
    list_all(registry, Call::background()).await
}

#[cfg(test)]
mod tests;

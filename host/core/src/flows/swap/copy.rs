//! Makes one registry hold what another holds.
//!
//! Each round lists both and writes the difference, so a round that was interrupted, an unknown outcome and a change that
//! came in between are all found by the next one. Nothing is overwritten or removed in the new registry that this gateway
//! did not put there.

use std::collections::{BTreeMap, BTreeSet};

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
    let mut object = cluster.clone().into_object();
    object.remove("status");
    let metadata = object.get("metadata").and_then(Value::as_object);
    let kept: Map<String, Value> = metadata
        .into_iter()
        .flatten()
        .filter(|(key, _)| CARRIED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    object.insert("metadata".into(), Value::Object(kept));
    if let Some(id) = input::reference_of(&object).map(str::to_owned) {
        input::set_reference(&mut object, Some(&id), supported.object_references);
    }
    object
}

/// Whether two objects say the same: nothing, null and empty are one.
pub(super) fn is_same(one: &Cluster, other: &Cluster, supported: Supported) -> bool {
    let content = |cluster: &Cluster| {
        let mut object = carried_object(cluster, supported);
        object.remove("apiVersion");
        object.remove("kind");
        pruned(&Value::Object(object))
    };
    content(one) == content(other)
}

fn pruned(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Object(fields) => {
            let kept: Map<String, Value> = fields
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), pruned(value)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) if items.is_empty() => None,
        other => Some(other.clone()),
    }
}

fn is_going(cluster: &Cluster) -> bool {
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
) -> Result<Compared> {
    let mut present: BTreeMap<&ClusterName, &Object> =
        new.iter().map(|o| (o.cluster.name(), o)).collect();
    let mut compared = Compared::default();
    let difference = &mut compared.difference;
    for object in source {
        let name = object.cluster.name();
        let tree = object.cluster.object();
        let owners = tree.get("metadata");
        let owners = owners.and_then(|m| m.get("ownerReferences"));
        if owners
            .and_then(Value::as_array)
            .is_some_and(|o| !o.is_empty())
        {
            compared
                .losses
                .push(format!("{name}: metadata.ownerReferences"));
        }
        match present.remove(name) {
            None => difference.create.push(carried(&object.cluster, supported)?),
            Some(there) if is_same(&object.cluster, &there.cluster, supported) => {}
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

/// What the registry refused, and will refuse again.
type Refused = Vec<(ClusterName, Error)>;

/// Writes a difference; answers what was refused for good. What could not be written for a reason that may pass is left to
/// the next round.
///
/// # Errors
/// What keeps the registry from writing anything.
pub(super) async fn write(registry: &dyn Registry, difference: Difference) -> Result<Refused> {
    let mut refused = Refused::new();
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
                .map(drop)
                .map_err(|error| (cluster.name().clone(), error))
        };
        Box::pin(written)
    });
    settle(created.buffer_unordered(PARALLEL), &mut refused).await?;
    let updated = stream::iter(update).map(|(cluster, revision)| {
        let written = async move {
            registry
                .update(call(), &cluster, Some(revision), false)
                .await
                .map(drop)
                .map_err(|error| (cluster.name().clone(), error))
        };
        Box::pin(written)
    });
    settle(updated.buffer_unordered(PARALLEL), &mut refused).await?;
    let deleted = stream::iter(delete).map(|object| {
        let written = async move {
            let (name, uid) = (object.cluster.name(), object.cluster.uid());
            let revision = Some(object.revision.clone());
            registry
                .delete(call(), name, uid.as_ref(), revision, false)
                .await
                .map(drop)
                .map_err(|error| (name.clone(), error))
        };
        Box::pin(written)
    });
    settle(deleted.buffer_unordered(PARALLEL), &mut refused).await?;
    Ok(refused)
}

async fn settle(
    mut written: impl stream::Stream<Item = Result<(), (ClusterName, Error)>> + Unpin,
    refused: &mut Refused,
) -> Result<()> {
    while let Some(outcome) = written.next().await {
        let Err((name, error)) = outcome else {
            continue;
        };
        match error {
            Error::Conflict { .. }
            | Error::AlreadyExists { .. }
            | Error::NotFound { .. }
            | Error::Busy { .. }
            | Error::Unavailable { .. }
            | Error::Timeout(_) => {
                tracing::debug!(cluster = %name, %error, "not copied in this round");
            }
            Error::Invalid(_) | Error::TooLarge { .. } => refused.push((name, error)),
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
    Ok(list_all(registry, Call::background()).await?.0)
}

//! What must hold for a change, and which fields only a registry sets.

use serde_json::{Map, Value};

use super::WriteOptions;
use crate::{
    error::{Error, Result},
    flows::{input::Unknown, mirror::Entry},
    words::{Caller, Cluster, ClusterName},
};

pub(super) fn unknown(options: &WriteOptions) -> Unknown {
    if options.drops_unknown {
        Unknown::Drop
    } else {
        Unknown::Refuse
    }
}

pub(super) fn outside(caller: &Caller) -> Error {
    Error::Denied(format!(
        "\"{}\" may only change clusters that its selector selects, before and after the change",
        caller.name.escape_debug()
    ))
}

pub(super) fn has_finalizers(metadata: &Value) -> bool {
    let list = metadata.get("finalizers").and_then(Value::as_array);
    list.is_some_and(|l| !l.is_empty()) && metadata.get("deletionTimestamp").is_some()
}

pub(super) fn check_preconditions(present: &Entry, options: &WriteOptions) -> Result<()> {
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
pub(super) fn check_version(present: &Entry, given: Option<&str>) -> Result<()> {
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

pub(super) fn strip_server_fields(object: &mut Map<String, Value>, name: &ClusterName) {
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
pub(super) fn carry_server_fields(object: &mut Map<String, Value>, present: &Cluster) {
    let present = present.object();
    let kept = present.get("metadata");
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
    match present.get("status") {
        Some(status) => object.insert("status".into(), status.clone()),
        None => object.remove("status"),
    };
}

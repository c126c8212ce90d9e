//! Conditions: `OK` among them, the one type that the first cluster registry named. Written by server-side apply under a name of our own, so that those of others stay theirs.

use optikon_plugin_sdk::{
    Error, ErrorCode, Method, Requester,
    api::{self},
    collection::Expect,
    registry::Object,
};
use serde_json::{Value, json};

use crate::{
    clusters::Clusters,
    object::from_value,
    place::{GROUP, VERSION, refused},
};

/// Who writes the conditions, in `managedFields`; apart from who writes the spec.
pub const STATUS_MANAGER: &str = "optikon-status";

/// What the gateway writes; every other type is somebody else's.
const OURS: [&str; 6] = [
    "Ready",
    "Reachable",
    "DiscoveryComplete",
    "CredentialExpiring",
    "Duplicate",
    "OK",
];

/// Replaces our conditions; an `OK` that another manager wrote stays as it is.
///
/// # Errors
/// `not-found`, `conflict`; `invalid` when `conditions` is no JSON list.
pub async fn write<C: Requester>(
    clusters: Clusters<'_, C>,
    name: &str,
    conditions: &str,
    expect: Expect<'_>,
) -> Result<Object, Error> {
    let given: Vec<Value> = serde_json::from_str(conditions)
        .map_err(|e| Error::invalid("status.conditions", format!("no JSON list: {e}")))?;
    let document = clusters.read(name).await?;
    expect.check(&document)?;
    let present = Value::Object(document.object().clone());
    let wanted: Vec<Value> = given
        .into_iter()
        .filter(|condition| kind(condition) != "OK" || !is_of_others(&present, "OK"))
        .collect();
    let before = list(&present);
    let is_there = wanted.iter().all(|condition| before.contains(condition));
    let is_ours = |condition: &&Value| {
        OURS.contains(&kind(condition)) || wanted.iter().any(|w| kind(w) == kind(condition))
    };
    let is_left = before
        .iter()
        .filter(is_ours)
        .any(|condition| !wanted.contains(condition) && !is_of_others(&present, kind(condition)));
    if is_there && !is_left {
        return from_value(present);
    }
    let foreign: Vec<Value> = before.iter().filter(|c| !is_ours(c)).cloned().collect();
    let mut wanted = wanted;
    if !foreign.is_empty() {
        // A definition that knows nothing of list maps takes the list as one field: then all of it has to be named.
        let tried = apply(clusters, &document, &wanted, expect, true).await?;
        let after = list(&tried);
        if foreign.iter().any(|condition| !after.contains(condition)) {
            wanted.extend(foreign);
        }
    }
    from_value(apply(clusters, &document, &wanted, expect, false).await?)
}

fn kind(condition: &Value) -> &str {
    let kind = condition.get("type").and_then(Value::as_str);
    kind.unwrap_or_default()
}

fn list(object: &Value) -> Vec<Value> {
    let found = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    found.cloned().unwrap_or_default()
}

/// Whether another manager wrote the condition of this type, as `managedFields` tell.
fn is_of_others(object: &Value, kind: &str) -> bool {
    let managers = object.pointer("/metadata/managedFields");
    let key = format!("k:{}", json!({"type": kind}));
    let managers = managers.and_then(Value::as_array).into_iter().flatten();
    managers
        .filter(|entry| entry.get("manager").is_some_and(|m| m != STATUS_MANAGER))
        .filter_map(|entry| entry.pointer("/fieldsV1/f:status/f:conditions"))
        .any(|fields| fields.get(&key).is_some())
}

async fn apply<C: Requester>(
    clusters: Clusters<'_, C>,
    present: &optikon_plugin_sdk::Document,
    conditions: &[Value],
    expect: Expect<'_>,
    dry_run: bool,
) -> Result<Value, Error> {
    // The uid keeps server-side apply from creating an object that was deleted meanwhile.
    let mut object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "Cluster",
        "metadata": {"name": present.name(), "uid": present.uid()},
        "status": {"conditions": conditions},
    });
    if let (Some(revision), Some(metadata)) = (
        expect.revision,
        object.get_mut("metadata").and_then(Value::as_object_mut),
    ) {
        metadata.insert("resourceVersion".into(), revision.into());
    }
    let path = clusters.place.path(present.name());
    let send = |path: String| {
        let mut request = api::request(Method::Patch, &path);
        request.content_type = Some("application/apply-patch+yaml".into());
        request
            .query
            .push(("fieldManager".into(), STATUS_MANAGER.into()));
        request.query.push(("force".into(), "true".into()));
        api::mark_dry_run(&mut request, dry_run);
        request.body = object.to_string().into_bytes();
        clusters.api.send(request)
    };
    let answer = match send(format!("{path}/status")).await {
        // A definition without the subresource keeps its status in the object.
        Err(error) if error.code == ErrorCode::NotFound => send(path).await,
        answer => answer,
    };
    match answer {
        Ok(value) => Ok(value),
        Err(error) if error.code == ErrorCode::Conflict => {
            let present = clusters.read(present.name()).await?;
            expect.check(&present)?;
            Err(error)
        }
        Err(error) => Err(refused(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_fields_tell_whose_a_condition_is() {
        let by = |manager: &str| {
            json!({"metadata": {"managedFields": [{"manager": manager,
                "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"OK\"}": {}}}}}]}})
        };
        assert!(is_of_others(&by("theirs"), "OK"));
        assert!(!is_of_others(&by("theirs"), "Ready"));
        assert!(!is_of_others(&by(STATUS_MANAGER), "OK"));
        assert!(!is_of_others(&json!({}), "OK"));
    }
}

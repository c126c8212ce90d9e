//! Objects of one cluster: applied, removed, looked at.

use optikon_plugin_sdk::{
    Error, ErrorCode, Method, Requester,
    api::{Api, mark_dry_run, request},
};
use serde_json::{Map, Value, json};

use crate::objects::Object;

/// In whose name Helm applies.
pub(crate) const MANAGER: &str = "helm";
/// How often a change of `managedFields` is tried against other writers.
const TRIES: usize = 5;

/// The object as it is now; none where there is none.
///
/// # Errors
/// What the server says.
pub(crate) async fn look<C: Requester>(
    cluster: &C,
    object: &Object,
) -> Result<Option<Value>, Error> {
    match Api(cluster).get(&object.path()).await {
        Ok(present) => Ok(Some(present)),
        Err(error) if error.code == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(of(object, error)),
    }
}

/// Server-side apply, strict about unknown fields. `force` takes fields that others own.
///
/// # Errors
/// `conflict` when others own fields; all with the object's name.
pub(crate) async fn apply<C: Requester>(
    cluster: &C,
    object: &Object,
    value: &Value,
    force: bool,
    dry_run: bool,
) -> Result<Value, Error> {
    let mut asked = request(Method::Patch, &object.path());
    asked.content_type = Some("application/apply-patch+yaml".to_owned());
    for (key, value) in [
        ("fieldManager", MANAGER),
        ("fieldValidation", "Strict"),
        ("force", if force { "true" } else { "false" }),
    ] {
        asked.query.push((key.to_owned(), value.to_owned()));
    }
    mark_dry_run(&mut asked, dry_run);
    asked.body = value.to_string().into_bytes();
    Api(cluster).send(asked).await.map_err(|e| of(object, e))
}

/// Removes an object of this uid, what depends on it in the background. Gone already is fine.
///
/// # Errors
/// What the server says, with the object's name.
pub(crate) async fn remove<C: Requester>(
    cluster: &C,
    object: &Object,
    present: &Value,
) -> Result<(), Error> {
    let mut asked = request(Method::Delete, &object.path());
    let uid = present
        .pointer("/metadata/uid")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
    });
    if let (false, Some(options)) = (uid.is_empty(), options.as_object_mut()) {
        options.insert("preconditions".into(), json!({ "uid": uid }));
    }
    asked.body = options.to_string().into_bytes();
    match Api(cluster).send(asked).await {
        // A conflict is a namesake: the object that was meant is gone.
        Err(error) if !matches!(error.code, ErrorCode::NotFound | ErrorCode::Conflict) => {
            Err(of(object, error))
        }
        _ => Ok(()),
    }
}

/// The error with the object that it is about.
pub(crate) fn of(object: &Object, mut error: Error) -> Error {
    error.message = format!("{}: {}", object.title(), error.message);
    error
}

/// Hands the fields that Helm set by update over to Helm's apply, once: without that a server-side apply would not
/// remove what the chart dropped, and would conflict with Helm itself. Returns whether anything had to be done.
///
/// # Errors
/// What the server says.
pub(crate) async fn migrate<C: Requester>(cluster: &C, object: &Object) -> Result<bool, Error> {
    for attempt in 0..TRIES {
        let Some(present) = look(cluster, object).await? else {
            return Ok(false);
        };
        let fields = present
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array);
        let Some(migrated) = fields.and_then(|fields| merged(fields, &object.api_version)) else {
            return Ok(false);
        };
        let version = present
            .pointer("/metadata/resourceVersion")
            .cloned()
            .unwrap_or_default();
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": migrated},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ]);
        let done = Api(cluster)
            .patch(
                &object.path(),
                optikon_plugin_sdk::api::Patch::Json,
                &patch,
                false,
            )
            .await;
        match done {
            Ok(_) => return Ok(true),
            Err(error) if error.code == ErrorCode::Conflict && attempt + 1 < TRIES => {}
            Err(error) => return Err(of(object, error)),
        }
    }
    Ok(false)
}

/// `managedFields` with Helm's updates as one apply; none where there are no updates of Helm.
fn merged(fields: &[Value], api_version: &str) -> Option<Vec<Value>> {
    let is = |entry: &Value, key: &str, wanted: &str| {
        entry.get(key).and_then(Value::as_str) == Some(wanted)
    };
    let is_whole = |entry: &Value| {
        entry
            .get("subresource")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .is_empty()
    };
    let is_update = |entry: &&Value| {
        is(entry, "manager", MANAGER) && is(entry, "operation", "Update") && is_whole(entry)
    };
    let is_apply = |entry: &&Value| {
        is(entry, "manager", MANAGER) && is(entry, "operation", "Apply") && is_whole(entry)
    };
    let update = fields.iter().find(is_update)?;
    let mut all = Map::new();
    for entry in fields.iter().filter(|e| is_update(e) || is_apply(e)) {
        if let Some(Value::Object(set)) = entry.get("fieldsV1") {
            union(&mut all, set);
        }
    }
    let mut apply = update.clone();
    if let Some(apply) = apply.as_object_mut() {
        apply.insert("operation".into(), "Apply".into());
        apply.insert("fieldsV1".into(), all.into());
        apply
            .entry("apiVersion")
            .or_insert_with(|| api_version.into());
    }
    let mut kept: Vec<Value> = fields
        .iter()
        .filter(|e| !is_update(e) && !is_apply(e))
        .cloned()
        .collect();
    kept.push(apply);
    Some(kept)
}

fn union(all: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        match (all.get_mut(key), value) {
            (Some(Value::Object(all)), Value::Object(more)) => union(all, more),
            (Some(_), _) => {}
            (None, value) => {
                all.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_set_by_update_becomes_part_of_its_apply() {
        let fields = [
            json!({"manager": "helm", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}}),
            json!({"manager": "helm", "operation": "Apply", "fieldsV1": {"f:data": {"f:b": {}}}}),
            json!({"manager": "helm", "operation": "Update", "subresource": "status", "fieldsV1": {}}),
            json!({"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:x": {}}}),
        ];
        let migrated = merged(&fields, "v1").unwrap();
        assert_eq!(migrated.len(), 3);
        assert_eq!(migrated[2]["operation"], "Apply");
        assert_eq!(
            migrated[2]["fieldsV1"],
            json!({"f:data": {"f:a": {}, "f:b": {}}})
        );
        assert_eq!(merged(&migrated, "v1"), None);
    }
}

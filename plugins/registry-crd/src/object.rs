//! Objects of the API server and objects of the contract.

use optikon_plugin_sdk::{Document, Error, log, registry::Object};
use serde_json::{Map, Value, json};

/// The contract's 1 MiB for an object, less what the API server's own bookkeeping may add.
const MAX_BYTES: usize = (1 << 20) - (32 << 10);
/// The contract's.
const MAX_READ_BYTES: usize = 1 << 20;
/// What the API server writes itself, so that a draft may not.
const SERVERS: [&str; 10] = [
    "uid",
    "creationTimestamp",
    "resourceVersion",
    "generation",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "namespace",
    "generateName",
];
/// What a client may change in `metadata`.
const CLIENTS: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// `metadata.resourceVersion`; `0` for an object that was only tried.
pub fn revision(document: &Document) -> String {
    let version = document.metadata("resourceVersion");
    let version = version.and_then(Value::as_str).unwrap_or_default();
    if version.is_empty() { "0" } else { version }.to_owned()
}

/// An answer of the API server as the contract wants it.
///
/// # Errors
/// `internal` when it is no object; `too-large` over the contract's 1 MiB.
pub fn from_value(value: Value) -> Result<Object, Error> {
    let document = Document::from_value(value)
        .map_err(|e| Error::internal(format!("the answer is no cluster: {}", e.message)))?;
    let json = document.to_json();
    if json.len() > MAX_READ_BYTES {
        return Err(Error::too_large(format!(
            "cluster \"{}\" takes {} bytes, the most is {MAX_READ_BYTES}: remove annotations",
            document.name(),
            json.len(),
        )));
    }
    Ok(Object {
        name: document.name().to_owned(),
        revision: revision(&document),
        json,
    })
}

/// One of many: what nobody can show is left out with a word in the log, and does not hide the others.
pub fn from_item(value: Value) -> Option<Object> {
    match from_value(value) {
        Ok(object) => Some(object),
        Err(error) => {
            log::warn!(
                "an object of the central cluster is left out: {}",
                error.message
            );
            None
        }
    }
}

/// What a client sent, as it is to be created.
///
/// # Errors
/// `too-large`.
pub fn draft(mut document: Document) -> Result<Value, Error> {
    for gone in SERVERS {
        document.set_metadata(gone, None);
    }
    document.fields().remove("status");
    check_size(&document)?;
    Ok(Value::Object(document.fields().clone()))
}

fn check_size(document: &Document) -> Result<(), Error> {
    let bytes = document.to_json().len();
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(Error::too_large(format!(
        "cluster \"{}\" takes {bytes} bytes, the most is {MAX_BYTES}: remove annotations",
        document.name(),
    )))
}

/// The JSON patch that makes `wanted` of `present` where a client may change it; empty when nothing differs. It names
/// everything that is wanted, not the differences, so that it replaces whatever is there when it arrives.
///
/// # Errors
/// `too-large`.
pub fn replacing(present: &Document, wanted: &Document) -> Result<Vec<Value>, Error> {
    check_size(wanted)?;
    let contents = |document: &Document| -> Map<String, Value> {
        let fields = document.object().iter();
        fields
            .filter(|(key, _)| {
                !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status")
            })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let (before, after) = (contents(present), contents(wanted));
    let is_same_metadata = CLIENTS
        .iter()
        .all(|key| filled(present.metadata(key)) == filled(wanted.metadata(key)));
    if is_same_metadata && before == after {
        return Ok(Vec::new());
    }
    let mut patch: Vec<Value> = Vec::new();
    for key in CLIENTS {
        match (filled(wanted.metadata(key)), filled(present.metadata(key))) {
            (Some(value), _) => patch.push(add(&format!("/metadata/{key}"), value)),
            (None, Some(present)) => {
                let empty = if present.is_array() {
                    json!([])
                } else {
                    json!({})
                };
                patch.push(add(&format!("/metadata/{key}"), &empty));
            }
            (None, None) => {}
        }
    }
    patch.extend(after.iter().map(|(key, value)| add(&pointer(key), value)));
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    patch.extend(gone.map(|key| json!({"op": "remove", "path": pointer(key)})));
    Ok(patch)
}

fn add(path: &str, value: &Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Nothing, null and empty are the same to an API server.
fn filled(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(value: Value) -> Document {
        Document::from_value(value).unwrap()
    }

    #[test]
    fn what_the_server_writes_is_no_difference() {
        let present = document(
            json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "7", "generation": 2,
            "managedFields": [{}], "labels": {"x": "1"}}, "spec": {"a": 1}, "status": {"conditions": []}}),
        );
        let wanted = document(
            json!({"metadata": {"name": "a", "uid": "1", "labels": {"x": "1"}, "annotations": {}},
            "spec": {"a": 1}, "status": {"conditions": [1]}}),
        );
        assert_eq!(replacing(&present, &wanted).unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn a_change_names_everything_that_is_wanted() {
        let present = document(
            json!({"metadata": {"name": "a", "labels": {"x": "1"}, "finalizers": ["f"]},
            "spec": {"a": 1}, "odd/key": 1}),
        );
        let wanted =
            document(json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"a": 2}}));
        let expected = json!([
            {"op": "add", "path": "/metadata/labels", "value": {"x": "1"}},
            {"op": "add", "path": "/metadata/finalizers", "value": []},
            {"op": "add", "path": "/spec", "value": {"a": 2}},
            {"op": "remove", "path": "/odd~1key"},
        ]);
        assert_eq!(
            Value::Array(replacing(&present, &wanted).unwrap()),
            expected
        );
    }

    #[test]
    fn a_draft_carries_nothing_that_is_the_servers() {
        let sent = document(
            json!({"metadata": {"name": "a", "uid": "forged", "resourceVersion": "9", "namespace": "x",
            "managedFields": [{"manager": "m"}], "labels": {"a": "b"}}, "spec": {}, "status": {"x": 1}}),
        );
        let expected = json!({"metadata": {"name": "a", "labels": {"a": "b"}}, "spec": {}});
        assert_eq!(draft(sent).unwrap(), expected);
    }
}

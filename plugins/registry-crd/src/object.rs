//! Objects of the API server and objects of the contract.

use optikon_plugin_sdk::{
    Document, Error,
    collection::{self, CLIENTS, check_sent, filled},
    registry::Object,
};
use serde_json::{Map, Value, json};

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
/// An answer of the API server as the contract wants it.
///
/// # Errors
/// `internal` when it is no object; `too-large` over the contract's 1 MiB.
pub fn from_value(value: Value) -> Result<Object, Error> {
    let document = Document::from_value(value)
        .map_err(|e| Error::internal(format!("the answer is no cluster: {}", e.message)))?;
    collection::object(&document)
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
    check_sent(&document)?;
    Ok(Value::Object(document.fields().clone()))
}

/// The JSON patch that makes `wanted` of `present` where a client may change it; empty when nothing differs. It names
/// everything that is wanted, not the differences, so that it replaces whatever is there when it arrives.
///
/// # Errors
/// `too-large`.
pub fn replacing(present: &Document, wanted: &Document) -> Result<Vec<Value>, Error> {
    check_sent(wanted)?;
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

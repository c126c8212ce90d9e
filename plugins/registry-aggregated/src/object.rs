//! Objects of a v0.0.3 server and objects of the contract.

use optikon_plugin_sdk::{
    Document, Error,
    collection::{self, CLIENTS, check_sent, filled},
    log,
    registry::Object,
};
use serde_json::{Map, Value, json};

use crate::{
    form::{self, REST},
    place::GROUP,
};

/// An answer of the server as the contract wants it: without what it always writes, and with what it could not store.
///
/// # Errors
/// `internal` when it is no object.
pub fn document(value: Value) -> Result<Document, Error> {
    let mut document = Document::from_value(value)
        .map_err(|e| Error::internal(format!("the answer is no cluster: {}", e.message)))?;
    document.set_metadata("selfLink", None);
    let rest = take_rest(&mut document);
    let fields = document.fields();
    // It can hold nothing.
    fields.remove("status");
    if let Some(Value::Object(spec)) = fields.get_mut("spec") {
        for key in ["cloudProvider", "authInfo", "kubernetesApiEndpoints"] {
            if let Some(Value::Object(part)) = spec.get_mut(key) {
                part.retain(|_, value| !value.is_null());
            }
            let is_nothing =
                |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
            if spec.get(key).is_some_and(is_nothing) {
                spec.remove(key);
            }
        }
    }
    if let Some(rest) = rest {
        let mut whole = Value::Object(std::mem::take(fields));
        form::together(&mut whole, rest);
        if let Value::Object(whole) = whole {
            *fields = whole;
        }
    }
    Ok(document)
}

fn take_rest(document: &mut Document) -> Option<Value> {
    let mut annotations = document.metadata("annotations")?.as_object()?.clone();
    let text = annotations.remove(REST)?;
    let left = (!annotations.is_empty()).then_some(Value::Object(annotations));
    document.set_metadata("annotations", left);
    let rest = serde_json::from_str::<Value>(text.as_str()?).ok();
    let mut rest = rest.filter(Value::is_object);
    match rest.as_mut().and_then(Value::as_object_mut) {
        Some(rest) => {
            // Somebody else may have written it: it adds to an object, and says nothing about what it is.
            for own in ["apiVersion", "kind", "metadata", "status"] {
                rest.remove(own);
            }
        }
        None => log::warn!(
            "the annotation with further fields is not readable";
            "cluster" = document.name(), "annotation" = REST
        ),
    }
    rest
}

/// An answer of the server as an object of the contract.
///
/// # Errors
/// `internal` when it is no object; `too-large` over the contract's 1 MiB.
pub fn from_value(value: Value) -> Result<Object, Error> {
    collection::object(&document(value)?)
}

/// What is to be sent for `wanted`: in place of `present` where there is one, whose metadata stay as far as they are the
/// server's.
///
/// # Errors
/// `invalid` with a field that v0.0.3 cannot take; `too-large`.
pub fn to_send(wanted: &Document, present: Option<&Document>) -> Result<Value, Error> {
    check_sent(wanted)?;
    let (spec, rest) = form::apart(wanted.object())?;
    let mut metadata: Map<String, Value> = present
        .and_then(|p| p.object().get("metadata")?.as_object().cloned())
        .unwrap_or_default();
    metadata.insert("name".into(), wanted.name().into());
    for key in CLIENTS {
        match filled(wanted.metadata(key)) {
            Some(value) => metadata.insert(key.into(), value.clone()),
            None => metadata.remove(key),
        };
    }
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    match (annotations.as_object_mut(), rest) {
        (Some(annotations), Some(rest)) => {
            annotations.insert(REST.into(), rest.into());
        }
        (Some(annotations), None) => {
            annotations.remove(REST);
        }
        (None, _) => return Err(Error::invalid("metadata.annotations", "must be an object")),
    }
    Ok(json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Cluster", "metadata": metadata, "spec": spec,
    }))
}

/// Whether a client would change nothing.
pub fn is_same(present: &Document, wanted: &Document) -> bool {
    let contents = |document: &Document| -> Map<String, Value> {
        let fields = document.object().iter();
        fields
            .filter(|(key, value)| {
                !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status")
                    && filled(Some(value)).is_some()
            })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    contents(present) == contents(wanted)
        && CLIENTS
            .iter()
            .all(|key| filled(present.metadata(key)) == filled(wanted.metadata(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_back() {
        let wanted = json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
            "metadata": {"name": "a", "labels": {"x": "1"}, "annotations": {"b": "c"}},
            "spec": {"authInfo": {"controller": {"kind": "Secret"}}}, "other": 1});
        let wanted = Document::from_value(wanted).unwrap();
        let mut sent = to_send(&wanted, None).unwrap();
        assert_eq!(sent["spec"], json!({}));
        // As the server writes it.
        sent["status"] = json!({});
        sent["spec"] = json!({"kubernetesApiEndpoints": {}, "authInfo": {"providers": null}, "cloudProvider": null});
        sent["metadata"]["selfLink"] = "/x".into();
        assert_eq!(document(sent).unwrap(), wanted);
    }

    #[test]
    fn a_rest_that_others_wrote_does_not_say_what_the_object_is() {
        let rest =
            json!({"metadata": {"uid": "forged"}, "kind": "Other", "spec": {"x": 1}}).to_string();
        let read = document(json!({"kind": "Cluster", "metadata": {"name": "a", "uid": "1", "annotations": {REST: rest}}})).unwrap();
        assert_eq!(read.uid(), "1");
        assert_eq!(read.object()["kind"], "Cluster");
        assert_eq!(read.object()["spec"]["x"], 1);
        let broken = json!({"metadata": {"name": "a", "annotations": {REST: "{"}}});
        assert_eq!(document(broken).unwrap().metadata("annotations"), None);
    }
}

//! The shapes of the original Optikon API (2018), over the same use-cases as everything else.
//!
//! A cluster's connection stands in annotations there: `APIServer`, and `Conf`, a whole kubeconfig, which is taken apart on
//! the way in and never comes out again. Keys of releases are capitalised

mod release;

use serde_json::{Map, Value, json};

use super::{
    kubeconfig,
    mirror::Entry,
    view::{self, Detail},
};
use crate::{
    error::{Error, Result},
    words::{GROUP_VERSION, KIND},
};

pub use release::release;

/// A kubeconfig; comes out empty.
const CONF: &str = "Conf";
/// The endpoint, with its scheme.
const SERVER: &str = "APIServer";
/// Computed, so never stored.
const COMPUTED: [&str; 2] = ["NumPods", "Health"];

/// A cluster as the original showed it: always with annotations, without `spec` and `status`.
pub fn cluster(entry: &Entry) -> Value {
    let object = Value::Object(view::object(entry, Detail::Row));
    let part = |pointer: &str| object.pointer(pointer).and_then(Value::as_object).cloned();
    let mut annotations = part("/metadata/annotations").unwrap_or_default();
    annotations.insert(CONF.into(), "".into());
    if let Some(pods) = part("/status/pods") {
        let count: u64 = pods.values().filter_map(Value::as_u64).sum();
        annotations.insert("NumPods".into(), count.to_string().into());
    }
    annotations.insert("Health".into(), health(&object).into());
    json!({
        "metadata": {
            "name": entry.cluster.name(),
            "labels": part("/metadata/labels").unwrap_or_default(),
            "annotations": annotations,
            "creationTimestamp": {},
            "deletionTimestamp": {},
            "finalizers": null,
            "ownerReferences": null,
        },
        "spec": {},
    })
}

fn health(object: &Value) -> &'static str {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|c| c.get("type").and_then(Value::as_str) == Some("Ready"));
    match ready.and_then(|c| c.get("status")).and_then(Value::as_str) {
        Some("True") => "Green",
        Some("False") => "Red",
        _ => "Yellow",
    }
}

/// The field of that name in any case, as Go reads it.
fn field<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = map.get(name);
    found.or_else(|| {
        let mut fields = map.iter();
        fields
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The object to register, from a body of the original. Only name, labels and annotations count there; of the connection
/// that a present cluster has, everything stays that the body does not replace.
///
/// # Errors
/// `Malformed` when the body is no object, `Invalid` for a `Conf` that is no kubeconfig.
pub fn draft(body: &Value, present: Option<&Entry>) -> Result<Value> {
    let Value::Object(body) = body else {
        return Err(Error::Malformed("the body is no JSON object".into()));
    };
    let empty = Map::new();
    let metadata = field(body, "metadata")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let name = field(metadata, "name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut annotations = match field(metadata, "annotations") {
        Some(Value::Object(annotations)) => annotations.clone(),
        Some(Value::Null) | None => Map::new(),
        Some(_) => {
            return Err(Error::invalid(
                "metadata.annotations",
                "must be a map of texts",
            ));
        }
    };
    annotations.retain(|key, _| !COMPUTED.contains(&key.as_str()));
    let text = |key: &str| {
        let text = annotations
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default();
        text.trim().to_owned()
    };
    let (conf, server) = (text(CONF), text(SERVER));
    let mut object = Map::from_iter([
        ("apiVersion".to_owned(), GROUP_VERSION.into()),
        ("kind".to_owned(), KIND.into()),
    ]);
    let mut spec = present
        .and_then(|entry| entry.cluster.object().get("spec").cloned())
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}));
    let mut address = server;
    let mut endpoints = Map::new();
    if !conf.is_empty() {
        let context = kubeconfig::parse(&conf)
            .and_then(|parsed| parsed.context(None))
            .map_err(|error| {
                Error::invalid(format!("metadata.annotations[{CONF}]"), error.to_string())
            })?;
        if address.is_empty() {
            address = context.server;
        }
        if let Some(ca) = context.ca {
            endpoints.insert("caBundle".into(), ca_bundle(&ca).into());
        }
        for (key, value) in [
            ("optikon.io/tls-server-name", context.tls_server_name),
            ("optikon.io/proxy-url", context.proxy_url),
        ] {
            if let Some(value) = value {
                annotations.insert(key.to_owned(), value.into());
            }
        }
        // The credential is in `Conf`; a reference to the old one would contradict it.
        if let Value::Object(spec) = &mut spec {
            spec.remove("authInfo");
        }
    } else if let Some(old) = spec.pointer("/kubernetesApiEndpoints/caBundle") {
        endpoints.insert("caBundle".into(), old.clone());
    }
    if !address.is_empty() {
        let server = json!({ "clientCIDR": "0.0.0.0/0", "serverAddress": address });
        endpoints.insert("serverEndpoints".into(), json!([server]));
        if let Value::Object(spec) = &mut spec {
            spec.insert("kubernetesApiEndpoints".into(), Value::Object(endpoints));
        }
    }
    let mut written = Map::from_iter([
        ("name".to_owned(), name.into()),
        ("annotations".to_owned(), Value::Object(annotations)),
    ]);
    if let Some(labels) = field(metadata, "labels").filter(|labels| !labels.is_null()) {
        written.insert("labels".into(), labels.clone());
    }
    object.insert("metadata".into(), Value::Object(written));
    object.insert("spec".into(), spec);
    Ok(Value::Object(object))
}

/// As the registry keeps it: base64 of PEM.
fn ca_bundle(pem: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_is_read_from_annotations() {
        let conf = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
                    clusters: [{name: k, cluster: {server: 'https://10.0.0.1:6443'}}]\nusers: [{name: u, user: {token: abc}}]\n";
        let body = json!({ "Metadata": {
            "Name": "edge-1",
            "Labels": { "Region": "Europe" },
            "annotations": { "Conf": conf, "APIServer": "", "Lat": "55", "NumPods": "16" },
        }, "spec": { "anything": 1 } });
        let object = draft(&body, None).unwrap();
        let server = object.pointer("/spec/kubernetesApiEndpoints/serverEndpoints/0/serverAddress");
        assert_eq!(server.unwrap(), "https://10.0.0.1:6443");
        assert_eq!(object["metadata"]["name"], "edge-1");
        assert_eq!(object["metadata"]["labels"]["Region"], "Europe");
        assert_eq!(object["metadata"]["annotations"]["Lat"], "55");
        assert!(object["metadata"]["annotations"].get("NumPods").is_none());
        assert!(object["spec"].get("anything").is_none());
    }

    #[test]
    fn a_conf_that_is_none_is_refused_before_anything_is_stored() {
        let body = json!({ "metadata": { "name": "a", "annotations": { "Conf": "{" } } });
        assert!(matches!(draft(&body, None), Err(Error::Invalid(_))));
        assert!(matches!(draft(&json!([]), None), Err(Error::Malformed(_))));
    }
}

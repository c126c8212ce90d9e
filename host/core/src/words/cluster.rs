//! A registered cluster: the Kubernetes-shaped object and what the host reads from it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ClusterName, Uid};
use crate::error::{Error, Result};

/// `apiVersion` of every cluster object.
pub const GROUP_VERSION: &str = "clusterregistry.k8s.io/v1alpha1";
/// `kind` of every cluster object.
pub const KIND: &str = "Cluster";

/// Levels of an object, within the 128 that the parser reads again.
const MAX_DEPTH: usize = 100;

/// One address of a cluster's API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Clients in this range prefer it; absent = everybody.
    pub client_cidr: Option<String>,
    /// `https://host[:port][/path]`, normalised.
    pub url: String,
}

/// A condition as Kubernetes writes it. States of a cluster share the texts that stay the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reachable`…
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// `True`, `False` or `Unknown`.
    pub status: Arc<str>,
    /// A typed reason; may be empty.
    #[serde(default)]
    pub reason: Arc<str>,
    /// One line for people.
    #[serde(default)]
    pub message: Arc<str>,
    /// RFC 3339; when a probe last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_time: Option<Arc<str>>,
    /// RFC 3339; when the status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Arc<str>>,
}

impl Condition {
    /// Kind, status and reason: not the message, which carries counts and times.
    pub fn state(&self) -> [&str; 3] {
        [&self.kind, &self.status, &self.reason]
    }
}

/// A cluster object: the whole JSON, unknown fields included, with a checked name. Shared and never changed.
///
/// It is kept as text: thousands of them lie in memory, and a tree takes five times as much.
#[derive(Clone)]
pub struct Cluster {
    name: ClusterName,
    kept: Arc<Kept>,
}

struct Kept {
    text: Box<str>,
    /// What lists select by, so that none of them parses every object.
    labels: Labels,
    /// The tree, while somebody holds it.
    tree: Mutex<Weak<Map<String, Value>>>,
}

/// Labels, sorted by key, in as little memory as they need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    fn new(labels: BTreeMap<String, String>) -> Self {
        let boxed = |(key, value): (String, String)| (key.into(), value.into());
        Self(labels.into_iter().map(boxed).collect())
    }

    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value.as_ref())
    }

    /// All of them.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let pairs = self.0.iter();
        pairs
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the object: other tools write tokens into theirs.
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        // Keys are sorted, so the same object is the same text.
        Arc::ptr_eq(&self.kept, &other.kept) || self.kept.text == other.kept.text
    }
}

impl Cluster {
    /// Takes an object as a registry plugin gave it.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no JSON object, nested too deeply, or `metadata.name` is no DNS-1123 subdomain.
    pub fn from_json(json: &str) -> Result<Self> {
        let object: Map<String, Value> = serde_json::from_str(json)
            .map_err(|e| Error::Malformed(format!("cluster object is no JSON object: {e}")))?;
        Self::from_object(object)
    }

    /// Takes a parsed object.
    ///
    /// # Errors
    /// As [`Cluster::from_json`].
    pub fn from_object(object: Map<String, Value>) -> Result<Self> {
        let metadata = object.get("metadata");
        let name = metadata
            .and_then(|m| m.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .parse()
            .map_err(|e| Error::Malformed(format!("metadata.name: {e}")))?;
        let labels = Labels::new(texts(metadata, "labels"));
        let object = Value::Object(object);
        if !is_within(&object, MAX_DEPTH) {
            let message = format!("the object is nested deeper than {MAX_DEPTH} levels");
            return Err(Error::Malformed(message));
        }
        let kept = Kept {
            text: object.to_string().into(),
            labels,
            tree: Mutex::default(),
        };
        Ok(Self {
            name,
            kept: Arc::new(kept),
        })
    }

    /// `metadata.name`.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The whole object. Parsed, unless somebody holds it already: hold it while several things are read.
    pub fn object(&self) -> Arc<Map<String, Value>> {
        let mut tree = self
            .kept
            .tree
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tree.upgrade().unwrap_or_else(|| {
            // Only an object within the parser's depth became this text.
            let parsed = serde_json::from_str(&self.kept.text).unwrap_or_default();
            let parsed = Arc::new(parsed);
            *tree = Arc::downgrade(&parsed);
            parsed
        })
    }

    /// The whole object, to be changed.
    pub fn into_object(self) -> Map<String, Value> {
        Arc::unwrap_or_clone(self.object())
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        self.kept.text.clone().into()
    }

    /// Whether a text of letters stands anywhere in it: a look that is cheaper than to parse it.
    pub fn mentions(&self, text: &str) -> bool {
        self.kept.text.contains(text)
    }

    fn metadata(&self, key: &str) -> Option<String> {
        let object = self.object();
        Some(object.get("metadata")?.get(key)?.as_str()?.to_owned())
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> Option<Uid> {
        self.metadata("uid")?.parse().ok()
    }

    /// `metadata.resourceVersion`, as whoever made the object wrote it.
    pub fn resource_version(&self) -> Option<String> {
        self.metadata("resourceVersion")
    }

    /// `metadata.labels`; values that are no text are left out.
    pub fn labels(&self) -> &Labels {
        &self.kept.labels
    }

    /// `metadata.annotations`; values that are no text are left out.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        texts(self.object().get("metadata"), "annotations")
    }

    /// One annotation.
    pub fn annotation(&self, key: &str) -> Option<String> {
        let object = self.object();
        let annotations = object.get("metadata")?.get("annotations")?;
        Some(annotations.get(key)?.as_str()?.to_owned())
    }

    /// Every usable server address, normalised to `https://…`, in the order of the object.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first address that is none.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let object = self.object();
        let endpoints = api_endpoints(&object).and_then(|e| e.get("serverEndpoints"));
        let Some(Value::Array(items)) = endpoints else {
            return Ok(Vec::new());
        };
        items
            .iter()
            .enumerate()
            .map(|(i, item)| {
                let field =
                    format!("spec.kubernetesApiEndpoints.serverEndpoints[{i}].serverAddress");
                let address = item
                    .get("serverAddress")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let url = crate::flows::address::normalise(address)
                    .map_err(|message| Error::invalid(field, message))?;
                let client_cidr = item
                    .get("clientCIDR")
                    .and_then(Value::as_str)
                    .filter(|c| !c.is_empty());
                Ok(Endpoint {
                    client_cidr: client_cidr.map(str::to_owned),
                    url,
                })
            })
            .collect()
    }

    /// The CA bundle as PEM; absent = the system's roots.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `caBundle` is not base64 of text.
    pub fn ca(&self) -> Result<Option<String>> {
        let object = self.object();
        let text = api_endpoints(&object)
            .and_then(|e| e.get("caBundle"))
            .and_then(Value::as_str);
        let Some(text) = text.filter(|t| !t.is_empty()) else {
            return Ok(None);
        };
        let field = "spec.kubernetesApiEndpoints.caBundle";
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| Error::invalid(field, "must be base64 of a PEM bundle"))?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| Error::invalid(field, "must be base64 of a PEM bundle"))
    }
}

fn is_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(fields) => levels > 0 && fields.values().all(|v| is_within(v, levels - 1)),
        Value::Array(items) => levels > 0 && items.iter().all(|v| is_within(v, levels - 1)),
        _ => true,
    }
}

fn api_endpoints(object: &Map<String, Value>) -> Option<&Value> {
    object.get("spec")?.get("kubernetesApiEndpoints")
}

fn texts(metadata: Option<&Value>, key: &str) -> BTreeMap<String, String> {
    let Some(Value::Object(map)) = metadata.and_then(|m| m.get(key)) else {
        return BTreeMap::new();
    };
    map.iter()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_the_host_needs_and_keeps_the_rest() {
        let json = r#"{"kind":"Cluster","apiVersion":"clusterregistry.k8s.io/v1alpha1",
            "metadata":{"name":"edge-1","uid":"u1","labels":{"a":"b"},"finalizers":["x"]},
            "spec":{"kubernetesApiEndpoints":{"serverEndpoints":[{"clientCIDR":"","serverAddress":"10.0.0.1:6443"}],
            "caBundle":"aGVsbG8="}},"unknown":{"kept":true}}"#;
        let cluster = Cluster::from_json(json).unwrap();
        assert_eq!(cluster.name().as_str(), "edge-1");
        assert_eq!(cluster.uid().unwrap().as_str(), "u1");
        assert_eq!(
            cluster.endpoints().unwrap(),
            [Endpoint {
                client_cidr: None,
                url: "https://10.0.0.1:6443".into()
            }]
        );
        assert_eq!(cluster.ca().unwrap().as_deref(), Some("hello"));
        let back: Value = serde_json::from_str(&cluster.to_json()).unwrap();
        assert_eq!(back, serde_json::from_str::<Value>(json).unwrap());
        assert_eq!(cluster, Cluster::from_json(&back.to_string()).unwrap());
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let nested = |levels: usize| {
            let inner = (0..levels).fold(json!(1), |inner, _| json!([inner]));
            let object = json!({"metadata": {"name": "edge-1"}, "spec": inner});
            Cluster::from_object(object.as_object().cloned().unwrap())
        };
        let deep = nested(MAX_DEPTH - 1).unwrap();
        assert!(deep.object().contains_key("spec"));
        let error = nested(MAX_DEPTH).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }

    #[test]
    fn a_foreign_token_is_not_in_what_is_logged() {
        let json = r#"{"metadata":{"name":"edge-1"},"spec":{"authInfo":{"providers":[{"config":{"token":"s3cret"}}]}}}"#;
        let cluster = Cluster::from_json(json).unwrap();
        assert!(!format!("{cluster:?}").contains("s3cret"));
    }

    #[test]
    fn who_holds_the_tree_shares_it() {
        let cluster = Cluster::from_json(r#"{"metadata":{"name":"edge-1"}}"#).unwrap();
        let (held, other) = (cluster.object(), cluster.clone());
        assert!(Arc::ptr_eq(&held, &other.object()));
        drop(held);
        assert_eq!(other.kept.tree.lock().unwrap().strong_count(), 0);
    }
}

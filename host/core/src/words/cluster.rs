//! A registered cluster: the Kubernetes-shaped object and what the host reads from it.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ClusterName, Uid};
use crate::error::{Error, Result};

/// `apiVersion` of every cluster object.
pub const GROUP_VERSION: &str = "clusterregistry.k8s.io/v1alpha1";
/// `kind` of every cluster object.
pub const KIND: &str = "Cluster";

/// One address of a cluster's API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Clients in this range prefer it; absent = everybody.
    pub client_cidr: Option<String>,
    /// `https://host[:port][/path]`, normalised.
    pub url: String,
}

/// A condition as Kubernetes writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reachable`…
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A typed reason; may be empty.
    #[serde(default)]
    pub reason: String,
    /// One line for people.
    #[serde(default)]
    pub message: String,
    /// RFC 3339; when a probe last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_time: Option<String>,
    /// RFC 3339; when the status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
}

/// A cluster object: the whole JSON, unknown fields included, with a checked name.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    name: ClusterName,
    /// Shared: the mirror keeps thousands of states in which only the status differs.
    object: Arc<Map<String, Value>>,
}

impl Cluster {
    /// Takes an object as a registry plugin gave it.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is no JSON object or `metadata.name` is no DNS-1123 subdomain.
    pub fn from_json(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json)
            .map_err(|e| Error::Malformed(format!("cluster object is not JSON: {e}")))?;
        match value {
            Value::Object(object) => Self::from_object(object),
            _ => Err(Error::Malformed(
                "cluster object is not a JSON object".into(),
            )),
        }
    }

    /// Takes a parsed object.
    ///
    /// # Errors
    /// As [`Cluster::from_json`].
    pub fn from_object(object: Map<String, Value>) -> Result<Self> {
        let name = object
            .get("metadata")
            .and_then(|m| m.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .parse()
            .map_err(|e| Error::Malformed(format!("metadata.name: {e}")))?;
        Ok(Self {
            name,
            object: Arc::new(object),
        })
    }

    /// `metadata.name`.
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// The whole object.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// The whole object, to be changed; the name must stay.
    pub fn object_mut(&mut self) -> &mut Map<String, Value> {
        Arc::make_mut(&mut self.object)
    }

    /// The whole object as a value.
    pub fn into_object(self) -> Map<String, Value> {
        Arc::unwrap_or_clone(self.object)
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        Value::Object(self.object.as_ref().clone()).to_string()
    }

    fn metadata(&self, key: &str) -> Option<&Value> {
        self.object.get("metadata")?.get(key)
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> Option<Uid> {
        self.metadata("uid")?.as_str()?.parse().ok()
    }

    /// `metadata.resourceVersion`, as whoever made the object wrote it.
    pub fn resource_version(&self) -> Option<&str> {
        self.metadata("resourceVersion")?.as_str()
    }

    /// `metadata.labels`; values that are no text are left out.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.texts("labels")
    }

    /// `metadata.annotations`; values that are no text are left out.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.texts("annotations")
    }

    fn texts(&self, key: &str) -> BTreeMap<String, String> {
        let Some(Value::Object(map)) = self.metadata(key) else {
            return BTreeMap::new();
        };
        map.iter()
            .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
            .collect()
    }

    /// One annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata("annotations")?.get(key)?.as_str()
    }

    fn api_endpoints(&self) -> Option<&Value> {
        self.object.get("spec")?.get("kubernetesApiEndpoints")
    }

    /// Every usable server address, normalised to `https://…`, in the order of the object.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first address that is none.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let Some(Value::Array(items)) = self.api_endpoints().and_then(|e| e.get("serverEndpoints"))
        else {
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
        let text = self
            .api_endpoints()
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

#[cfg(test)]
mod tests {
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
    }
}

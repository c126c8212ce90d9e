//! A fake that keeps objects: enough of an API server for releases on hundreds of members.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Answer;

/// Kinds that it serves: group and version, kind, plural, whether in a namespace.
const SERVED: [(&str, &str, &str, bool); 8] = [
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Namespace", "namespaces", false),
    ("v1", "Pod", "pods", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("v1", "ServiceAccount", "serviceaccounts", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("batch/v1", "Job", "jobs", true),
];

/// The objects of one fake, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects {
    kept: BTreeMap<String, Value>,
    version: u64,
}

fn merge(old: &mut Value, new: Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                merge(old.entry(key).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new,
    }
}

impl Objects {
    /// The answer to a request; none where this is nothing for objects.
    pub(super) fn answer(&mut self, method: &str, target: &str, body: &[u8]) -> Option<Answer> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == "/api" || path == "/apis" {
            return Some(discovery(path));
        }
        let (group, rest) = SERVED.iter().find_map(|(version, ..)| {
            let root = if version.contains('/') {
                format!("/apis/{version}/")
            } else {
                format!("/api/{version}/")
            };
            Some((*version, path.strip_prefix(&root)?))
        })?;
        let parts: Vec<&str> = rest.split('/').collect();
        let (plural, name) = match parts.as_slice() {
            ["namespaces", _, plural] => (*plural, None),
            ["namespaces", _, plural, name] => (*plural, Some(*name)),
            [plural] => (*plural, None),
            [plural, name] => (*plural, Some(*name)),
            _ => return None,
        };
        let (_, kind, ..) = SERVED
            .iter()
            .find(|(version, _, known, _)| *version == group && *known == plural)?;
        let is_dry = query.split('&').any(|pair| pair == "dryRun=All");
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, name) {
            ("GET", Some(_)) => match self.kept.get(path) {
                Some(found) => Some(Answer::json(200, found)),
                // What was scripted stays: the namespace that is the cluster's identity.
                None => (path != "/api/v1/namespaces/kube-system").then(missing),
            },
            // Nodes, pods and the like stay as they were scripted, as long as nothing is kept there.
            ("GET", None) => self.list(path, plural, kind, query),
            ("POST", None) => {
                let name = sent.pointer("/metadata/name").and_then(Value::as_str)?;
                let path = format!("{path}/{name}");
                Some(if self.kept.contains_key(&path) {
                    Answer::failure(409, "AlreadyExists")
                } else {
                    self.keep(&path, sent, 201, is_dry)
                })
            }
            ("PUT", Some(_)) => {
                let version = |value: &Value| value.pointer("/metadata/resourceVersion").cloned();
                Some(match self.kept.get(path) {
                    None => missing(),
                    Some(kept) if version(&sent).is_some() && version(&sent) != version(kept) => {
                        Answer::failure(409, "Conflict")
                    }
                    Some(_) => self.keep(path, sent, 200, is_dry),
                })
            }
            ("PATCH", Some(_)) => {
                let mut object = self.kept.get(path).cloned().unwrap_or_else(|| json!({}));
                merge(&mut object, sent);
                Some(self.keep(path, object, 200, is_dry))
            }
            ("DELETE", Some(_)) => Some(match self.kept.remove(path) {
                Some(gone) => Answer::json(200, &gone),
                None => missing(),
            }),
            _ => Some(Answer::failure(405, "MethodNotAllowed")),
        }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = String> + '_ {
        self.kept.keys().cloned()
    }

    pub(super) fn at(&self, path: &str) -> Option<Value> {
        self.kept.get(path).cloned()
    }

    fn keep(&mut self, path: &str, mut object: Value, status: u16, is_dry: bool) -> Answer {
        self.version += 1;
        let version = self.version.to_string();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".into(), version.as_str().into());
            let uid = format!("uid-{version}");
            metadata.entry("uid").or_insert_with(|| uid.into());
            metadata
                .entry("creationTimestamp")
                .or_insert_with(|| "2026-01-01T00:00:00Z".into());
        }
        if !is_dry {
            self.kept.insert(path.to_owned(), object.clone());
        }
        Answer::json(status, &object)
    }

    fn list(&self, path: &str, plural: &str, kind: &str, query: &str) -> Option<Answer> {
        let selector = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("labelSelector="));
        let selector = selector.map(|s| s.replace("%3D", "=").replace("%2C", ","));
        let wanted: Vec<(&str, &str)> = selector
            .iter()
            .flat_map(|s| s.split(','))
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let is_below = |key: &str| {
            let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
            let is_all = path.rsplit_once('/').is_some_and(|(root, _)| {
                key.starts_with(&format!("{root}/namespaces/"))
                    && folder.ends_with(&format!("/{plural}"))
            });
            folder == path || (!path.contains("/namespaces/") && is_all)
        };
        let fits = |object: &Value| {
            wanted
                .iter()
                .all(|(key, value)| object["metadata"]["labels"][key] == **value)
        };
        let items: Vec<&Value> = self
            .kept
            .iter()
            .filter(|(key, object)| is_below(key) && fits(object))
            .map(|(_, object)| object)
            .collect();
        if items.is_empty() && wanted.is_empty() {
            return None;
        }
        Some(Answer::json(
            200,
            &json!({
                "kind": format!("{kind}List"), "apiVersion": "v1",
                "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
            }),
        ))
    }
}

fn missing() -> Answer {
    Answer::failure(404, "NotFound")
}

fn discovery(path: &str) -> Answer {
    let mut groups: Map<String, Value> = Map::new();
    for (version, kind, plural, is_namespaced) in SERVED {
        let (group, word) = version.rsplit_once('/').unwrap_or(("", version));
        if group.is_empty() != (path == "/api") {
            continue;
        }
        let resource = json!({
            "resource": plural, "responseKind": {"group": group, "version": word, "kind": kind},
            "scope": if is_namespaced { "Namespaced" } else { "Cluster" },
            "verbs": ["get", "list", "create", "update", "patch", "delete"],
        });
        let group = groups.entry(group).or_insert_with(|| {
            json!({"metadata": {"name": group}, "versions": [{"version": word, "resources": []}]})
        });
        if let Some(resources) = group["versions"][0]["resources"].as_array_mut() {
            resources.push(resource);
        }
    }
    let body = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "items": groups.into_values().collect::<Vec<_>>(),
    });
    let media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    Answer::bytes(200, media, body.to_string().into_bytes())
}

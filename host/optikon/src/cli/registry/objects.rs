//! What a central cluster needs to hold the registry. Kubernetes objects, complete, in the order in which they are applied.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// The custom resource definition that `setup` installs.
const DEFINITION: &str = include_str!("crd.yaml");
/// What is ours says so, and only that is taken away again.
const OURS: (&str, &str) = ("app.kubernetes.io/managed-by", "optikon");
/// The group of clusters.
pub(super) const GROUP: &str = "clusterregistry.k8s.io";
/// The gateway's account.
pub(super) const ACCOUNT: &str = "optikon-gateway";

/// Where an aggregated API server is.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) port: u16,
}

impl std::str::FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(namespace, rest)| {
            let (name, port) = rest.split_once(':')?;
            let is_name = |n: &str| !n.is_empty() && !n.contains('/');
            (is_name(namespace) && is_name(name)).then_some((namespace, name, port))
        });
        let (namespace, name, port) = parts.ok_or("is not NAMESPACE/NAME:PORT")?;
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port: port.parse().map_err(|_| "has no port after the colon")?,
        })
    }
}

fn with_label(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("labels".into(), json!({ OURS.0: OURS.1 }));
    }
    object
}

/// Whether an object that is there was set up by this command.
pub(super) fn is_ours(object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels");
    labels
        .and_then(|l| l.get(OURS.0))
        .is_some_and(|v| v == OURS.1)
}

/// The definition of clusters.
///
/// # Errors
/// Never, unless the file that is built in is broken.
pub(super) fn definition() -> Result<Value> {
    let object: Value = serde_saphyr::from_str(DEFINITION)
        .map_err(|_| anyhow::anyhow!("the definition that is built in is no YAML"))?;
    Ok(with_label(object))
}

/// An aggregated API server's registration; `ca` is PEM.
pub(super) fn api_service(service: &Service, ca: &str) -> Value {
    with_label(json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": format!("v1alpha1.{GROUP}")},
        "spec": {
            "group": GROUP,
            "version": "v1alpha1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "caBundle": STANDARD.encode(ca),
            "service": {"namespace": service.namespace, "name": service.name, "port": service.port},
        },
    }))
}

/// Namespace and account of the gateway.
pub(super) fn account(namespace: &str) -> Vec<Value> {
    let made = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": namespace}}),
    ];
    made.map(with_label).into()
}

/// What the gateway may do there: clusters and their status, in the one namespace where they live in namespaces.
pub(super) fn rights(namespace: &str, is_namespaced: bool, secrets: Secrets) -> Vec<Value> {
    let rules = json!([
        {"apiGroups": [GROUP], "resources": ["clusters"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
        {"apiGroups": [GROUP], "resources": ["clusters/status"], "verbs": ["get", "update", "patch"]},
    ]);
    let prefix = if is_namespaced { "" } else { "Cluster" };
    let version = "rbac.authorization.k8s.io/v1";
    let mut role = json!({"apiVersion": version, "kind": format!("{prefix}Role"),
        "metadata": {"name": ACCOUNT}, "rules": rules});
    let mut binding = json!({
        "apiVersion": version,
        "kind": format!("{prefix}RoleBinding"),
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": format!("{prefix}Role"), "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    });
    if is_namespaced {
        for object in [&mut role, &mut binding] {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("namespace".into(), namespace.into());
            }
        }
    }
    let mut made = vec![with_label(role), with_label(binding)];
    made.extend(self::secrets(namespace, secrets));
    made
}

/// What the gateway may do with Secrets of the one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    None,
    /// By name.
    Read,
    /// Those of its vault: also listed, to find what a crash left behind.
    Keep,
}

fn secrets(namespace: &str, secrets: Secrets) -> Vec<Value> {
    let verbs = match secrets {
        Secrets::None => return Vec::new(),
        Secrets::Read => json!(["get"]),
        Secrets::Keep => json!(["get", "list", "create", "patch", "delete"]),
    };
    let version = "rbac.authorization.k8s.io/v1";
    let name = format!("{ACCOUNT}-secrets");
    let made = [
        json!({"apiVersion": version, "kind": "Role", "metadata": {"name": name, "namespace": namespace},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]}),
        json!({"apiVersion": version, "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]}),
    ];
    made.map(with_label).into()
}

/// A kubeconfig with the account's token and nothing of the user's.
///
/// # Errors
/// When there is no token in the answer.
pub(super) fn kubeconfig(server: &str, ca: Option<&str>, reply: &Value) -> Result<Value> {
    let token = reply.pointer("/status/token").and_then(Value::as_str);
    let token = token.context("the API server answered a token request without a token")?;
    let mut cluster = json!({"server": server});
    if let (Some(ca), Some(fields)) = (ca, cluster.as_object_mut()) {
        let data = STANDARD.encode(ca);
        fields.insert("certificate-authority-data".into(), data.into());
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "central",
        "clusters": [{"name": "central", "cluster": cluster}],
        "contexts": [{"name": "central", "context": {"cluster": "central", "user": ACCOUNT}}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_name_one_resource_and_no_secrets() {
        for is_namespaced in [true, false] {
            let text = Value::Array(rights("optikon", is_namespaced, Secrets::None)).to_string();
            assert!(!text.contains("secrets") && !text.contains('*'), "{text}");
            assert_eq!(text.contains("ClusterRole\""), !is_namespaced, "{text}");
        }
    }

    #[test]
    fn the_definition_is_whole() {
        let object = definition().unwrap();
        assert_eq!(
            object["metadata"]["name"],
            "clusters.clusterregistry.k8s.io"
        );
        assert!(is_ours(&object));
    }

    #[test]
    fn a_service_is_namespace_name_and_port() {
        let service: Service = "kube-system/registry:443".parse().unwrap();
        assert_eq!(
            (service.namespace.as_str(), service.port),
            ("kube-system", 443)
        );
        for bad in ["registry:443", "a/b", "a/b:x", "/b:1", "a/:1"] {
            assert!(bad.parse::<Service>().is_err(), "{bad}");
        }
    }
}

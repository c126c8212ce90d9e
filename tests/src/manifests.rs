//! Objects that suites create, as JSON.

use serde_json::{Value, json};

/// The image of every pod. Nothing pulls it: kwok only says that it runs.
const IMAGE: &str = "registry.example/app:1";

/// A node as kwok takes it over.
#[must_use]
pub fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    })
}

/// A namespace.
#[must_use]
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn pod_spec() -> Value {
    json!({"containers": [{"name": "app", "image": IMAGE}]})
}

fn template(name: &str) -> Value {
    json!({"metadata": {"labels": {"app": name}}, "spec": pod_spec()})
}

/// A pod bound to a node, which needs no scheduler.
#[must_use]
pub fn pod(namespace: &str, name: &str, node: &str) -> Value {
    let mut spec = pod_spec();
    spec["nodeName"] = node.into();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": spec,
    })
}

/// A Deployment.
#[must_use]
pub fn deployment(namespace: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
        },
    })
}

/// A StatefulSet.
#[must_use]
pub fn stateful_set(namespace: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name),
        },
    })
}

/// A DaemonSet.
#[must_use]
pub fn daemon_set(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(name)},
    })
}

fn job_spec(name: &str) -> Value {
    let mut template = template(name);
    template["spec"]["restartPolicy"] = "Never".into();
    json!({"backoffLimit": 0, "template": template})
}

/// A Job; kwok completes its pod.
#[must_use]
pub fn job(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": job_spec(name),
    })
}

/// A CronJob that runs at a time that no test reaches.
#[must_use]
pub fn cron_job(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"schedule": "0 0 29 2 *", "jobTemplate": {"spec": job_spec(name)}},
    })
}

/// One of each kind of workload in the namespace.
#[must_use]
pub fn one_of_each(namespace: &str) -> Vec<Value> {
    vec![
        deployment(namespace, "web", 3),
        stateful_set(namespace, "db", 2),
        daemon_set(namespace, "agent"),
        job(namespace, "once"),
        cron_job(namespace, "yearly"),
    ]
}

/// The collection an object is created in, for the kinds above and a few more.
#[must_use]
pub fn collection(object: &Value) -> Option<String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let version = text("/apiVersion")?;
    let plural = match text("/kind")? {
        "Node" => "nodes",
        "Namespace" => "namespaces",
        "Pod" => "pods",
        "Service" => "services",
        "ServiceAccount" => "serviceaccounts",
        "Secret" => "secrets",
        "ConfigMap" => "configmaps",
        "Deployment" => "deployments",
        "StatefulSet" => "statefulsets",
        "DaemonSet" => "daemonsets",
        "ReplicaSet" => "replicasets",
        "Job" => "jobs",
        "CronJob" => "cronjobs",
        "Role" => "roles",
        "RoleBinding" => "rolebindings",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "CustomResourceDefinition" => "customresourcedefinitions",
        "APIService" => "apiservices",
        _ => return None,
    };
    let group = if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    };
    Some(match text("/metadata/namespace") {
        Some(namespace) => format!("{group}/namespaces/{namespace}/{plural}"),
        None => format!("{group}/{plural}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_know_their_collection() {
        assert_eq!(collection(&node("n")).unwrap(), "/api/v1/nodes");
        assert_eq!(
            collection(&deployment("a", "b", 1)).unwrap(),
            "/apis/apps/v1/namespaces/a/deployments"
        );
        assert_eq!(
            collection(&json!({"apiVersion": "v1", "kind": "What"})),
            None
        );
    }
}

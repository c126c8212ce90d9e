//! `optikon cluster export`: registered clusters in the words of others. Credentials are never among them: they do not leave
//! the gateway.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{
    client::{Client, segment},
    output::{say, warn},
};

/// `optikon cluster export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The form to write.
    #[arg(long, value_enum, default_value = "crd")]
    to: Form,
    /// Their names. Default: all that the selector selects.
    names: Vec<String>,
    /// Labels in Kubernetes' grammar.
    #[arg(long, short = 'l', value_name = "SELECTOR", default_value = "")]
    selector: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Custom resources of the cluster registry v0.0.6.
    Crd,
    /// Objects of the aggregated API server v0.0.3.
    Aggregated,
    /// One kubeconfig with a context a cluster, without credentials.
    Kubeconfig,
    /// ClusterProfiles of multicluster.x-k8s.io.
    Clusterprofile,
}

/// Prints YAML; what could not be carried goes to stderr, an object a line.
pub(crate) async fn run(client: &Client, args: &ExportArgs) -> Result<ExitCode> {
    let probe = ("probe", "cached".to_owned());
    let mut clusters = Vec::new();
    if args.names.is_empty() {
        let query = [("labelSelector", args.selector.clone()), probe];
        let list = client.get("/cluster", &query).await?;
        clusters.extend(
            list.get("items")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        );
    } else if args.selector.is_empty() {
        for name in &args.names {
            let path = format!("/cluster/{}", segment(name));
            clusters.push(client.get(&path, std::slice::from_ref(&probe)).await?);
        }
    } else {
        bail!("give names or a selector, not both");
    }
    let mut documents = Vec::new();
    for cluster in &clusters {
        let (document, losses) = exported(args.to, cluster);
        for loss in losses {
            warn(format_args!(
                "{}: not carried: {loss}",
                text(cluster, "/metadata/name")
            ));
        }
        documents.push(document);
    }
    if args.to == Form::Kubeconfig {
        documents = vec![kubeconfig(&documents)];
    }
    for document in documents {
        say("---");
        say(serde_saphyr::to_string(&document)?.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn exported(form: Form, cluster: &Value) -> (Value, Vec<String>) {
    let has_credential = cluster
        .pointer("/spec/authInfo")
        .is_some_and(|auth| auth.to_string().contains("Optikon"));
    let mut losses = Vec::new();
    if has_credential {
        losses.push("the credential: it stays in the gateway".to_owned());
    }
    let document = match form {
        Form::Crd => object(cluster, json!({})),
        Form::Aggregated => {
            if !is_1035(text(cluster, "/metadata/name")) {
                losses.push("the name: this form takes labels that begin with a letter".to_owned());
            }
            object(cluster, json!({"providers": null}))
        }
        Form::Kubeconfig => entry(cluster),
        Form::Clusterprofile => profile(cluster),
    };
    (document, losses)
}

fn is_1035(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('.')
}

/// What people wrote, and nothing that a server did.
fn object(cluster: &Value, auth: Value) -> Value {
    let mut metadata = Map::new();
    for key in ["name", "labels", "annotations"] {
        if let Some(value) = cluster.pointer(&format!("/metadata/{key}")) {
            metadata.insert(key.into(), value.clone());
        }
    }
    let mut spec = cluster.get("spec").cloned().unwrap_or_else(|| json!({}));
    if let Value::Object(spec) = &mut spec {
        spec.insert("authInfo".into(), auth);
    }
    json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster", "metadata": metadata, "spec": spec})
}

/// `clusters[].cluster` of a kubeconfig.
fn reached(cluster: &Value) -> Value {
    let endpoints = "/spec/kubernetesApiEndpoints";
    let address = text(
        cluster,
        &format!("{endpoints}/serverEndpoints/0/serverAddress"),
    );
    let server = if address.starts_with("https://") {
        address.to_owned()
    } else {
        format!("https://{address}")
    };
    let mut fields = json!({ "server": server });
    let mut put = |key: &str, value: &str| {
        if let (false, Some(fields)) = (value.is_empty(), fields.as_object_mut()) {
            fields.insert(key.to_owned(), value.into());
        }
    };
    put(
        "certificate-authority-data",
        text(cluster, &format!("{endpoints}/caBundle")),
    );
    put(
        "tls-server-name",
        text(cluster, "/metadata/annotations/optikon.io~1tls-server-name"),
    );
    put(
        "proxy-url",
        text(cluster, "/metadata/annotations/optikon.io~1proxy-url"),
    );
    fields
}

fn entry(cluster: &Value) -> Value {
    json!({"name": text(cluster, "/metadata/name"), "cluster": reached(cluster)})
}

fn kubeconfig(entries: &[Value]) -> Value {
    let contexts: Vec<Value> = entries
        .iter()
        .map(|entry| json!({"name": entry["name"], "context": {"cluster": entry["name"], "user": ""}}))
        .collect();
    json!({"apiVersion": "v1", "kind": "Config", "clusters": entries, "contexts": contexts, "users": []})
}

fn profile(cluster: &Value) -> Value {
    let annotation =
        |key: &str| text(cluster, &format!("/metadata/annotations/optikon.io~1{key}")).to_owned();
    let name = text(cluster, "/metadata/name");
    let display = Some(annotation("display-name")).filter(|t| !t.is_empty());
    let properties: Value =
        serde_json::from_str(&annotation("properties")).unwrap_or_else(|_| json!([]));
    let mut made = json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1",
        "kind": "ClusterProfile",
        "metadata": {"name": name, "labels": {"x-k8s.io/cluster-manager": "optikon"}},
        "spec": {"displayName": display.unwrap_or_else(|| name.to_owned()), "clusterManager": {"name": "optikon"}},
        "status": {"properties": properties, "accessProviders": [{"name": "optikon", "cluster": reached(cluster)}]},
    });
    let version = text(cluster, "/status/kubernetes/version");
    if let (false, Some(status)) = (
        version.is_empty(),
        made.pointer_mut("/status").and_then(Value::as_object_mut),
    ) {
        status.insert("version".into(), json!({"kubernetes": version}));
    }
    let labels = cluster
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    if let (Some(labels), Some(own)) = (
        labels,
        made.pointer_mut("/metadata/labels")
            .and_then(Value::as_object_mut),
    ) {
        for (key, value) in labels {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Value {
        json!({
            "metadata": {"name": "edge-1", "uid": "u", "resourceVersion": "7", "labels": {"env": "prod"},
                "annotations": {"optikon.io/display-name": "Edge One", "optikon.io/proxy-url": "http://p:3128"}},
            "spec": {
                "kubernetesApiEndpoints": {"caBundle": "Y2E=", "serverEndpoints": [{"serverAddress": "10.0.0.1:6443"}]},
                "authInfo": {"controller": {"kind": "OptikonCredential", "name": "<masked>"}},
            },
            "status": {"kubernetes": {"version": "v1.37.2"}},
        })
    }

    #[test]
    fn what_a_server_wrote_and_the_credential_stay_behind() {
        let (made, losses) = exported(Form::Crd, &cluster());
        assert_eq!(losses.len(), 1);
        assert!(made.get("status").is_none() && made["metadata"].get("uid").is_none());
        assert_eq!(made["spec"]["authInfo"], json!({}));
        assert_eq!(made["spec"]["kubernetesApiEndpoints"]["caBundle"], "Y2E=");
        let (made, _) = exported(Form::Aggregated, &cluster());
        assert_eq!(made["spec"]["authInfo"], json!({"providers": null}));
    }

    #[test]
    fn a_kubeconfig_has_a_context_for_each() {
        let made = kubeconfig(&[exported(Form::Kubeconfig, &cluster()).0]);
        assert_eq!(
            made["clusters"][0]["cluster"]["server"],
            "https://10.0.0.1:6443"
        );
        assert_eq!(made["clusters"][0]["cluster"]["proxy-url"], "http://p:3128");
        assert_eq!(made["contexts"][0]["name"], "edge-1");
    }

    #[test]
    fn a_profile_says_version_and_display_name() {
        let (made, _) = exported(Form::Clusterprofile, &cluster());
        assert_eq!(made["spec"]["displayName"], "Edge One");
        assert_eq!(made["status"]["version"]["kubernetes"], "v1.37.2");
        assert_eq!(made["metadata"]["labels"]["env"], "prod");
    }
}

//! Tiller, Helm 2's server in the cluster: a process outside, with a pod that stands for it and a port-forward to it.

use std::process::Command;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cluster::Place;
use crate::ports::{TRIES, listens, probably_free};
use crate::process::Process;
use crate::testbed::Testbed;

/// The port of every Tiller, inside its pod.
pub const PORT: u16 = 44134;

/// A running Tiller.
#[derive(Debug)]
pub(crate) struct Tiller {
    _process: Process,
    /// Where it listens on 127.0.0.1, without TLS.
    pub(crate) port: u16,
}

/// Starts one that acts on the cluster as its administrator.
pub(crate) async fn start(place: &Place) -> Result<Tiller> {
    start_with(place, None, &[]).await
}

/// The same on a port that is known already, with more arguments.
pub(crate) async fn start_with(
    place: &Place,
    fixed: Option<u16>,
    arguments: &[String],
) -> Result<Tiller> {
    let (program, _) = Testbed::tiller()?;
    let mut last = String::new();
    for _ in 0..TRIES {
        let probe = probably_free()?;
        let port = fixed.map_or_else(probably_free, Ok)?;
        let mut command = Command::new(&program);
        command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--probe-listen", &format!("127.0.0.1:{probe}")])
            .args(arguments)
            .env("KUBECONFIG", place.file("kubeconfig"))
            .env("HOME", place.folder());
        let process = Process::start("tiller", command, &place.file("tiller.log"))?;
        match listens(process, "Tiller's port", port).await {
            Ok(process) => {
                return Ok(Tiller {
                    _process: process,
                    port,
                });
            }
            Err(error) => last = format!("{error:#}"),
        }
    }
    bail!("start tiller: {last}");
}

/// Server and client check each other.
pub(crate) fn tls_arguments(place: &Place) -> Vec<String> {
    let key = |name: &str| place.key(name).display().to_string();
    [
        "--tls",
        "--tls-verify",
        "--tls-cert",
        &key("apiserver.crt"),
        "--tls-key",
        &key("apiserver.key"),
        "--tls-ca-cert",
        &key("ca.crt"),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The pod by which clients find it.
pub(crate) fn pod() -> Value {
    pod_on("tiller-deploy", "n0")
}

/// A pod like Tiller's of another name, on a node that need not exist.
#[must_use]
pub fn pod_on(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "kube-system",
            "labels": {"app": "helm", "name": "tiller"},
        },
        "spec": {
            "nodeName": node,
            "containers": [{
                "name": "tiller", "image": "registry.example/tiller:2.17.0",
                "ports": [{"containerPort": PORT}],
            }],
        },
    })
}

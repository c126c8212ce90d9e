//! Tiller, Helm 2's server in the cluster: a process outside, with a pod that stands for it and a port-forward to it.

use std::process::Command;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cluster::Place;
use crate::ports::{TRIES, listens, probably_free};
use crate::process::Process;
use crate::testbed::Testbed;

/// The port of every Tiller, inside its pod.
pub(crate) const PORT: u16 = 44134;

/// A running Tiller.
#[derive(Debug)]
pub(crate) struct Tiller {
    _process: Process,
    /// Where it listens on 127.0.0.1, without TLS.
    pub(crate) port: u16,
}

/// Starts one that acts on the cluster as its administrator.
pub(crate) async fn start(place: &Place) -> Result<Tiller> {
    let (program, _) = Testbed::tiller()?;
    let mut last = String::new();
    for _ in 0..TRIES {
        let (port, probe) = (probably_free()?, probably_free()?);
        let mut command = Command::new(&program);
        command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--probe-listen", &format!("127.0.0.1:{probe}")])
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

/// The pod by which clients find it.
pub(crate) fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "tiller-deploy", "namespace": "kube-system",
            "labels": {"app": "helm", "name": "tiller"},
        },
        "spec": {
            "nodeName": "n0",
            "containers": [{
                "name": "tiller", "image": "registry.example/tiller:2.17.0",
                "ports": [{"containerPort": PORT}],
            }],
        },
    })
}

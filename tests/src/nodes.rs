//! kwok in the place of nodes: makes them Ready, runs their pods in name only, and forwards ports.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cluster::Place;
use crate::ports::{TRIES, listens, probably_free};
use crate::process::Process;

/// kwok's own rules: nodes become and stay Ready, pods run, end and vanish.
const STAGES: &[&str] = &[
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
];

/// Ours: a bare pod that is a Helm hook would run for ever by the stock rules, and `helm test` wait as long.
const HOOKS: &str = "\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: helm-hook-complete
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Running]}
    - {key: '.metadata.annotations[\"helm.sh/hook\"]', operator: Exists}
  next:
    statusTemplate: |
      phase: Succeeded
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata:
  name: pod-told-to-fail
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.phase, operator: In, values: [Pending, Running]}
    - {key: '.metadata.annotations[\"testbed.optikon.io/fail\"]', operator: Exists}
  weight: 1000000
  next:
    statusTemplate: |
      phase: Failed
";

/// Starts kwok for a cluster. `forwards` are pairs of a pod's port and the local port that stands for it.
pub(crate) async fn start(
    place: &Place,
    program: &Path,
    stages: &Path,
    forwards: &[(u16, u16)],
) -> Result<Process> {
    let config = place.file("kwok.yaml");
    fs::write(&config, configuration(stages, forwards)?)
        .with_context(|| format!("write {}", config.display()))?;
    let mut last = String::new();
    for _ in 0..TRIES {
        let port = probably_free()?;
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(place.file("kubeconfig"))
            .arg("--config")
            .arg(&config)
            .args(["--manage-all-nodes", "--node-ip", "127.0.0.1"])
            .args(["--node-port", &port.to_string()])
            .args(["--server-address", &format!("127.0.0.1:{port}")])
            .arg("--tls-cert-file")
            .arg(place.key("kubelet.crt"))
            .arg("--tls-private-key-file")
            .arg(place.key("kubelet.key"))
            .args(["--node-lease-duration-seconds", "40"]);
        // kwok reads a configuration from its user's home; there is none for tests.
        command.env("HOME", place.folder());
        let process = Process::start("kwok", command, &place.file("kwok.log"))?;
        match listens(process, "kwok's port", port).await {
            Ok(process) => return Ok(process),
            Err(error) => last = format!("{error:#}"),
        }
    }
    bail!("start kwok: {last}");
}

fn configuration(stages: &Path, forwards: &[(u16, u16)]) -> Result<String> {
    let mut documents = Vec::new();
    for stage in STAGES {
        let path = stages.join(stage);
        documents.push(
            fs::read_to_string(&path)
                .with_context(|| format!("read kwok's stage {}", path.display()))?,
        );
    }
    documents.push(HOOKS.to_owned());
    if !forwards.is_empty() {
        let rules: String = forwards
            .iter()
            .map(|(port, target)| {
                format!("  - ports: [{port}]\n    target: {{port: {target}, address: 127.0.0.1}}\n")
            })
            .collect();
        documents.push(format!(
            "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: ClusterPortForward\nmetadata:\n  name: forwards\nspec:\n  forwards:\n{rules}"
        ));
    }
    Ok(documents.join("\n---\n"))
}

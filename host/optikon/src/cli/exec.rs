//! Runs the credential plugin that the user's own kubeconfig names (EKS, GKE, AKS), on the user's machine, as the user, and
//! only where `--allow-exec` says so. What it gives is used here and goes nowhere else.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use optikon_core::words::{Credential, Secret};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

/// A plugin may ask its user something in a browser.
const PATIENCE: Duration = Duration::from_secs(300);
/// Larger answers are no credentials.
const MAX_ANSWER: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exec {
    api_version: String,
    command: String,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    env: Option<Vec<Variable>>,
    #[serde(default)]
    provide_cluster_info: bool,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// What the plugin gives; `exec` is that part of the kubeconfig in `folder`.
///
/// # Errors
/// When it cannot be run, fails, or gives no credential. Never quotes what it said.
pub(crate) async fn credential(
    exec: Value,
    server: &str,
    ca: Option<&str>,
    folder: &Path,
) -> Result<Credential> {
    let exec: Exec = serde_json::from_value(exec)
        .map_err(|_| anyhow::anyhow!("the kubeconfig's exec is incomplete"))?;
    if !matches!(
        exec.api_version.as_str(),
        "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1"
    ) {
        bail!(
            "exec speaks {}, which is not known here",
            exec.api_version.escape_debug()
        );
    }
    let mut spec = json!({ "interactive": true });
    if let (true, Some(fields)) = (exec.provide_cluster_info, spec.as_object_mut()) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let ca = ca.map(|ca| STANDARD.encode(ca));
        let cluster = json!({ "server": server, "certificate-authority-data": ca });
        fields.insert("cluster".into(), cluster);
    }
    let info = json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec });
    // As in a shell: a name is looked for in PATH, a path is taken from where the kubeconfig is.
    let program = if exec.command.contains('/') {
        folder.join(&exec.command)
    } else {
        exec.command.clone().into()
    };
    let mut command = tokio::process::Command::new(&program);
    command
        .args(exec.args.unwrap_or_default())
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    for variable in exec.env.unwrap_or_default() {
        command.env(variable.name, variable.value);
    }
    let shown = exec.command.escape_debug();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    let stdout = child.stdout.take().context("its output is not piped")?;
    let ended = async {
        let mut said = Vec::new();
        stdout.take(MAX_ANSWER + 1).read_to_end(&mut said).await?;
        if said.len() as u64 > MAX_ANSWER {
            bail!("{shown} said more than {MAX_ANSWER} bytes");
        }
        anyhow::Ok((child.wait().await?, said))
    };
    let (status, said) = tokio::time::timeout(PATIENCE, ended)
        .await
        .with_context(|| format!("{shown} did not end within {} s", PATIENCE.as_secs()))?
        .with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    taken(&said).with_context(|| format!("{shown} gave no credential"))
}

fn taken(stdout: &[u8]) -> Option<Credential> {
    let answer: Value = serde_json::from_slice(stdout).ok()?;
    let answer: Answer = serde_json::from_value(answer.get("status")?.clone()).ok()?;
    match (
        answer.token,
        answer.client_certificate_data,
        answer.client_key_data,
    ) {
        (Some(token), _, _) if !token.is_empty() => Some(Credential::Token(Secret::new(token))),
        (_, Some(certificate), Some(key)) => Some(Credential::ClientCertificate {
            certificate,
            key: Secret::new(key),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_or_a_certificate_with_its_key() {
        let of = |status: Value| taken(json!({ "status": status }).to_string().as_bytes());
        assert!(matches!(
            of(json!({"token": "t"})),
            Some(Credential::Token(_))
        ));
        assert!(of(json!({"token": ""})).is_none());
        assert!(of(json!({"clientCertificateData": "c"})).is_none());
        assert!(of(json!({"clientCertificateData": "c", "clientKeyData": "k"})).is_some());
        assert!(taken(b"no json").is_none());
    }
}

//! The real Helm clients, beside the gateway.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Cluster;
use crate::testbed::Testbed;

impl Cluster {
    /// The Helm 2 client at this cluster's Tiller; what it prints.
    ///
    /// # Errors
    /// When there is no Tiller, or the client fails; the error has what it printed.
    pub async fn helm2(&self, arguments: &[&str]) -> Result<String> {
        let (_, program) = Testbed::tiller()?;
        let port = self.tiller_port().context("the cluster has no Tiller")?;
        let home = self.place.file("helm2-home");
        let mut command = Command::new(program);
        command
            .args(["--host", &format!("127.0.0.1:{port}")])
            .args(arguments)
            .env("HOME", &home)
            .env("HELM_HOME", &home)
            .env("KUBECONFIG", self.kubeconfig_file());
        output_of(command).await
    }

    /// The Helm 4 client at this cluster; what it prints.
    ///
    /// # Errors
    /// When it fails; the error has what it printed.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(Testbed::helm()?);
        command
            .args(arguments)
            .env("HOME", self.place.file("helm-home"))
            .env("KUBECONFIG", self.kubeconfig_file());
        output_of(command).await
    }
}

async fn output_of(mut command: Command) -> Result<String> {
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!(
            "{}: {}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
    }
    Ok(text(&output.stdout))
}

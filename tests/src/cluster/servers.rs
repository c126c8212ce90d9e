//! Start, stop and flags of a cluster's servers.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::sync::Mutex;

use super::{Cluster, START};
use crate::process::Process;
use crate::wait::wait_for;

/// What the API server may take to end in order.
const STOP: Duration = Duration::from_secs(30);

impl Cluster {
    /// Kills the API server at once, as a lost machine would; connections are refused from then on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill_api_server(&mut self) -> Result<()> {
        if let Some(mut process) = self.api_server.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Stops the API server in order.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop_api_server(&mut self) -> Result<()> {
        if let Some(mut process) = self.api_server.take() {
            process.terminate(STOP).await?;
        }
        Ok(())
    }

    /// Holds the API server still (SIGSTOP): connections are accepted by the system and never answered.
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze_api_server(&self) -> Result<()> {
        self.signal_api_server(Signal::STOP)
    }

    /// Lets a frozen API server go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn thaw_api_server(&self) -> Result<()> {
        self.signal_api_server(Signal::CONT)
    }

    fn signal_api_server(&self, signal: Signal) -> Result<()> {
        self.api_server
            .as_ref()
            .context("the API server is not running")?
            .signal(signal)
    }

    /// Starts the API server again, on the same port and with the same data.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_api_server(&mut self) -> Result<()> {
        self.kill_api_server()?;
        let process = Mutex::new(Process::start(
            "kube-apiserver",
            self.api_server_command()?,
            &self.place.file("kube-apiserver.log"),
        )?);
        wait_for("the API server", START, || async {
            process.lock().await.check()?;
            let reply = self.admin.get("/readyz").await?;
            Ok(reply.status.is_success().then_some(()))
        })
        .await?;
        self.api_server = Some(process.into_inner());
        Ok(())
    }

    fn etcd_url(&self) -> &str {
        let own = self.etcd.as_ref();
        own.map_or_else(|| self.place.testbed.etcd_url(), |etcd| &etcd.url)
    }

    /// Lets the cluster's own etcd forget everything but the present, so that older revisions are too old.
    ///
    /// # Errors
    /// When it has none of its own ([`super::Builder::own_etcd`]), or etcd refuses.
    pub async fn compact(&self) -> Result<()> {
        let etcd = self.etcd.as_ref();
        etcd.context("the etcd is shared with other clusters")?
            .compact()
            .await
    }

    fn api_server_command(&self) -> Result<Command> {
        let program = self.place.testbed.program("kube-apiserver")?;
        let mut command = Command::new(program);
        let file = |flag: &str, name: &str| format!("{flag}={}", self.place.key(name).display());
        let plain = |flag: &str, value: &str| format!("{flag}={value}");
        command.args([
            plain("--etcd-servers", self.etcd_url()),
            plain("--etcd-prefix", &self.prefix),
            plain("--secure-port", &self.port.port().to_string()),
            plain("--permit-port-sharing", "true"),
            plain("--bind-address", "127.0.0.1"),
            plain("--advertise-address", "127.0.0.1"),
            plain("--endpoint-reconciler-type", "none"),
            plain("--authorization-mode", "RBAC"),
            plain("--allow-privileged", "true"),
            plain("--service-account-issuer", &self.server),
            plain("--service-cluster-ip-range", "10.0.0.0/24"),
            plain("--kubelet-preferred-address-types", "InternalIP"),
            file("--tls-cert-file", "apiserver.crt"),
            file("--tls-private-key-file", "apiserver.key"),
            file("--client-ca-file", "ca.crt"),
            file("--token-auth-file", "tokens.csv"),
            file("--service-account-key-file", "service-accounts.pub"),
            file("--service-account-signing-key-file", "service-accounts.key"),
            file("--kubelet-certificate-authority", "ca.crt"),
            file("--kubelet-client-certificate", "admin.crt"),
            file("--kubelet-client-key", "admin.key"),
        ]);
        // For aggregated API servers.
        command.args([
            file("--requestheader-client-ca-file", "front-ca.crt"),
            plain("--requestheader-allowed-names", "front-proxy-client"),
            plain("--requestheader-username-headers", "X-Remote-User"),
            plain("--requestheader-group-headers", "X-Remote-Group"),
            plain("--requestheader-extra-headers-prefix", "X-Remote-Extra-"),
            file("--proxy-client-cert-file", "front-proxy.crt"),
            file("--proxy-client-key-file", "front-proxy.key"),
        ]);
        if !self.has_controllers {
            // Nobody makes the account that it asks for.
            command.arg("--disable-admission-plugins=ServiceAccount");
        }
        command.args(&self.flags);
        Ok(command)
    }

    pub(super) fn start_controllers(&mut self) -> Result<()> {
        let kubeconfig = self.kubeconfig_file();
        let mut manager = Command::new(self.place.testbed.program("kube-controller-manager")?);
        manager
            .arg("--service-account-private-key-file")
            .arg(self.place.key("service-accounts.key"))
            .arg("--root-ca-file")
            .arg(self.place.key("ca.crt"));
        let scheduler = Command::new(self.place.testbed.program("kube-scheduler")?);
        for (name, mut command) in [
            ("kube-controller-manager", manager),
            ("kube-scheduler", scheduler),
        ] {
            command
                .arg("--kubeconfig")
                .arg(&kubeconfig)
                .args(["--leader-elect=false", "--secure-port=0"]);
            let log = self.place.file(&format!("{name}.log"));
            self.others.push(Process::start(name, command, &log)?);
        }
        Ok(())
    }
}

//! The etcd that all clusters of a test process share, each under a prefix of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::Client;
use crate::ports::Reserved;
use crate::process::Process;
use crate::wait::wait_for;

/// A running etcd.
#[derive(Debug)]
pub(crate) struct Etcd {
    _process: Process,
    /// Where API servers find it.
    pub(crate) url: String,
    _port: Option<Reserved>,
}

impl Etcd {
    /// Starts one with its data in `folder`, on ports it chooses itself.
    pub(crate) async fn start(program: &Path, folder: &Path) -> Result<Self> {
        Self::start_on(program, folder, None).await
    }

    /// The same on a port that is known before: etcd answers HTTP by asking itself there, and takes 0 for a port then.
    pub(crate) async fn start_known(program: &Path, folder: &Path) -> Result<Self> {
        Self::start_on(program, folder, Some(Reserved::new()?)).await
    }

    async fn start_on(program: &Path, folder: &Path, port: Option<Reserved>) -> Result<Self> {
        let any = "http://127.0.0.1:0";
        let number = port.as_ref().map_or(0, Reserved::port);
        let clients = format!("http://127.0.0.1:{number}");
        let mut command = Command::new(program);
        command
            .arg("--data-dir")
            .arg(folder.join("etcd"))
            .arg("--unsafe-no-fsync")
            .args(["--log-level", "info", "--listen-client-urls", &clients])
            .args(["--advertise-client-urls", &clients])
            .args(["--listen-peer-urls", any]);
        if port.is_some() {
            // The reservation stays open.
            command.arg("--socket-reuse-port=true");
        }
        let process = Mutex::new(Process::start("etcd", command, &folder.join("etcd.log"))?);
        let address = wait_for("etcd", Duration::from_secs(60), || async {
            let mut process = process.lock().await;
            process.check()?;
            Ok(address(&process.log()))
        })
        .await
        .context("start etcd")?;
        Ok(Self {
            _process: process.into_inner(),
            url: format!("http://{address}"),
            _port: port,
        })
    }
}

impl Etcd {
    /// Lets it forget everything but the present.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn compact(&self) -> Result<()> {
        let client = Client::new(&self.url, None, None)?;
        let post = async |path: &str, body: Value| {
            let reply = client.json(Method::POST, path, &body).await?;
            reply.success().with_context(|| format!("etcd: {path}"))
        };
        // "\0" in base64: any key will do, the answer's head tells the present revision.
        let now = post("/v3/kv/range", json!({"key": "AA=="})).await?;
        let revision = now
            .pointer("/header/revision")
            .context("etcd answers without a revision")?;
        post(
            "/v3/kv/compaction",
            json!({"revision": revision, "physical": true}),
        )
        .await?;
        Ok(())
    }
}

/// The address in the line that says clients are served.
fn address(log: &str) -> Option<String> {
    log.lines()
        .filter(|line| line.contains("serving client traffic insecurely"))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| {
            line.get("address")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_log() {
        let log = concat!(
            "{\"msg\":\"something\"}\n",
            "{\"msg\":\"serving client traffic insecurely; this is strongly discouraged!\",",
            "\"address\":\"127.0.0.1:4001\"}\n"
        );
        assert_eq!(address(log).as_deref(), Some("127.0.0.1:4001"));
        assert_eq!(address("not yet"), None);
    }
}

//! The etcd that all clusters of a test process share, each under a prefix of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::process::Process;
use crate::wait::wait_for;

/// A running etcd.
#[derive(Debug)]
pub(crate) struct Etcd {
    _process: Process,
    /// Where API servers find it.
    pub(crate) url: String,
}

impl Etcd {
    /// Starts one with its data in `folder`, on ports it chooses itself.
    pub(crate) async fn start(program: &Path, folder: &Path) -> Result<Self> {
        let any = "http://127.0.0.1:0";
        let mut command = Command::new(program);
        command
            .arg("--data-dir")
            .arg(folder.join("etcd"))
            .arg("--unsafe-no-fsync")
            .args(["--log-level", "info", "--listen-client-urls", any])
            .args(["--advertise-client-urls", any])
            .args(["--listen-peer-urls", any]);
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
        })
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

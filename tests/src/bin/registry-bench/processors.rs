//! Who runs on which processor.
//!
//! A central cluster has machines of its own. Here it shares one with the gateway, and what it computes would be measured as
//! the gateway's: a request waits until the system takes a processor away from it. So it has the last processor to itself,
//! and the gateway and its clients have the others.

use std::process::{Command, id};

use anyhow::{Context, Result, bail};

/// All but the last processor, and the last one, as `taskset` lists them.
pub(crate) fn apart() -> Result<(String, String)> {
    let count = std::thread::available_parallelism()?.get();
    match count.checked_sub(2) {
        Some(last_but_one) => Ok((format!("0-{last_but_one}"), (count - 1).to_string())),
        None => bail!("two processors are needed: one of them is the central cluster's"),
    }
}

/// This process and all that it starts from now on.
pub(crate) fn run_on(list: &str) -> Result<()> {
    let said = Command::new("taskset")
        .args([
            "--all-tasks",
            "--cpu-list",
            "--pid",
            list,
            &id().to_string(),
        ])
        .output()
        .context("taskset, of util-linux")?;
    if !said.status.success() {
        bail!("taskset: {}", String::from_utf8_lossy(&said.stderr));
    }
    Ok(())
}

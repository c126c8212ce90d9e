//! A list over all clusters: one request of the gateway's, or a Helm 2 client for each.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use optikon_tests::{Cluster, Gateway, Testbed};
use optikon_xtask::bench::{Aim, Row};
use optikon_xtask::folders::Folders;
use optikon_xtask::say;
use serde_json::json;

use crate::median;

/// Releases of each Tiller.
const RELEASES: usize = 5;
/// Turns of each side.
const ROUNDS: usize = 9;
/// Fields of `/proc/<pid>/stat` after the name: a process's own ticks, and those of its children that ended.
const OWN: [usize; 2] = [11, 12];
const CHILDREN: [usize; 2] = [13, 14];

/// Fills the Tillers and measures.
pub(crate) async fn measure(clusters: &[Cluster]) -> Result<Vec<Row>> {
    let gateway = Gateway::start().await?;
    let client = gateway.client()?;
    for cluster in clusters {
        let body = json!({
            "name": cluster.name(), "server": cluster.server(), "ca": cluster.ca(), "token": cluster.admin_token(),
        });
        client.create("/cluster", &body).await?;
    }
    let chart = Folders::here().root.join("examples/tiller/chart");
    let chart = chart.to_str().context("a folder that is no UTF-8")?;
    say(format_args!("{RELEASES} releases on each"));
    for i in 0..RELEASES {
        let release = format!("greeting-{i}");
        let install = [
            "chart",
            "install",
            &release,
            chart,
            "--all",
            "--backend",
            "tiller",
        ];
        gateway.run_ok(&install).await?;
    }
    let wanted = clusters.len() * RELEASES;
    let process = gateway.process()?;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_ticks, mut their_ticks) = (0, 0);
    // The first of each is not counted: compiled code is loaded, files are read.
    for round in 0..=ROUNDS {
        let (before, begun) = (ticks(process, OWN)?, Instant::now());
        let list = client.read("/charts").await?;
        let our_ms = begun.elapsed().as_secs_f64() * 1e3;
        let our = ticks(process, OWN)? - before;
        let items = list["items"].as_array().map_or(0, Vec::len);
        ensure!(items == wanted, "{items} releases of {wanted}: {list}");
        let (before, begun) = (ticks(std::process::id(), CHILDREN)?, Instant::now());
        let listed = helm2(clusters).await?;
        let their_ms = begun.elapsed().as_secs_f64() * 1e3;
        let their = ticks(std::process::id(), CHILDREN)? - before;
        ensure!(
            listed == wanted,
            "helm2 lists {listed} releases of {wanted}"
        );
        if round > 0 {
            ours.push(our_ms);
            theirs.push(their_ms);
            ratios.push(our_ms / their_ms);
            our_ticks += our;
            their_ticks += their;
        }
    }
    Ok(vec![
        Row::plain(
            "list over 10 Tillers by the gateway, median",
            median(ours),
            "ms",
        ),
        Row::plain("10 helm2 list in parallel, median", median(theirs), "ms"),
        Row::new(
            "wall time of the list against helm2",
            median(ratios),
            "",
            Aim::AtMost(0.8),
        ),
        Row::new(
            "CPU of the gateway against the clients'",
            our_ticks as f64 / their_ticks as f64,
            "",
            Aim::AtMost(0.35),
        ),
    ])
}

/// CPU ticks of a process.
fn ticks(process: u32, fields: [usize; 2]) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))
        .context("CPU time is read from /proc, so only on Linux")?;
    // The name is in brackets and may have spaces.
    let (_, rest) = stat.rsplit_once(") ").context("a stat without a name")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let number = |field: usize| {
        let word = words.get(field).context("a stat with too few fields")?;
        word.parse::<u64>().context("a tick that is no number")
    };
    Ok(number(fields[0])? + number(fields[1])?)
}

/// A client for each cluster, all at once, each through its API server; the number of releases that they list.
async fn helm2(clusters: &[Cluster]) -> Result<usize> {
    let (_, program) = Testbed::tiller()?;
    let mut running = Vec::new();
    for cluster in clusters {
        let mut command = Command::new(&program);
        command
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig_file())
            .args(["list", "--short"])
            .env("HELM_HOME", std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        running.push(command.spawn().context("start helm2")?);
    }
    tokio::task::spawn_blocking(move || {
        let mut count = 0;
        for child in running {
            let output = child.wait_with_output()?;
            ensure!(
                output.status.success(),
                "helm2 ended with {}",
                output.status
            );
            count += String::from_utf8_lossy(&output.stdout).lines().count();
        }
        Ok(count)
    })
    .await?
}

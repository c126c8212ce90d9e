//! From the start of the process to the line that says it listens, and what the idle gateway occupies.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Aim, Bench, Row, report};
use crate::folders::Folders;
use crate::{plugins, say, shell};

pub(super) const BENCH: Bench = Bench {
    name: "start",
    summary: "start to ready with a warm compile cache, and idle memory",
    run,
};

/// The first start compiles the plugins and is not counted.
const STARTS: usize = 11;

/// Kills the gateway also when the measurement fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(folders: &Folders) -> Result<()> {
    plugins::build_all(folders)?;
    say("cargo build --release --package optikon");
    shell::run(shell::cargo().current_dir(&folders.root).args([
        "build",
        "--release",
        "--package",
        "optikon",
    ]))?;
    let program = folders.target.join("release").join("optikon");
    let data = folders.target.join("bench").join("start-data");
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
    }
    let (cold, first) = start(&program, folders, &data)?;
    drop(first);
    let mut warm = Vec::new();
    let mut memory_bytes = Vec::new();
    for _ in 0..STARTS {
        let (took, gateway) = start(&program, folders, &data)?;
        warm.push(took);
        memory_bytes.extend(resident_bytes(gateway.0.id()));
    }
    warm.sort();
    memory_bytes.sort_unstable();
    let median = warm.get(warm.len() / 2).copied().unwrap_or_default();
    let worst = warm.last().copied().unwrap_or_default();
    let memory = memory_bytes.get(memory_bytes.len() / 2).copied();
    let mut rows = vec![
        Row::plain("cold start, plugins compiled", millis(cold), "ms"),
        Row::new(
            "start to ready, median",
            millis(median),
            "ms",
            Aim::AtMost(200.0),
        ),
        Row::plain("start to ready, worst", millis(worst), "ms"),
    ];
    if let Some(bytes) = memory {
        let mebibytes = (bytes >> 10) as f64 / 1024.0;
        rows.push(Row::new(
            "idle memory (RSS)",
            mebibytes,
            "MiB",
            Aim::AtMost(80.0),
        ));
    }
    report(folders, "start", &rows)
}

fn start(program: &Path, folders: &Folders, data: &Path) -> Result<(Duration, Running)> {
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(["serve", "--dev", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .arg("--plugins-dir")
        .arg(folders.plugins())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let stdout = child.stdout.take();
    let gateway = Running(child);
    let mut lines = BufReader::new(stdout.context("the gateway has no stdout")?).lines();
    match lines.next() {
        Some(Ok(line)) if line.starts_with("listening on ") => Ok((begun.elapsed(), gateway)),
        Some(Ok(line)) => bail!("the gateway's first line is {line:?}"),
        _ => bail!("the gateway ended before it listened"),
    }
}

/// Of `/proc`, so only on Linux.
fn resident_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

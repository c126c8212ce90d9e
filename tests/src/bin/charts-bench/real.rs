//! Ten real API servers: one gateway beside ten processes of Helm.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use optikon_tests::{Cluster, Gateway, Testbed, scratch};
use optikon_xtask::bench::{Aim, Row};
use serde_json::json;

use crate::bed::{QUIET, chart, median};

const SERVERS: usize = 10;
const OBJECTS: usize = 20;
const ROUNDS: usize = 5;

/// Wall and CPU of one round, seconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let testbed = Testbed::start().await?;
    let mut clusters = Vec::new();
    for number in 0..SERVERS {
        clusters.push(testbed.cluster(&format!("server-{number}")).start().await?);
    }
    let gateway = Gateway::builder().config(QUIET).start().await?;
    for cluster in &clusters {
        let body = json!({
            "name": cluster.name(), "server": cluster.server(), "ca": cluster.ca(),
            "token": cluster.admin_token(),
        });
        gateway.client()?.create("/cluster", &body).await?;
    }
    let folder = scratch::folder()?;
    let file = folder.path().join("sized.tgz");
    std::fs::write(&file, chart(OBJECTS)?)?;
    let file = file.to_str().context("a path of UTF-8")?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round of each warms caches of all sides.
    for round in 0..=ROUNDS {
        let (a, b) = if round % 2 == 0 {
            let a = ours_once(&gateway, file, round).await?;
            (a, theirs_once(&clusters, file, folder.path(), round).await?)
        } else {
            let b = theirs_once(&clusters, file, folder.path(), round).await?;
            (ours_once(&gateway, file, round).await?, b)
        };
        if round > 0 {
            ours.push(a);
            theirs.push(b);
        }
    }
    let of = |costs: &[Cost], part: fn(&Cost) -> f64| median(costs.iter().map(part).collect());
    let ratios = |part: fn(&Cost) -> f64| {
        let pairs = ours.iter().zip(&theirs);
        median(pairs.map(|(a, b)| part(a) / part(b)).collect())
    };
    Ok(vec![
        Row::plain(
            "10 servers: optikon chart install, wall",
            of(&ours, |c| c.wall) * 1000.0,
            "ms",
        ),
        Row::plain(
            "10 servers: ten helm install, wall",
            of(&theirs, |c| c.wall) * 1000.0,
            "ms",
        ),
        Row::plain(
            "10 servers: gateway and command line, CPU",
            of(&ours, |c| c.cpu) * 1000.0,
            "ms",
        ),
        Row::plain(
            "10 servers: ten helm install, CPU",
            of(&theirs, |c| c.cpu) * 1000.0,
            "ms",
        ),
        Row::new(
            "10 servers: wall, ours / Helm's",
            ratios(|c| c.wall),
            "",
            Aim::AtMost(0.8),
        ),
        Row::new(
            "10 servers: CPU, ours / Helm's",
            ratios(|c| c.cpu),
            "",
            Aim::AtMost(0.35),
        ),
    ])
}

async fn ours_once(gateway: &Gateway, file: &str, round: usize) -> Result<Cost> {
    let release = format!("ours-{round}");
    let command = gateway.command(&[
        "chart",
        "install",
        &release,
        file,
        "--all",
        "-n",
        &release,
        "--create-namespace",
        "--max-parallel",
        "10",
        "-o",
        "json",
    ])?;
    let process = gateway.process()?;
    let before = (cpu_of(&process.to_string())?.own, cpu_of("self")?.children);
    let begun = Instant::now();
    run(command).await?;
    let wall = begun.elapsed();
    let after = (cpu_of(&process.to_string())?.own, cpu_of("self")?.children);
    let delete = [
        "chart", "delete", &release, "--all", "-n", &release, "--yes",
    ];
    gateway.run_ok(&delete).await?;
    Ok(Cost {
        wall: wall.as_secs_f64(),
        cpu: ((after.0 - before.0) + (after.1 - before.1)).as_secs_f64(),
    })
}

async fn theirs_once(
    clusters: &[Cluster],
    file: &str,
    home: &std::path::Path,
    round: usize,
) -> Result<Cost> {
    let release = format!("theirs-{round}");
    let helm = Testbed::helm()?;
    let of = |words: &[&str], cluster: &Cluster| {
        let mut command = Command::new(&helm);
        command
            .args(words)
            .args(["--namespace", &release])
            .env("KUBECONFIG", cluster.kubeconfig_file())
            .env("HOME", home);
        command
    };
    let before = cpu_of("self")?.children;
    let begun = Instant::now();
    let installs = clusters.iter().map(|cluster| {
        run(of(
            &["install", &release, file, "--create-namespace"],
            cluster,
        ))
    });
    try_join_all(installs).await?;
    let wall = begun.elapsed();
    let cpu = cpu_of("self")?.children - before;
    let removals = clusters
        .iter()
        .map(|cluster| run(of(&["uninstall", &release], cluster)));
    try_join_all(removals).await?;
    Ok(Cost {
        wall: wall.as_secs_f64(),
        cpu: cpu.as_secs_f64(),
    })
}

async fn run(mut command: Command) -> Result<()> {
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        bail!(
            "{}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

struct Cpu {
    own: Duration,
    /// Of children that have ended.
    children: Duration,
}

/// Of `/proc`.
fn cpu_of(process: &str) -> Result<Cpu> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))
        .context("CPU time is read from /proc, so only on Linux")?;
    // The name may hold blanks; it ends with the last bracket.
    let (_, rest) = text.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<u64> = rest
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [user, system, child_user, child_system] = fields[..] else {
        bail!("too few fields in stat");
    };
    // Ticks are of 10 ms on every Linux that this runs on.
    let ticks = |count: u64| Duration::from_millis(count * 10);
    Ok(Cpu {
        own: ticks(user + system),
        children: ticks(child_user + child_system),
    })
}

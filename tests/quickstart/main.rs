//! What the first page tells people to type: the demo, and the commands in it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod releases;
mod tiller;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use optikon_tests::{process::Process, scratch};
use optikon_xtask::folders::Folders;
use rustix::process::Signal;

/// The last line that the demo prints before it waits.
const READY: &str = "Ctrl-C stops all of it.";
/// Two API servers, their controllers and a gateway, on a loaded machine.
const START: Duration = Duration::from_secs(900);

/// Demos share a data folder.
static DEMO: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What the demo printed for another terminal.
struct Demo {
    process: Process,
    exports: BTreeMap<String, String>,
    kubeconfigs: Vec<String>,
    _scratch: tempfile::TempDir,
}

impl Demo {
    async fn start(more: &[&str]) -> Result<Self> {
        let scratch = scratch::folder()?;
        let log = scratch.path().join("demo.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_optikon-demo"));
        command
            .args(["--clusters", "2", "--listen", "127.0.0.1:0"])
            .args(more);
        let (process, stdout) = Process::start_piped("optikon-demo", command, &log)?;
        let lines = tokio::task::spawn_blocking(move || {
            let mut said = Vec::new();
            for line in BufReader::new(stdout).lines() {
                let line = line?;
                if line.contains(READY) {
                    return anyhow::Ok(said);
                }
                said.push(line);
            }
            bail!("the demo ended: {}", said.join("\n"))
        });
        let lines = tokio::time::timeout(START, lines)
            .await
            .with_context(|| format!("the demo is not ready: {}", process.tail()))???;
        let mut demo = Self {
            process,
            exports: BTreeMap::new(),
            kubeconfigs: Vec::new(),
            _scratch: scratch,
        };
        for line in &lines {
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|l| l.split_once('='))
            {
                let value = value
                    .trim_matches('"')
                    .replace("$PATH", &std::env::var("PATH")?);
                demo.exports.insert(name.to_owned(), value);
            }
            if let Some(rest) = line.strip_prefix("kubectl --kubeconfig \"") {
                let (file, _) = rest.split_once('"').context("a path in quotes")?;
                demo.kubeconfigs.push(file.to_owned());
            }
        }
        Ok(demo)
    }

    /// Runs a program to its end, whatever that is: its exit code, and what it wrote.
    async fn run_any(&self, program: &str, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let output = self.output(program, arguments).await?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8(said)?))
    }

    /// Ends it as Ctrl-C does.
    async fn end(&mut self) -> Result<()> {
        self.process.signal(Signal::INT)?;
        let ended = self.process.ended(Duration::from_secs(60)).await?;
        assert!(ended.success(), "the demo ended with {ended}");
        Ok(())
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.output(program, arguments).await?;
        if !output.status.success() {
            bail!(
                "{program}: {}: {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    async fn output(&self, program: &str, arguments: &[&str]) -> Result<std::process::Output> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(&self.exports)
            .current_dir(&Folders::here().root)
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await?;
        output.with_context(|| format!("run {program}"))
    }
}

/// The rows of the table that a command printed, by words.
fn rows(said: &str, command: &str) -> Vec<Vec<String>> {
    let table = answer(said, command).lines();
    let table = table.skip_while(|line| !line.contains("CLUSTER")).skip(1);
    let table = table.take_while(|row| !row.trim().is_empty());
    table
        .map(|row| row.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// One column of them.
fn column(rows: &[Vec<String>], place: usize) -> Vec<&str> {
    rows.iter().map(|row| row[place].as_str()).collect()
}

/// Line by line, as the example's page shows it; what differs from run to run is `…` there.
fn assert_printed(said: &str, shown: &str) {
    let fits = |line: &str, shown: &str| {
        let mut rest = Some(line);
        let parts: Vec<&str> = shown.split('…').collect();
        for (n, part) in parts.iter().enumerate() {
            rest = rest.and_then(|rest| match n {
                0 => rest.strip_prefix(part),
                _ => rest.split_once(part).map(|(_, after)| after),
            });
        }
        rest.is_some_and(|rest| rest.is_empty() || parts.last() == Some(&""))
    };
    let lines: Vec<&str> = said.lines().collect();
    let wanted: Vec<&str> = shown.lines().collect();
    let mut pairs = lines.iter().zip(&wanted);
    let differs =
        lines.len() != wanted.len() || !pairs.all(|(line, shown)| fits(line.trim_end(), shown));
    assert!(!differs, "the example's page shows otherwise:\n{said}");
}

/// What follows a command in the script's output, up to the next.
fn answer<'a>(said: &'a str, command: &str) -> &'a str {
    let start = said
        .find(&format!("$ {command}"))
        .unwrap_or_else(|| panic!("{command} was not run: {said}"));
    let rest = &said[start..];
    let body = rest.split_once('\n').unwrap().1;
    body.split("\n$ ").next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_first_page_work_as_shown() -> Result<()> {
    let _alone = DEMO.lock().await;
    let mut demo = Demo::start(&[]).await?;
    releases::roll_out(&demo).await?;
    releases::live_beside_helm(&demo).await?;
    let script = "examples/quickstart/quickstart.sh";
    let said = demo.run(script, &[&demo.kubeconfigs[0]]).await?;

    let list = answer(&said, "optikon cluster list");
    let names: Vec<&str> = list
        .lines()
        .skip(1)
        .filter_map(|row| row.split_whitespace().next())
        .collect();
    assert_eq!(names, ["edge-1", "edge-2"], "{list}");

    let seen = answer(&said, "optikon cluster get edge-1");
    let row: Vec<&str> = seen.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..2], ["edge-1", "True"], "{seen}");
    // The same that the cluster itself says.
    let kubectl = [
        "--kubeconfig",
        &demo.kubeconfigs[0],
        "get",
        "nodes",
        "-o",
        "name",
    ];
    for node in demo.run("kubectl", &kubectl).await?.lines() {
        let node = node.trim_start_matches("node/");
        assert!(seen.contains(node), "node {node} in {seen}");
    }
    assert!(seen.contains("Deployment"), "{seen}");

    let selected = answer(&said, "optikon cluster list --selector team=shop");
    assert_eq!(selected.trim(), "edge-1");

    let again = answer(&said, "optikon cluster get edge-1 --probe live");
    assert!(
        again.contains("kind: Cluster") && !again.contains("team: shop"),
        "{again}"
    );
    let script = "examples/swap-registry/swap-registry.sh";
    let swapped = demo.run(script, &[&demo.kubeconfigs[0]]).await?;
    assert_printed(
        &swapped,
        include_str!("../../examples/swap-registry/output.txt"),
    );
    let setup = answer(&swapped, "optikon registry setup");
    assert!(
        setup.contains("CustomResourceDefinition clusters.clusterregistry.k8s.io created"),
        "{setup}"
    );
    let swap = answer(&swapped, "optikon plugin swap registry registry-crd");
    assert!(swap.contains("registry-crd serves 2 cluster(s)"), "{swap}");
    let there = answer(&swapped, "kubectl --kubeconfig KUBECONFIG get clusters");
    for name in ["edge-1", "edge-2"] {
        assert!(there.contains(name), "{there}");
    }
    let back = answer(&swapped, "optikon plugin list");
    assert!(back.contains("registry-embedded"), "{back}");

    let token = std::fs::read_to_string(&demo.kubeconfigs[0])?;
    let token = token
        .lines()
        .find_map(|line| line.trim().strip_prefix("token: "));
    if let Some(token) = token {
        assert!(
            !said.contains(token.trim_matches('"')),
            "the member's token came back"
        );
    }
    releases::assert_first_steps(&said);
    demo.end().await
}

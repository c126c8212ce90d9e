//! Members of this process: what an operation costs beside what their own answers take.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use optikon_tests::fake::Seen;
use optikon_tests::{FakeMember, Gateway};
use optikon_xtask::bench::{Aim, Row};
use serde_json::Value;

use crate::bed::{QUIET, chart, counted, install, median, members, register, upload};

const LATENCY: Duration = Duration::from_millis(50);
const ROUNDS: usize = 5;
/// Objects of the chart.
const OBJECTS: usize = 20;

/// Install over 100 members with 50 ms answers, and the list of their releases.
pub(crate) async fn hundred() -> Result<Vec<Row>> {
    let members = members(100, LATENCY).await?;
    let gateway = Gateway::builder().config(QUIET).start().await?;
    register(&gateway, &members).await?;
    let digest = upload(&gateway, chart(OBJECTS)?).await?;
    // Connections and code are warm after the first.
    install(&gateway, &digest, "warm", 100).await?;
    let (mut took, mut chains) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        members.iter().for_each(FakeMember::forget);
        let release = format!("round-{round}");
        let wall = install(&gateway, &digest, &release, 100).await?;
        took.push(wall.as_secs_f64());
    }
    // The longest chain is counted where nothing else takes time: one member alone.
    for round in 0..3 {
        members.iter().for_each(FakeMember::forget);
        alone(&gateway, &digest, &format!("alone-{round}")).await?;
        chains.push(chain(&members[0].seen()) as f64);
    }
    let chain = chains.iter().copied().fold(f64::INFINITY, f64::min);
    let ideal = chain * LATENCY.as_secs_f64();
    let requests = members[0].seen().len();

    let list = "/charts?labelSelector=fleet%3Dbench";
    list_of(&gateway, list).await?;
    let mut lists = Vec::new();
    for _ in 0..ROUNDS {
        lists.push(list_of(&gateway, list).await?);
    }
    let wall = median(took);
    let list = median(lists);
    Ok(vec![
        Row::plain(
            "100 members: requests of an install to each",
            requests as f64,
            "",
        ),
        Row::plain("100 members: longest chain of requests", chain, ""),
        Row::plain("100 members: that chain at 50 ms", ideal * 1000.0, "ms"),
        Row::plain("100 members: install, wall", wall * 1000.0, "ms"),
        Row::new(
            "100 members: install / chain",
            wall / ideal,
            "",
            Aim::AtMost(1.5),
        ),
        Row::plain("100 members: list of releases, again", list * 1000.0, "ms"),
        Row::new(
            "100 members: list / one answer",
            list / LATENCY.as_secs_f64(),
            "",
            Aim::AtMost(3.0),
        ),
    ])
}

async fn list_of(gateway: &Gateway, path: &str) -> Result<f64> {
    let begun = Instant::now();
    let list: Value = gateway.client()?.read(path).await?;
    let took = begun.elapsed();
    let items = list["items"].as_array().context("a list has items")?;
    if items.len() < 100 || list["errors"].as_array().is_none_or(|e| !e.is_empty()) {
        bail!("{} rows, errors: {}", items.len(), list["errors"]);
    }
    Ok(took.as_secs_f64())
}

async fn alone(gateway: &Gateway, digest: &str, release: &str) -> Result<()> {
    let body = serde_json::json!({
        "chart": {"digest": digest}, "release": {"name": release, "namespace": release},
        "targets": {"names": ["member-0000"]}, "options": {"createNamespace": true},
    });
    let client = gateway.client()?;
    let reply = client
        .json(reqwest::Method::POST, "/charts?wait=true", &body)
        .await?
        .success()?;
    if reply["state"] != "succeeded" {
        bail!("{reply:#}");
    }
    Ok(())
}

/// Requests that had to wait for each other: what arrives within half an answer's time of the first of its kind was sent
/// at once.
fn chain(seen: &[Seen]) -> usize {
    let mut begins: Vec<Instant> = seen.iter().map(|seen| seen.at).collect();
    begins.sort();
    let mut chain = 0;
    let mut first: Option<Instant> = None;
    for at in begins {
        if first.is_none_or(|first| at - first >= LATENCY / 2) {
            chain += 1;
            first = Some(at);
        }
    }
    chain
}

/// An operation over 1,000 members: which part of its targets' time is spent on writing down how they are.
pub(crate) async fn thousand() -> Result<Vec<Row>> {
    const TARGETS: usize = 1000;
    const PARALLEL: usize = 100;
    let members = members(TARGETS, Duration::from_millis(5)).await?;
    let gateway = Gateway::builder().config(QUIET).start().await?;
    register(&gateway, &members).await?;
    let digest = upload(&gateway, chart(OBJECTS)?).await?;
    install(&gateway, &digest, "warm", PARALLEL).await?;
    let name = "optikon_operation_journal_seconds_sum";
    let before = counted(&gateway, name).await?;
    let wall = install(&gateway, &digest, "measured", PARALLEL).await?;
    let journal = counted(&gateway, name).await? - before;
    // So many targets are under way at any time; each waits for its own rows.
    let share = journal / PARALLEL as f64 / wall.as_secs_f64();
    Ok(vec![
        Row::plain("1,000 members: install, wall", wall.as_secs_f64(), "s"),
        Row::plain(
            "1,000 members: a target waits for the journal, mean",
            journal * 1000.0 / TARGETS as f64,
            "ms",
        ),
        Row::new("1,000 members: journal / wall", share, "", Aim::AtMost(0.1)),
    ])
}

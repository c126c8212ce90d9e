//! A live list of many members, against the same requests to the same members without gateway and plugin.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use optikon_tests::fake::Seen;
use optikon_tests::{FakeMember, Gateway};
use optikon_xtask::bench::{Aim, Row};

use crate::bed::{self, name};
use crate::load::{Kept, median};
use crate::native::Native;

const MEMBERS: usize = 1000;
const LATENCY: Duration = Duration::from_millis(50);
const ROUNDS: usize = 5;
/// The background would share the members' and the machine's time.
const QUIET: &str =
    "[probing]\nreach_seconds = 3600\nnodes_seconds = 3600\nworkloads_seconds = 3600\n";

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let members = bed::members(MEMBERS, LATENCY).await?;
    let gateway = Gateway::builder().config(QUIET).start().await?;
    bed::register(&gateway, &members).await?;
    bed::wait_for_ready(&gateway, MEMBERS, "True").await?;
    let target = bed::target(&gateway)?;
    let mut kept = Kept::open(&target).await?;
    let request = target.get("/cluster?probe=live&deadline=30s", "");
    // Connections are warm after the first round of each.
    look(&mut kept, &request).await?;
    let waves = waves(&gateway, &members[0]).await?;
    let asked: usize = waves.iter().map(Vec::len).sum();
    let native = Native::connect(&members).await?;
    native.fan_out(&waves).await?;

    let (mut through, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        members.iter().for_each(FakeMember::forget);
        through.push(look(&mut kept, &request).await?);
        let seen: usize = members.iter().map(|member| member.seen().len()).sum();
        if seen != asked * MEMBERS {
            bail!("{seen} requests arrived, {asked} for each of {MEMBERS} members were expected");
        }
        let begun = Instant::now();
        native.fan_out(&waves).await?;
        beside.push(begun.elapsed().as_secs_f64());
    }
    let connections: usize = members
        .iter()
        .map(FakeMember::most_connections)
        .max()
        .unwrap_or(0);
    let ratios = through.iter().zip(&beside).map(|(t, b)| t / b);
    Ok(vec![
        Row::plain("requests to each member", asked as f64, ""),
        Row::plain("round trips, one after the other", waves.len() as f64, ""),
        Row::plain(
            "connections to a member, both sides",
            connections as f64,
            "",
        ),
        Row::plain("native fan-out", median(beside.clone()) * 1000.0, "ms"),
        Row::plain(
            "GET /cluster?probe=live",
            median(through.clone()) * 1000.0,
            "ms",
        ),
        Row::new(
            "gateway / native",
            median(ratios.collect()),
            "",
            Aim::AtMost(1.3),
        ),
    ])
}

/// One live list; every row must be of now. Seconds.
async fn look(kept: &mut Kept, request: &[u8]) -> Result<f64> {
    let begun = Instant::now();
    let body = kept.ask(request).await?;
    let took = begun.elapsed().as_secs_f64();
    let list: serde_json::Value = serde_json::from_slice(&body)?;
    let items = list["items"].as_array().context("a list has items")?;
    let odd = items.iter().find(|item| {
        let conditions = item["status"]["conditions"].as_array();
        let mut ready = conditions
            .into_iter()
            .flatten()
            .filter(|c| c["type"] == "Ready");
        !ready.any(|c| c["status"] == "True") || item["status"]["reason"].is_string()
    });
    if items.len() != MEMBERS || odd.is_some() {
        bail!("{} rows, one of them not ready: {odd:?}", items.len());
    }
    Ok(took)
}

/// What a look of that depth asks of a member, by round trip: what arrives within half a latency belongs together.
async fn waves(gateway: &Gateway, member: &FakeMember) -> Result<Vec<Vec<Seen>>> {
    member.forget();
    let path = format!("/cluster/{}/nodes", name(0));
    gateway.client()?.read(&path).await?;
    let mut waves: Vec<Vec<Seen>> = Vec::new();
    for seen in member.seen() {
        match waves.last_mut() {
            Some(wave) if wave.iter().all(|first| seen.at - first.at < LATENCY / 2) => {
                wave.push(seen)
            }
            _ => waves.push(vec![seen]),
        }
    }
    Ok(waves)
}

//! Thousands of registered clusters: how long lists take, and what each costs in memory, with and without its open
//! connections.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use optikon_tests::{FakeMember, Gateway, wait_for};
use optikon_xtask::bench::{Aim, Row};

use crate::bed;
use crate::load::{Figures, Kept};

const CLUSTERS: usize = 5000;
const LISTS: usize = 200;

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let members = bed::members(CLUSTERS, Duration::ZERO).await?;
    let mut empty = Gateway::start().await?;
    // As the other one will be: after a start that finds its plugins compiled.
    bed::restart(&mut empty).await?;
    let empty_kib = bed::resident_kib(&empty)?;
    drop(empty);

    let mut gateway = Gateway::start().await?;
    let begun = Instant::now();
    bed::register(&gateway, &members).await?;
    let registered = begun.elapsed();
    bed::wait_for_ready(&gateway, CLUSTERS, "True").await?;
    let ready = begun.elapsed();
    let mut listed = lists(&gateway).await?;
    bed::restart(&mut gateway).await?;
    wait_for_connections(&members).await?;
    bed::wait_for_ready(&gateway, CLUSTERS, "True").await?;
    lists(&gateway).await?;
    let with_kib = bed::resident_kib(&gateway)?;
    let connections: usize = members.iter().map(FakeMember::connections).sum();
    drop(members);

    // The same clusters and what is known of them, after a restart that finds no member there: no connections.
    bed::restart(&mut gateway).await?;
    bed::wait_for_ready(&gateway, CLUSTERS, "False").await?;
    lists(&gateway).await?;
    let without_kib = bed::resident_kib(&gateway)?;

    let count = CLUSTERS as f64;
    let own = (without_kib - empty_kib) / count;
    let of_connections = (with_kib - without_kib) / (connections.max(1) as f64);
    Ok(vec![
        Row::plain("registrations", count / registered.as_secs_f64(), "/s"),
        Row::plain("all known as ready after", ready.as_secs_f64(), "s"),
        Row::plain(
            "list with a selector, median",
            listed.quantile_ms(0.5),
            "ms",
        ),
        Row::new(
            "list with a selector, p99",
            listed.quantile_ms(0.99),
            "ms",
            Aim::AtMost(100.0),
        ),
        Row::plain("memory without clusters", empty_kib / 1024.0, "MiB"),
        Row::plain(
            "memory with clusters and connections",
            with_kib / 1024.0,
            "MiB",
        ),
        Row::plain(
            "memory with clusters, without connections",
            without_kib / 1024.0,
            "MiB",
        ),
        Row::new("memory of a cluster", own, "KiB", Aim::AtMost(20.0)),
        Row::plain("open connections", connections as f64, ""),
        Row::new(
            "memory of an open connection",
            of_connections,
            "KiB",
            Aim::AtMost(80.0),
        ),
    ])
}

/// The last of many first looks.
async fn wait_for_connections(members: &[FakeMember]) -> Result<()> {
    wait_for("a connection to each member", bed::PATIENCE, || async {
        let connected = members.iter().all(|member| member.connections() > 0);
        Ok(connected.then_some(()))
    })
    .await
}

/// One list after the other, each of a tenth of the clusters.
async fn lists(gateway: &Gateway) -> Result<Figures> {
    let target = bed::target(gateway)?;
    let request = target.get("/cluster?labelSelector=env%3Dprod", "");
    let mut kept = Kept::open(&target).await?;
    let begun = Instant::now();
    let mut figures = Figures::default();
    for _ in 0..LISTS {
        let asked = Instant::now();
        let body = kept.ask(&request).await?;
        figures.times.push(asked.elapsed());
        let list: serde_json::Value = serde_json::from_slice(&body)?;
        let rows = list["items"].as_array().map_or(0, Vec::len);
        if rows != CLUSTERS / 10 {
            bail!("a list of {rows} rows");
        }
    }
    figures.took = begun.elapsed();
    Ok(figures)
}

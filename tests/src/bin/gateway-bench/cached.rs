//! One cluster, from the mirror and through the registry's plugin, against a bare handler with the same object.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use optikon_tests::gateway::{Gateway, listening};
use optikon_tests::process::Process;
use optikon_tests::scratch;
use optikon_xtask::bench::{Aim, Row};

use crate::bed::{self, name};
use crate::load::{Target, closed, median};

const CONNECTIONS: usize = 32;
/// All sides take turns this often.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1500);

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let members = bed::members(1, Duration::ZERO).await?;
    members[0].nodes(3);
    let fresh = Gateway::start().await?;
    let config = format!("[plugins.slots.registry.limits]\nwarm-instances = {CONNECTIONS}\n");
    let warm = Gateway::builder().config(&config).start().await?;
    for gateway in [&fresh, &warm] {
        bed::register(gateway, &members).await?;
        bed::wait_for_ready(gateway, 1, "True").await?;
    }
    let path = format!("/cluster/{}?probe=cached", name(0));
    // A live look fills in what the background has not asked for yet.
    let live = format!("/cluster/{}", name(0));
    fresh.client()?.read(&live).await?;
    let object = fresh.client()?.read(&path).await?;

    let folder = scratch::folder()?;
    let file = folder.path().join("object.json");
    fs::write(&file, serde_json::to_vec(&object)?)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bare").arg(&file);
    let log = folder.path().join("bare.log");
    let (_bare, stdout) = Process::start_piped("gateway-bench bare", command, &log)?;
    let bare = Target::new(&listening(stdout).await?, "none")?;
    let (fresh_at, warm_at) = (bed::target(&fresh)?, bed::target(&warm)?);

    let no_cache = "Cache-Control: no-cache\r\n";
    let sides = [
        (&bare, bare.get(&path, "")),
        (&fresh_at, fresh_at.get(&path, "")),
        (&fresh_at, fresh_at.get(&path, no_cache)),
        (&warm_at, warm_at.get(&path, no_cache)),
    ];
    let mut rates = vec![Vec::new(); sides.len()];
    for _ in 0..ROUNDS {
        for ((target, request), rates) in sides.iter().zip(&mut rates) {
            rates.push(closed(target, request, CONNECTIONS, ROUND).await?.rate());
        }
    }
    let ratio = |side: usize| {
        let pairs = rates[side].iter().zip(&rates[0]);
        median(pairs.map(|(rate, bare)| rate / bare).collect())
    };
    Ok(vec![
        Row::plain("bare axum handler", median(rates[0].clone()), "/s"),
        Row::plain("from the mirror", median(rates[1].clone()), "/s"),
        Row::plain("no-cache, fresh instances", median(rates[2].clone()), "/s"),
        Row::plain("no-cache, warm instances", median(rates[3].clone()), "/s"),
        Row::new("from the mirror / bare", ratio(1), "", Aim::AtLeast(0.9)),
        Row::new("no-cache, fresh / bare", ratio(2), "", Aim::AtLeast(0.25)),
        Row::new("no-cache, warm / bare", ratio(3), "", Aim::AtLeast(0.7)),
    ])
}

//! Looks at healthy members, with and without members that accept connections and then say nothing.

use std::time::Duration;

use anyhow::Result;
use optikon_tests::fake::Door;
use optikon_tests::{FakeMember, Gateway, wait_for};
use optikon_xtask::bench::{Aim, Row};

use crate::bed::{self, name, registration};
use crate::load::{self, Figures, Target};

const HEALTHY: usize = 500;
/// One in a hundred.
const HOLES: usize = 5;
const LATENCY: Duration = Duration::from_millis(50);
const PER_SECOND: f64 = 60.0;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

fn hole(number: usize) -> String {
    format!("hole-{number}")
}

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let members = bed::members(HEALTHY, LATENCY).await?;
    let holes = bed::members(HOLES, Duration::ZERO).await?;
    holes.iter().for_each(|hole| hole.door(Door::BlackHole));
    let gateway = Gateway::start().await?;
    bed::register(&gateway, &members).await?;
    bed::wait_for_ready(&gateway, HEALTHY, "True").await?;
    let target = bed::target(&gateway)?;
    // Every connection is warm, and the background in its rhythm.
    round(&target, false).await?;

    let (mut without, mut with) = (Figures::default(), Figures::default());
    for _ in 0..ROUNDS {
        without.times.extend(round(&target, false).await?.times);
        register(&gateway, &holes).await?;
        with.times.extend(round(&target, true).await?.times);
        for number in 0..HOLES {
            let path = format!("/cluster/{}", hole(number));
            gateway.client()?.delete(&path).await?;
        }
        members.iter().for_each(FakeMember::forget);
    }
    let quantiles = [0.5, 0.99];
    let [without_p50, without_p99] = quantiles.map(|share| without.quantile_ms(share));
    let [with_p50, with_p99] = quantiles.map(|share| with.quantile_ms(share));
    Ok(vec![
        Row::plain("without silent members, median", without_p50, "ms"),
        Row::plain("with silent members, median", with_p50, "ms"),
        Row::plain("without silent members, p99", without_p99, "ms"),
        Row::plain("with silent members, p99", with_p99, "ms"),
        Row::new(
            "p99 with / without",
            with_p99 / without_p99,
            "",
            Aim::AtMost(1.1),
        ),
    ])
}

/// Registers the silent ones and waits until the background knows what they are.
async fn register(gateway: &Gateway, holes: &[FakeMember]) -> Result<()> {
    let mut bodies = Vec::new();
    for (number, member) in holes.iter().enumerate() {
        bodies.push(registration(
            &hole(number),
            number,
            &member.url(),
            &member.ca()?,
        ));
    }
    bed::register_all(gateway, &bodies).await?;
    wait_for("the silent members to be looked at", PATIENCE, || async {
        let looked = holes.iter().all(|member| member.most_connections() > 0);
        Ok(looked.then_some(()))
    })
    .await
}

/// A live look at every healthy member at a fixed rate; with `has_holes`, one at a silent one beside every hundredth.
async fn round(target: &Target, has_holes: bool) -> Result<Figures> {
    let silent = async {
        if has_holes {
            let requests = (0..HOLES)
                .map(|number| target.get(&format!("/cluster/{}?deadline=8s", hole(number)), ""));
            load::open(target, requests, PER_SECOND / 100.0).await?;
        }
        anyhow::Ok(())
    };
    let requests = (0..HEALTHY).map(|number| target.get(&format!("/cluster/{}", name(number)), ""));
    let (figures, silent) = tokio::join!(load::open(target, requests, PER_SECOND), silent);
    silent?;
    figures
}

//! A prober that loops for ever: how soon its calls end, and what reads of the registry notice meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use optikon_tests::{Gateway, scratch};
use optikon_xtask::bench::{Aim, Row};

use crate::bed::{self, name};
use crate::load::{self, Figures, Kept, Target};

const BUDGET_MS: u64 = 50;
const LOOPS: usize = 200;
/// Of what the gateway could answer, so that the machine has room.
const SHARE: f64 = 0.2;
const PHASE: Duration = Duration::from_secs(10);

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let members = bed::members(1, Duration::ZERO).await?;
    let folder = scratch::folder()?;
    bed::plugins_with("hostile-prober", folder.path())?;
    let config = format!(
        "[probing]\nreach_seconds = 3600\n\
         [plugins.slots.prober]\nplugin = \"hostile-prober\"\ngrants = [\"kube\", \"log\", \"config\"]\n\
         [plugins.slots.prober.config]\nbehaviour = \"spin\"\n\
         [plugins.slots.prober.limits]\ncpu-ms = {BUDGET_MS}\n"
    );
    let gateway = Gateway::builder()
        .plugins_folder(folder.path())
        .config(&config)
        .start()
        .await?;
    bed::register(&gateway, &members).await?;
    let target = bed::target(&gateway)?;
    let path = format!("/cluster/{}?probe=cached", name(0));
    let others = target.get(&path, "Cache-Control: no-cache\r\n");
    let looping = target.get(&format!("/cluster/{}", name(0)), "");

    let capacity = load::closed(&target, &others, 32, Duration::from_secs(3))
        .await?
        .rate();
    let per_second = capacity * SHARE;
    let mut alone = paced(&target, &others, per_second, PHASE).await?;
    let (mut stopped, mut beside) = tokio::try_join!(
        loops(&target, &looping),
        paced(&target, &others, per_second, PHASE)
    )?;
    let excess = stopped.quantile_ms(0.99) - BUDGET_MS as f64;
    let (alone_ms, beside_ms) = (alone.quantile_ms(0.99), beside.quantile_ms(0.99));
    Ok(vec![
        Row::plain("others, requests", per_second, "/s"),
        Row::plain("stopped after, median", stopped.quantile_ms(0.5), "ms"),
        Row::plain("stopped after, p99", stopped.quantile_ms(0.99), "ms"),
        Row::new("beyond its budget, p99", excess, "ms", Aim::AtMost(15.0)),
        Row::plain("others alone, p99", alone_ms, "ms"),
        Row::plain("others beside loops, p99", beside_ms, "ms"),
        Row::new(
            "what others notice, p99",
            beside_ms - alone_ms,
            "ms",
            Aim::AtMost(10.0),
        ),
    ])
}

/// One loop after the other, each to its end.
async fn loops(target: &Target, request: &[u8]) -> Result<Figures> {
    let mut kept = Kept::open(target).await?;
    let begun = Instant::now();
    let mut figures = Figures::default();
    for _ in 0..LOOPS {
        let asked = Instant::now();
        let body = kept.ask(request).await?;
        figures.times.push(asked.elapsed());
        let seen: serde_json::Value = serde_json::from_slice(&body)?;
        if seen["status"]["reason"] != "PluginLimit" {
            bail!("the loop ended otherwise: {seen:#}");
        }
    }
    figures.took = begun.elapsed();
    Ok(figures)
}

/// The same request at a fixed rate over a few connections; a time counts from when the request was due.
async fn paced(
    target: &Target,
    request: &[u8],
    per_second: f64,
    during: Duration,
) -> Result<Figures> {
    const CONNECTIONS: u32 = 16;
    let begun = Instant::now();
    let pause = Duration::from_secs_f64(f64::from(CONNECTIONS) / per_second);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CONNECTIONS {
        let mut kept = Kept::open(target).await?;
        let request = request.to_vec();
        tasks.spawn(async move {
            let mut due = begun + pause.mul_f64(f64::from(number) / f64::from(CONNECTIONS));
            let mut times = Vec::new();
            while due < begun + during {
                tokio::time::sleep_until(due.into()).await;
                // The timer's own grain is not the gateway's.
                let asked = Instant::now().min(due + Duration::from_millis(2));
                kept.ask(&request).await?;
                times.push(asked.elapsed());
                due += pause;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(Figures {
        times,
        took: begun.elapsed(),
    })
}

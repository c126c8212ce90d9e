//! `helm-bench CHART…`: how fast our engine renders, beside a `helm template` process and Helm's engine in process.
//!
//! Each figure is a median over rounds of one chart; the summary is the median over charts of the ratios. The last
//! line is all of it as JSON.
#![allow(
    clippy::print_stdout,
    reason = "a tool for the terminal says what it measured"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use helm_chart::{ArchiveLimits, Chart};
use helm_engine::{Facts, RenderLimits, Renderer, StaticFacts};
use helm_functions::NativeEnvironment;
use serde_json::json;

/// Measures rendering.
#[derive(Debug, Parser)]
struct Args {
    /// Chart archives.
    charts: Vec<PathBuf>,
    /// Measurements of each chart.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// The real Helm.
    #[arg(long, env = "OPTIKON_HELM")]
    helm: PathBuf,
    /// The program that renders in a loop with Helm's engine.
    #[arg(long, env = "OPTIKON_HELM_RENDER")]
    helm_render: PathBuf,
}

/// Releases rendered from one parsed chart.
const RELEASES: u32 = 100;

fn facts() -> Rc<dyn Facts> {
    Rc::new(StaticFacts::new("rel", "ns", Rc::new(NativeEnvironment)))
}

fn cold(archive: &[u8]) -> Result<()> {
    let chart = Chart::from_archive(archive, &ArchiveLimits::default())?;
    warm(&Renderer::new(chart))
}

fn warm(renderer: &Renderer) -> Result<()> {
    renderer.render(&serde_json::Map::new(), &facts(), &RenderLimits::default())?;
    Ok(())
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn timed(rounds: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        work()?;
        times.push(seconds(begun.elapsed()));
    }
    Ok(median(times))
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn main() -> Result<()> {
    let args = Args::parse();
    let loops = Command::new(&args.helm_render)
        .arg(args.rounds.to_string())
        .args(&args.charts)
        .output()
        .with_context(|| format!("run {}", args.helm_render.display()))?;
    let loops = String::from_utf8_lossy(&loops.stdout).into_owned();
    let mut rows = Vec::new();
    for (chart, in_process) in args.charts.iter().zip(loops.lines()) {
        let archive = fs::read(chart).with_context(|| format!("read {}", chart.display()))?;
        let Ok(in_process) = in_process.parse::<f64>() else {
            continue;
        };
        if cold(&archive).is_err() {
            continue;
        }
        let cold_seconds = timed(args.rounds, || cold(&archive))?;
        let renderer = Renderer::new(Chart::from_archive(&archive, &ArchiveLimits::default())?);
        let begun = Instant::now();
        for _ in 0..RELEASES {
            warm(&renderer)?;
        }
        let warm_seconds = seconds(begun.elapsed()) / f64::from(RELEASES);
        let process = timed(3.min(args.rounds), || {
            Command::new(&args.helm)
                .args(["template", "rel"])
                .arg(chart)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            Ok(())
        })?;
        rows.push((cold_seconds, warm_seconds, process, in_process / 1e9));
    }
    let over = |figure: fn(&(f64, f64, f64, f64)) -> f64| median(rows.iter().map(figure).collect());
    let (faster, slower, share) = (
        over(|row| row.2 / row.0),
        over(|row| row.0 / row.3),
        over(|row| row.1 / row.0),
    );
    println!("{} charts", rows.len());
    println!(
        "cold rendering, median             {:>8.2} ms",
        over(|row| row.0) * 1e3
    );
    println!("faster than a helm process         {faster:>8.1} x (at least 20)");
    println!("slower than Helm's engine          {slower:>8.2} x (at most 1.5)");
    println!(
        "a parsed chart's share of cold     {:>8.0} % (at most 60)",
        share * 100.0
    );
    println!(
        "{}",
        json!({
            "charts": rows.len(),
            "coldMs": over(|row| row.0) * 1e3,
            "fasterThanProcess": faster,
            "slowerThanEngine": slower,
            "parsedShare": share,
        })
    );
    Ok(())
}

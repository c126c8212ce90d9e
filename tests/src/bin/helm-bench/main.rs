//! `helm-bench CHART…`: how fast our engine renders, beside a `helm template` process and Helm's engine in process.
//!
//! Chart by chart the sides take turns. Each figure is a median over rounds of one chart, what is printed, as JSON, the
//! median over charts of the ratios.
#![allow(
    clippy::print_stdout,
    reason = "a tool for the terminal says what it measured"
)]

use std::fs;
use std::path::{Path, PathBuf};
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

/// Releases rendered from one parsed chart, or as many as this time allows: some charts make keys.
const RELEASES: u32 = 100;
const RELEASES_TIME: Duration = Duration::from_secs(2);

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

/// Nanoseconds that Helm's own engine takes; none where it refuses the chart.
fn theirs(args: &Args, chart: &Path) -> Result<Option<f64>> {
    let printed = Command::new(&args.helm_render)
        .arg(args.rounds.to_string())
        .arg(chart)
        .output()
        .with_context(|| format!("run {}", args.helm_render.display()))?;
    Ok(String::from_utf8_lossy(&printed.stdout).trim().parse().ok())
}

/// Seconds for a release of a chart that was parsed once; of a hundred, the first counts as well.
fn of_many(archive: &[u8]) -> Result<f64> {
    let begun = Instant::now();
    let renderer = Renderer::new(Chart::from_archive(archive, &ArchiveLimits::default())?);
    let mut releases = 0;
    while releases < RELEASES && (releases == 0 || begun.elapsed() < RELEASES_TIME) {
        warm(&renderer)?;
        releases += 1;
    }
    Ok(seconds(begun.elapsed()) / f64::from(releases))
}

/// One chart's figures, in seconds.
struct Row {
    cold: f64,
    of_many: f64,
    process: f64,
    in_process: f64,
}

fn measure(args: &Args, chart: &Path) -> Result<Option<Row>> {
    let archive = fs::read(chart).with_context(|| format!("read {}", chart.display()))?;
    let Some(in_process) = theirs(args, chart)? else {
        return Ok(None);
    };
    if cold(&archive).is_err() {
        return Ok(None);
    }
    Ok(Some(Row {
        cold: timed(args.rounds, || cold(&archive))?,
        of_many: of_many(&archive)?,
        process: timed(3.min(args.rounds), || {
            Command::new(&args.helm)
                .args(["template", "rel"])
                .arg(chart)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            Ok(())
        })?,
        in_process: in_process / 1e9,
    }))
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut rows = Vec::new();
    for chart in &args.charts {
        rows.extend(measure(&args, chart)?);
    }
    let over = |figure: fn(&Row) -> f64| median(rows.iter().map(figure).collect());
    println!(
        "{}",
        json!({
            "charts": rows.len(),
            "coldMs": over(|row| row.cold) * 1e3,
            "fasterThanProcess": over(|row| row.process / row.cold),
            "slowerThanEngine": over(|row| row.cold / row.in_process),
            "parsedShare": over(|row| row.of_many / row.cold),
        })
    );
    Ok(())
}

//! Rendering charts: our engine beside a `helm template` process and Helm's own engine in process.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Aim, Bench, Row, report};
use crate::folders::Folders;
use crate::{plugins, say, shell, testbed};

pub(super) const BENCH: Bench = Bench {
    name: "render",
    summary: "rendering charts, against the real Helm and its engine",
    run,
};

/// Where the sample of public charts lies: `OPTIKON_CHART_SAMPLES`, or beside the project.
fn samples(folders: &Folders) -> PathBuf {
    env::var_os("OPTIKON_CHART_SAMPLES")
        .map_or_else(|| folders.root.join("../shared/charts"), PathBuf::from)
}

fn charts(folders: &Folders) -> Result<Vec<PathBuf>> {
    let root = samples(folders);
    let mut charts = Vec::new();
    for folder in root
        .read_dir()
        .with_context(|| format!("list {}", root.display()))?
    {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in folder.read_dir()? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "tgz") {
                charts.push(file);
            }
        }
    }
    charts.sort();
    if charts.is_empty() {
        bail!(
            "no charts below {}; set OPTIKON_CHART_SAMPLES",
            root.display()
        );
    }
    Ok(charts)
}

fn run(folders: &Folders) -> Result<()> {
    let charts = charts(folders)?;
    let binaries = testbed::find(folders, &testbed::HELM)?;
    let helm_render = folders.target.join("bench").join("helm-render");
    say("go build ./render");
    shell::run(
        Command::new("go")
            .current_dir(testbed::HELM.folder(folders))
            .args(["build", "-o"])
            .arg(&helm_render)
            .arg("./render"),
    )?;
    say("cargo run --release --package optikon-tests --bin helm-bench");
    let printed = shell::output(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["run", "--quiet", "--release", "--package", "optikon-tests"])
            .args(["--bin", "helm-bench", "--"])
            .args(&charts)
            .env("OPTIKON_HELM", binaries.path("helm")?)
            .env("OPTIKON_HELM_RENDER", &helm_render),
    )?;
    let figures: Figures =
        serde_json::from_str(&printed).context("read the figures of helm-bench")?;
    let module = plugins::weigh(folders, "helm/module")?;
    report(folders, "render", &rows(&figures, module))
}

/// What `helm-bench` prints: medians over the charts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    charts: u32,
    cold_ms: f64,
    faster_than_process: f64,
    slower_than_engine: f64,
    parsed_share: f64,
}

fn rows(figures: &Figures, module_bytes: u64) -> Vec<Row> {
    let megabytes = module_bytes as f64 / 1e6;
    vec![
        Row::plain("charts", f64::from(figures.charts), ""),
        Row::plain("load and render", figures.cold_ms, "ms"),
        Row::new(
            "faster than a helm template process",
            figures.faster_than_process,
            "x",
            Aim::AtLeast(20.0),
        ),
        Row::new(
            "time beside Helm's engine in process",
            figures.slower_than_engine,
            "x",
            Aim::AtMost(1.5),
        ),
        Row::new(
            "100 releases of a chart parsed once, beside 100 charts",
            figures.parsed_share * 100.0,
            "%",
            Aim::AtMost(60.0),
        ),
        Row::new(
            "the engine as WebAssembly",
            megabytes,
            "MB",
            Aim::AtMost(4.0),
        ),
    ]
}

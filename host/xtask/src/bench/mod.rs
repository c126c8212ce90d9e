//! The benchmarks, a module each. Every one prints ratios from one run as a table and writes its figures to
//! `target/bench/<name>.json`, because absolute times of a shared machine compare with nothing.

mod charts;
mod gateway;
mod registry;
mod render;
mod rows;
mod start;
mod tiller;

use std::fs;

use anyhow::{Context, Result};

use crate::folders::Folders;
use crate::say;

pub use rows::{Aim, Row, report};

/// One benchmark.
#[derive(Debug)]
pub struct Bench {
    /// What `cargo xtask bench` calls it.
    pub name: &'static str,
    /// What it measures, in a line.
    pub summary: &'static str,
    /// Measures, prints, and writes the figures with [`record`] or, when they have aims, [`report`].
    pub run: fn(&Folders) -> Result<()>,
}

/// All benchmarks.
pub const ALL: &[Bench] = &[
    charts::BENCH,
    registry::BENCH,
    render::BENCH,
    start::BENCH,
    tiller::BENCH,
    gateway::CACHED,
    gateway::LIVE,
    gateway::HOLES,
    gateway::LOOP,
    gateway::FLEET,
];

/// Names for several at once.
pub const GROUPS: &[(&str, &[&str])] = &[(
    "gateway",
    &["start", "cached", "live", "holes", "loop", "fleet"],
)];

/// Writes a benchmark's figures to `target/bench/<name>.json`.
///
/// # Errors
/// When the file cannot be written.
pub fn record(folders: &Folders, name: &str, figures: &serde_json::Value) -> Result<()> {
    let folder = folders.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let file = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(figures).context("write the figures as JSON")?;
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    say(file.display());
    Ok(())
}

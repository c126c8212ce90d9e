//! The benchmarks, a module each. Every one prints ratios from one run as a table and writes its figures to
//! `target/bench/<name>.json`, because absolute times of a shared machine compare with nothing.

mod charts;
mod gateway;
mod registry;
mod render;
mod rows;
mod start;
mod tiller;

use anyhow::Result;

use crate::folders::Folders;

pub use rows::{Aim, Row, report};

/// One benchmark.
#[derive(Debug)]
pub struct Bench {
    /// What `cargo xtask bench` calls it.
    pub name: &'static str,
    /// What it measures, in a line.
    pub summary: &'static str,
    /// Measures, and ends with [`report`].
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

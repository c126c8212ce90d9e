//! `charts-bench [PART…]`: the release build of the gateway and of `charts-helm`, installing.
//!
//! What has an aim is a ratio of one run: to the real Helm on the same servers, to the least that the members' own answers
//! allow, to a limit of the plugin. Run by `cargo xtask bench charts`, which builds what is measured.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a tool for the terminal says what it measured; JSON literals are read by index"
)]

mod bed;
mod members;
mod plan;
mod real;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use optikon_xtask::bench::report;
use optikon_xtask::folders::Folders;

/// Measures releases on many clusters.
#[derive(Parser)]
struct Args {
    /// Only these parts. Default: all.
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Ten real API servers, beside ten processes of Helm.
    Real,
    /// A hundred members with 50 ms answers.
    Members,
    /// A plan of fifty templates.
    Plan,
    /// An operation over a thousand members.
    Journal,
}

#[tokio::main]
async fn main() -> Result<()> {
    // A thousand members in this process: two descriptors each.
    if optikon_tests::process::raise_descriptors(65_536)? < 8_192 {
        bail!("too few file descriptors; raise the hard limit (ulimit -Hn) to 8,192");
    }
    let asked = Args::parse().parts;
    let is_asked = |part| asked.is_empty() || asked.contains(&part);
    let mut rows = Vec::new();
    if is_asked(Part::Real) {
        rows.extend(real::measure().await?);
    }
    if is_asked(Part::Members) {
        rows.extend(members::hundred().await?);
    }
    if is_asked(Part::Plan) {
        rows.extend(plan::measure().await?);
    }
    if is_asked(Part::Journal) {
        rows.extend(members::thousand().await?);
    }
    report(&Folders::here(), "charts", &rows)
}

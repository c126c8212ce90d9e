//! `gateway-bench NAME`: the release build of the gateway under load, beside what it is compared with.
//!
//! Gateway, comparison and load share one machine, so each figure that has an aim is a ratio or a difference of
//! measurements that took turns. Run by `cargo xtask bench NAME`, which builds what is measured.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a tool for the terminal says what it measured; JSON literals are read by index"
)]

mod bare;
mod bed;
mod cached;
mod fleet;
mod holes;
mod live;
mod load;
mod looping;
mod native;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use optikon_xtask::bench::report;
use optikon_xtask::folders::Folders;

/// Measures the gateway.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One cluster, again and again: from the mirror, through the plugin.
    Cached,
    /// A live look at many members.
    Live,
    /// Healthy members beside silent ones.
    Holes,
    /// A plugin that loops.
    Loop,
    /// Thousands of registered clusters.
    Fleet,
    /// What `cached` compares with; serves until killed.
    #[command(hide = true)]
    Bare {
        /// The object to serialise, JSON.
        object: std::path::PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    // Thousands of members in this process: two descriptors each.
    if optikon_tests::process::raise_descriptors(65_536)? < 16_384 {
        bail!("too few file descriptors; raise the hard limit (ulimit -Hn) to 16,384");
    }
    let (name, rows) = match Args::parse().what {
        What::Cached => ("cached", cached::measure().await?),
        What::Live => ("live", live::measure().await?),
        What::Holes => ("holes", holes::measure().await?),
        What::Loop => ("loop", looping::measure().await?),
        What::Fleet => ("fleet", fleet::measure().await?),
        What::Bare { object } => return bare::serve(&object).await,
    };
    report(&Folders::here(), name, &rows)
}

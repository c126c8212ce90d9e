//! `tiller-bench`: many Tillers listed through the gateway beside as many real Helm 2 clients, and one tunnel by itself.
//!
//! Both sides take turns on one machine, so each aim is a ratio within one run. Run by `cargo xtask bench tiller`.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a tool for the terminal says what it measured; JSON literals are read by index"
)]

mod lists;
mod tunnel;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use optikon_tests::{Cluster, Testbed};
use optikon_xtask::bench::report;
use optikon_xtask::folders::Folders;
use optikon_xtask::say;

/// Clusters with a Tiller each.
const CLUSTERS: usize = 10;
/// Clusters started at once; each start keeps two cores busy.
const AT_ONCE: usize = 2;

#[tokio::main]
async fn main() -> Result<()> {
    let testbed = Testbed::start().await?;
    say(format_args!("{CLUSTERS} clusters with a Tiller each"));
    let starts = (0..CLUSTERS).map(|i| {
        let testbed = &testbed;
        async move {
            testbed
                .cluster(&format!("tiller-{i}"))
                .tiller()
                .start()
                .await
        }
    });
    let clusters: Vec<Cluster> = stream::iter(starts).buffered(AT_ONCE).try_collect().await?;
    let mut rows = lists::measure(&clusters).await?;
    rows.extend(tunnel::measure(&testbed, &clusters[0]).await?);
    report(&Folders::here(), "tiller", &rows)
}

/// The middle of some figures.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

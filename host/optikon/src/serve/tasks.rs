//! What runs beside the requests; all of it ends when this is dropped.

use std::{path::Path, time::Duration};

use tokio::task::JoinSet;

use super::{backup, wiring::Joined};
use crate::config::Config;

/// Old operations, audit records and idempotency keys are removed this often.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Starts the background.
pub(crate) fn start(joined: &Joined, config: &Config, folder: &Path) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let clusters = joined.gateway.clusters.clone();
    let periods = config.probing.periods();
    let swapped = joined.swapped.clone();
    {
        let clusters = clusters.clone();
        tasks.spawn(async move { clusters.feed(swapped).await });
    }
    {
        let clusters = clusters.clone();
        tasks.spawn(async move { clusters.save().await });
    }
    {
        let clusters = clusters.clone();
        tasks.spawn(async move { clusters.probe(periods).await });
    }
    tasks.spawn(async move { clusters.keep_rounds(periods).await });
    let clusters = joined.gateway.clusters.clone();
    tasks.spawn(async move { clusters.renew().await });
    let charts = joined.gateway.charts.clone();
    tasks.spawn(async move { charts.work().await });
    tasks.spawn(backup::answer(folder.to_path_buf(), joined.store.clone()));
    let swaps = joined.gateway.swaps.clone();
    tasks.spawn(async move { swaps.work().await });
    let (store, world) = (joined.store.clone(), joined.gateway.world.clone());
    tasks.spawn(async move {
        loop {
            match store.sweep(world.now_ms()).await {
                Ok(swept) => tracing::debug!(?swept, "removed what is past its retention"),
                Err(error) => tracing::warn!(%error, "could not remove what is past its retention"),
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    });
    tasks
}

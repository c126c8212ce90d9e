//! What runs beside the requests; all of it ends when this is dropped.

use std::{io, path::Path, thread, time::Duration};

use tokio::{runtime::Handle, sync::oneshot, task::JoinSet};

use super::{backup, wiring::Joined};
use crate::config::Config;

/// Old operations, audit records and idempotency keys are removed this often.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// A request that comes goes before a swap that computes. No more than that: while changes are held it has to come to an end,
/// on a busy machine too.
const SWAP_NICENESS: i32 = 5;

/// The background; all of it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    _tasks: JoinSet<()>,
    _asides: [Aside; 2],
}

/// A thread for work that takes a processor for a while: thousands of clusters are read and compared, by plugins too. Among
/// the requests each step of it would be one that they wait for. What it waits for itself is the runtime's as usual.
#[derive(Debug)]
struct Aside {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Aside {
    fn run(
        name: &str,
        niceness: i32,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = Handle::current();
        let run = move || {
            if niceness > 0 {
                step_back(niceness);
            }
            runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    // Dropped, never sent.
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name(format!("optikon-{name}"));
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread.spawn(run)?),
        })
    }
}

/// The calling thread's, which is what Linux means by this call. Elsewhere it would be the whole process.
#[cfg(target_os = "linux")]
fn step_back(niceness: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, "a swap takes as much of the processor as requests");
    }
}

#[cfg(not(target_os = "linux"))]
fn step_back(_: i32) {}

impl Drop for Aside {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Its work is dropped at the next point where it waits, a few milliseconds away.
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the background ended in a panic");
        }
    }
}

/// Starts the background.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(joined: &Joined, config: &Config, folder: &Path) -> io::Result<Background> {
    let mut tasks = JoinSet::new();
    let clusters = joined.gateway.clusters.clone();
    let periods = config.probing.periods();
    let swapped = joined.swapped.clone();
    let feed = {
        let clusters = clusters.clone();
        Aside::run("feed", 0, async move { clusters.feed(swapped).await })?
    };
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
    let swap = Aside::run("swap", SWAP_NICENESS, async move { swaps.work().await })?;
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
    Ok(Background {
        _tasks: tasks,
        _asides: [feed, swap],
    })
}

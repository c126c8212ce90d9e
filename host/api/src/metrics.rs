//! What `/metrics` shows. Labels are bounded words: routes, statuses, slots, functions, clusters.

mod scrape;

use std::{
    fmt::Write,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

pub(crate) use scrape::Scrape;
use scrape::Scraped;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
    status: u16,
}

/// The gateway's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Route, Histogram>,
    scraped: Scraped,
    tunnels_open: Gauge,
    tunnels: OnceLock<Arc<AtomicUsize>>,
    watches: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::<Route, Histogram>::new_with_constructor(|| {
            // 0.5 ms to 16 s
            Histogram::new(exponential_buckets(0.0005, 2.0, 16))
        });
        let mut registry = Registry::default();
        registry.register(
            "optikon_http_request_seconds",
            "Time from the request's head to the head of its answer",
            requests.clone(),
        );
        let tunnels_open = Gauge::default();
        registry.register(
            "optikon_tunnels_open",
            "Tunnels to pods that are open",
            tunnels_open.clone(),
        );
        let scraped = Scraped::default();
        registry.register_collector(Box::new(scraped.clone()));
        Self {
            registry: Mutex::new(registry),
            requests,
            scraped,
            tunnels_open,
            tunnels: OnceLock::new(),
            watches: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// One request was answered.
    pub(crate) fn request(&self, route: &'static str, status: u16, took: Duration) {
        self.requests
            .get_or_create(&Route { route, status })
            .observe(took.as_secs_f64());
    }

    /// Where the number of open tunnels is; the first one stays.
    pub fn count_tunnels(&self, tunnels: Arc<AtomicUsize>) {
        if self.tunnels.set(tunnels).is_err() {
            tracing::warn!("tunnels are counted already");
        }
    }

    /// Counts a watch while the answer lives.
    pub(crate) fn watch_started(&self) {
        self.watches.fetch_add(1, Relaxed);
    }

    /// … and no longer.
    pub(crate) fn watch_ended(&self) {
        self.watches.fetch_sub(1, Relaxed);
    }

    /// The text of `/metrics`, with what is known of members, slots and operations right now.
    pub(crate) fn render(&self, scrape: Scrape) -> String {
        // One scrape at a time: what is shown beside the registry's own is put there for each.
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.scraped.set(Scrape {
            watches: self.watches.load(Relaxed),
            ..scrape
        });
        let tunnels = self.tunnels.get().map_or(0, |open| open.load(Relaxed));
        self.tunnels_open
            .set(i64::try_from(tunnels).unwrap_or(i64::MAX));
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            text.clear();
            let _ = write!(text, "# the metrics could not be written\n# EOF\n");
        }
        text
    }
}

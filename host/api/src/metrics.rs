//! What `/metrics` shows. Labels are bounded words: routes, statuses, slots, functions, clusters.

use std::{
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use optikon_core::{flows::mirror::Entry, ports::SlotInfo};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ready {
    cluster: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Function {
    slot: String,
    function: String,
    outcome: &'static str,
}

/// The gateway's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Route, Histogram>,
    ready: Family<Ready, Gauge>,
    calls: Family<Function, Gauge>,
    registry_age: Gauge<f64, AtomicU64>,
    watches: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::<Route, Histogram>::new_with_constructor(|| {
            // 0.5 ms to 16 s
            Histogram::new(exponential_buckets(0.0005, 2.0, 16))
        });
        let ready = Family::<Ready, Gauge>::default();
        let calls = Family::<Function, Gauge>::default();
        let registry_age = Gauge::default();
        let mut registry = Registry::default();
        registry.register(
            "optikon_http_request_seconds",
            "Time from the request's head to the head of its answer",
            requests.clone(),
        );
        registry.register(
            "optikon_cluster_ready",
            "1 when the member is ready, else 0 with the reason",
            ready.clone(),
        );
        registry.register(
            "optikon_plugin_calls",
            "Calls of a plugin's function since the plugin was loaded",
            calls.clone(),
        );
        registry.register(
            "optikon_registry_age_seconds",
            "Time since the registry was last heard",
            registry_age.clone(),
        );
        Self {
            registry: Mutex::new(registry),
            requests,
            ready,
            calls,
            registry_age,
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

    /// Counts a watch while the answer lives.
    pub(crate) fn watch_started(&self) {
        self.watches.fetch_add(1, Relaxed);
    }

    /// … and no longer.
    pub(crate) fn watch_ended(&self) {
        self.watches.fetch_sub(1, Relaxed);
    }

    /// The text of `/metrics`, with what is known of members and slots right now.
    pub(crate) fn render<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
        slots: &[SlotInfo],
        age: Duration,
    ) -> String {
        // One scrape at a time: the families below are made anew for each.
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.ready.clear();
        for entry in entries {
            let ready = entry.health.condition("Ready");
            let is_ready = ready.is_some_and(|c| c.status == "True");
            let reason = ready.map_or("Unknown", |c| c.reason.as_str()).to_owned();
            let cluster = entry.cluster.name().to_string();
            self.ready
                .get_or_create(&Ready { cluster, reason })
                .set(is_ready.into());
        }
        self.calls.clear();
        for slot in slots {
            for (function, stats) in &slot.calls {
                for (outcome, count) in [("ok", stats.ok), ("failed", stats.failed)] {
                    let (slot, function) = (slot.slot.to_string(), function.clone());
                    let gauge = self
                        .calls
                        .get_or_create(&Function {
                            slot,
                            function,
                            outcome,
                        })
                        .clone();
                    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
                }
            }
        }
        self.registry_age.set(age.as_secs_f64());
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            text.clear();
            let _ = write!(text, "# the metrics could not be written\n# EOF\n");
        }
        text
    }
}

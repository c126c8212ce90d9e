//! What is counted elsewhere and only read for a scrape: members, looks, plugins, operations.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use optikon_core::{
    flows::{charts::TargetCounts, looks::LookSeries, mirror::Entry},
    ports::SlotMetrics,
    words::{BUCKETS_SECONDS, Durations},
};
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, MetricEncoder,
        NoLabelSet,
    },
    metrics::{MetricType, gauge::ConstGauge},
};

/// Everything that one scrape reads.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    /// Unix milliseconds.
    pub(crate) now_ms: u64,
    /// Every cluster.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// Since the registry was last heard.
    pub(crate) registry_age: Duration,
    /// Every slot.
    pub(crate) slots: Vec<SlotMetrics>,
    /// Looks at members.
    pub(crate) looks: LookSeries,
    /// Targets of operations.
    pub(crate) targets: TargetCounts,
    /// Rows of operations until they were durable.
    pub(crate) journaled: Durations,
    /// Open watches of clients.
    pub(crate) watches: u64,
}

/// Shows the last [`Scrape`] it was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scraped(Arc<Mutex<Scrape>>);

impl Scraped {
    pub(crate) fn set(&self, scrape: Scrape) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = scrape;
    }
}

/// Labels, each with a value.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

struct Gauges<L, V>(Vec<(L, V)>);

impl<L: EncodeLabelSet, V: EncodeGaugeValue> EncodeMetric for Gauges<L, V> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, value) in &self.0 {
            encoder.encode_family(labels)?.encode_gauge(value)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// One without labels: a family of none would be shown with `{}`.
struct Histogram<'a>(&'a Durations);

impl EncodeMetric for Histogram<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encode(&mut encoder, self.0)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, durations: &Durations) -> fmt::Result {
    let bounds = BUCKETS_SECONDS.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(durations.buckets).collect();
    let (sum, count) = (durations.sum_seconds, durations.count);
    encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

struct Histograms<'a, L>(Vec<(L, &'a Durations)>);

impl<L: EncodeLabelSet> EncodeMetric for Histograms<'_, L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, durations) in &self.0 {
            encode(&mut encoder.encode_family(labels)?, durations)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

fn put(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

impl Scrape {
    fn ready(&self) -> Gauges<Labels<'_, 2>, i64> {
        let rows = self.entries.iter().map(|entry| {
            let ready = entry.health.condition("Ready");
            let reason = ready.map_or("Unknown", |c| &*c.reason);
            let is_ready = ready.is_some_and(|c| *c.status == *"True");
            let labels = [
                ("cluster", entry.cluster.name().as_str()),
                ("reason", reason),
            ];
            (labels, i64::from(is_ready))
        });
        Gauges(rows.collect())
    }

    fn expiries(&self) -> Gauges<Labels<'_, 1>, f64> {
        let rows = self.entries.iter().filter_map(|entry| {
            let ends = entry.health.credential_ends_ms?;
            // Negative when it is over.
            let seconds = (ends as f64 - self.now_ms as f64) / 1000.0;
            Some(([("cluster", entry.cluster.name().as_str())], seconds))
        });
        Gauges(rows.collect())
    }

    fn calls(&self) -> Histograms<'_, Labels<'_, 3>> {
        let rows = self.slots.iter().flat_map(|slot| {
            slot.calls.iter().map(|calls| {
                let labels = [
                    ("slot", slot.slot.as_str()),
                    ("function", calls.function),
                    ("outcome", calls.outcome),
                ];
                (labels, &calls.seconds)
            })
        });
        Histograms(rows.collect())
    }

    fn looks(&self) -> Histograms<'_, Labels<'_, 2>> {
        let rows = self.looks.iter().map(|((depth, verdict), took)| {
            let labels = [("depth", depth.as_str()), ("verdict", verdict.as_str())];
            (labels, took)
        });
        Histograms(rows.collect())
    }

    fn memory(&self) -> Gauges<Labels<'_, 1>, u64> {
        let rows = self
            .slots
            .iter()
            .map(|slot| ([("slot", slot.slot.as_str())], slot.memory_bytes));
        Gauges(rows.collect())
    }

    fn targets(&self) -> Gauges<Labels<'_, 1>, u64> {
        let rows = self
            .targets
            .iter()
            .map(|(state, count)| ([("state", state.as_str())], *count));
        Gauges(rows.collect())
    }
}

impl Collector for Scraped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let scrape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let to = &mut encoder;
        put(
            to,
            "optikon_cluster_ready",
            "1 when the member is ready, else 0 with the reason",
            &scrape.ready(),
        )?;
        put(
            to,
            "optikon_credential_expiry_seconds",
            "Time until the credential of a member ends, where it says when",
            &scrape.expiries(),
        )?;
        put(
            to,
            "optikon_probe_seconds",
            "Looks at members, by what they asked for and what they found",
            &scrape.looks(),
        )?;
        put(
            to,
            "optikon_plugin_call_seconds",
            "Calls of a plugin's function since the plugin began to serve",
            &scrape.calls(),
        )?;
        put(
            to,
            "optikon_plugin_memory_bytes",
            "Linear memory that a slot's instances hold now",
            &scrape.memory(),
        )?;
        put(
            to,
            "optikon_operation_targets",
            "Targets by state, of operations under way and of those that ended since the start",
            &scrape.targets(),
        )?;
        put(
            to,
            "optikon_operation_journal_seconds",
            "Time that a cluster waited for the journal: before its first change, and at the end of its wave",
            &Histogram(&scrape.journaled),
        )?;
        put(
            to,
            "optikon_registry_age_seconds",
            "Time since the registry was last heard",
            &ConstGauge::new(scrape.registry_age.as_secs_f64()),
        )?;
        put(
            to,
            "optikon_watches",
            "Open watches of clients",
            &ConstGauge::new(scrape.watches),
        )
    }
}

#[cfg(test)]
mod tests {
    use optikon_core::{
        ports::CallSeries,
        words::{Depth, TargetState, Verdict},
    };

    use super::*;
    use crate::Metrics;

    #[test]
    fn every_series_has_its_name_and_labels() {
        let mut took = Durations::default();
        took.record(Duration::from_millis(3));
        let scrape = Scrape {
            registry_age: Duration::from_millis(1500),
            slots: vec![SlotMetrics {
                slot: "registry".parse().unwrap(),
                memory_bytes: 65_536,
                calls: vec![CallSeries {
                    function: "get",
                    outcome: "ok",
                    seconds: took.clone(),
                }],
            }],
            looks: [((Depth::Nodes, Verdict::NotReady), took.clone())].into(),
            journaled: took,
            targets: [(TargetState::RolledBack, 2)].into(),
            ..Scrape::default()
        };
        let text = Metrics::default().render(scrape);
        for line in [
            "# TYPE optikon_plugin_call_seconds histogram",
            "optikon_plugin_call_seconds_bucket{le=\"0.001\",slot=\"registry\",function=\"get\",outcome=\"ok\"} 0",
            "optikon_plugin_call_seconds_bucket{le=\"0.005\",slot=\"registry\",function=\"get\",outcome=\"ok\"} 1",
            "optikon_plugin_call_seconds_bucket{le=\"+Inf\",slot=\"registry\",function=\"get\",outcome=\"ok\"} 1",
            "optikon_plugin_call_seconds_count{slot=\"registry\",function=\"get\",outcome=\"ok\"} 1",
            "optikon_probe_seconds_count{depth=\"nodes\",verdict=\"not-ready\"} 1",
            "optikon_plugin_memory_bytes{slot=\"registry\"} 65536",
            "optikon_operation_targets{state=\"rolled-back\"} 2",
            "optikon_operation_journal_seconds_count 1",
            "optikon_registry_age_seconds 1.5",
            "optikon_watches 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}

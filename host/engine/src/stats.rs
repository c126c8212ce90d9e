//! How calls ended, by function, for `/plugins` and `/metrics`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use optikon_core::ports::FunctionStats;

/// Upper bounds of the buckets in seconds; the last bucket has none.
pub const BUCKETS_SECONDS: [f64; 11] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0,
];

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// With an answer.
    Ok,
    /// With a typed error of the plugin.
    Error,
    /// Trapped, crossed a limit, ran out of time, or broke the contract.
    Failed,
}

impl Outcome {
    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Failed => "failed",
        }
    }
}

/// Durations of calls that ended alike.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Calls by bucket of [`BUCKETS_SECONDS`] (not cumulative), and above the last.
    pub buckets: [u64; BUCKETS_SECONDS.len() + 1],
    /// Sum of all durations.
    pub sum_seconds: f64,
    /// Number of calls.
    pub count: u64,
}

/// One series of `optikon_plugin_call_seconds`.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSeries {
    /// The function of the world.
    pub function: &'static str,
    /// How the calls ended.
    pub outcome: Outcome,
    /// How long they took.
    pub seconds: Histogram,
}

/// Calls since a plugin began to serve.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<BTreeMap<(&'static str, Outcome), Histogram>>);

impl Stats {
    pub(crate) fn record(&self, function: &'static str, outcome: Outcome, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS_SECONDS.iter().position(|bound| seconds <= *bound);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.entry((function, outcome)).or_default();
        if let Some(count) = series
            .buckets
            .get_mut(bucket.unwrap_or(BUCKETS_SECONDS.len()))
        {
            *count += 1;
        }
        series.sum_seconds += seconds;
        series.count += 1;
    }

    pub(crate) fn series(&self) -> Vec<CallSeries> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.iter().map(|((function, outcome), seconds)| CallSeries {
            function,
            outcome: *outcome,
            seconds: seconds.clone(),
        });
        series.collect()
    }

    pub(crate) fn by_function(&self) -> BTreeMap<String, FunctionStats> {
        let mut found = BTreeMap::<String, FunctionStats>::new();
        for series in self.series() {
            let stats = found.entry(series.function.to_owned()).or_default();
            match series.outcome {
                Outcome::Ok | Outcome::Error => stats.ok += series.seconds.count,
                Outcome::Failed => stats.failed += series.seconds.count,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_function_and_end() {
        let stats = Stats::default();
        stats.record("get", Outcome::Ok, Duration::from_millis(2));
        stats.record("get", Outcome::Error, Duration::from_millis(2));
        stats.record("get", Outcome::Failed, Duration::from_secs(60));
        let get = &stats.by_function()["get"];
        assert_eq!((get.ok, get.failed), (2, 1));
        let failed = stats
            .series()
            .into_iter()
            .find(|s| s.outcome == Outcome::Failed)
            .unwrap();
        assert_eq!(failed.seconds.buckets[BUCKETS_SECONDS.len()], 1);
    }
}

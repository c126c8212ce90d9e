//! How calls ended, by function, for `/plugins` and `/metrics`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use optikon_core::{
    ports::{CallSeries, FunctionStats},
    words::Durations,
};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// With an answer.
    Ok,
    /// With a typed error of the plugin.
    Error,
    /// Trapped, crossed a limit, ran out of time, or broke the contract.
    Failed,
}

impl Outcome {
    /// The label in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Failed => "failed",
        }
    }
}

/// Calls since a plugin began to serve.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<BTreeMap<(&'static str, Outcome), Durations>>);

impl Stats {
    pub(crate) fn record(&self, function: &'static str, outcome: Outcome, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((function, outcome)).or_default().record(took);
    }

    pub(crate) fn series(&self) -> Vec<CallSeries> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.iter().map(|((function, outcome), seconds)| CallSeries {
            function,
            outcome: outcome.as_str(),
            seconds: seconds.clone(),
        });
        series.collect()
    }

    pub(crate) fn by_function(&self) -> BTreeMap<String, FunctionStats> {
        let mut found = BTreeMap::<String, FunctionStats>::new();
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((function, outcome), seconds) in all.iter() {
            let stats = found.entry((*function).to_owned()).or_default();
            match outcome {
                Outcome::Ok | Outcome::Error => stats.ok += seconds.count,
                Outcome::Failed => stats.failed += seconds.count,
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
        let outcomes: Vec<_> = stats.series().iter().map(|s| s.outcome).collect();
        assert_eq!(outcomes, ["ok", "error", "failed"]);
    }
}

//! How long things took, counted in buckets.

use std::time::Duration;

/// Upper bounds of the buckets in seconds; above the last there is one more.
pub const BUCKETS_SECONDS: [f64; 12] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0,
];

/// Durations of things that are alike.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    /// By bucket of [`BUCKETS_SECONDS`] (not cumulative), and above the last.
    pub buckets: [u64; BUCKETS_SECONDS.len() + 1],
    /// The sum of all.
    pub sum_seconds: f64,
    /// How many.
    pub count: u64,
}

impl Durations {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS_SECONDS.iter().position(|bound| seconds <= *bound);
        if let Some(count) = self
            .buckets
            .get_mut(bucket.unwrap_or(BUCKETS_SECONDS.len()))
        {
            *count += 1;
        }
        self.sum_seconds += seconds;
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lands_in_the_first_bucket_that_holds_it() {
        let mut durations = Durations::default();
        for ms in [5, 6, 60_000] {
            durations.record(Duration::from_millis(ms));
        }
        assert_eq!(durations.buckets, [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((durations.count, durations.sum_seconds), (3, 60.011));
    }
}

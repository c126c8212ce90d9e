//! How many requests a member gets over time.

use std::sync::{Mutex, PoisonError};

use tokio::time::{Duration, Instant};

/// A bucket of requests that refills steadily.
#[derive(Debug)]
pub(crate) struct Budget {
    interval: Duration,
    ahead: Duration,
    /// When the bucket will be full again.
    full_at: Mutex<Option<Instant>>,
}

impl Budget {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self {
            interval,
            ahead: interval.saturating_mul(burst.saturating_sub(1)),
            full_at: Mutex::default(),
        }
    }

    /// Takes one request's worth and says how long to wait before it may be sent.
    fn take(&self) -> Duration {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let base = full_at.map_or(now, |at| at.max(now));
        *full_at = Some(base + self.interval);
        base.duration_since(now).saturating_sub(self.ahead)
    }

    /// Waits for a turn. Dropped while waiting, the turn is lost, which errs on the slow side.
    pub(crate) async fn turn(&self) {
        let wait = self.take();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_the_rest_waits_its_turn() {
        let budget = Budget::new(10, 3);
        for _ in 0..3 {
            assert_eq!(budget.take(), Duration::ZERO);
        }
        assert_eq!(budget.take(), Duration::from_millis(100));
        assert_eq!(budget.take(), Duration::from_millis(200));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(budget.take(), Duration::ZERO);
    }
}

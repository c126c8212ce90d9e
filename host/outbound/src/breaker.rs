//! A member that fails again and again is left alone for a while, so that it costs nobody's time.

use std::sync::{Mutex, PoisonError};

use optikon_core::words::{Fault, FaultReason};
use tokio::time::{Duration, Instant};

use crate::fault::fault;

/// One member's breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    first_pause: Duration,
    max_pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    last: Option<Fault>,
    /// When the next attempt may be made; set while open.
    retry_at: Option<Instant>,
    /// Somebody is making that attempt.
    is_probing: bool,
}

/// Leave to make one exchange. Dropped without a word, it counts for nothing.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
}

impl Breaker {
    pub(crate) fn new(threshold: u32, first_pause: Duration, max_pause: Duration) -> Self {
        Self {
            threshold,
            first_pause,
            max_pause,
            state: Mutex::default(),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks for leave; a live request always gets it.
    pub(crate) fn admit(&self, is_live: bool) -> Result<Pass<'_>, Fault> {
        self.with(|s| {
            let mut is_probe = false;
            if let Some(retry_at) = s.retry_at {
                let wait = retry_at.saturating_duration_since(Instant::now());
                is_probe = wait.is_zero() && !s.is_probing;
                if !is_probe && !is_live {
                    return Err(s.refusal(wait));
                }
                s.is_probing |= is_probe;
            }
            Ok(Pass {
                breaker: self,
                is_probe,
            })
        })
    }

    fn pause(&self, failures: u32, dice: u64) -> Duration {
        let doublings = failures.saturating_sub(self.threshold).min(16);
        let pause = self
            .first_pause
            .saturating_mul(1 << doublings)
            .min(self.max_pause);
        // Between half and all of it: members that failed together do not come back together.
        let share = 512 + u32::try_from(dice % 513).unwrap_or(0);
        pause / 1024 * share
    }
}

impl State {
    fn refusal(&self, wait: Duration) -> Fault {
        let last = self.last.as_ref();
        let reason = last.map_or("Unknown", |f| f.reason.reason());
        let message = last.map_or("", |f| f.message.as_str());
        let when = if wait.is_zero() {
            "being tried again right now".to_owned()
        } else {
            format!("not tried again for {} ms", wait.as_millis())
        };
        fault(
            FaultReason::BreakerOpen,
            format!(
                "{reason}: {message} ({when}, after {} failures in a row)",
                self.failures
            ),
        )
    }
}

impl Pass<'_> {
    /// The member answered, whatever it said.
    pub(crate) fn succeed(self) {
        self.breaker.with(|s| {
            s.failures = 0;
            s.last = None;
            s.retry_at = None;
        });
    }

    /// The member could not be reached or made no sense. `dice` is any random number.
    pub(crate) fn fail(self, fault: &Fault, dice: u64) {
        let breaker = self.breaker;
        breaker.with(|s| {
            s.failures = s.failures.saturating_add(1);
            s.last = Some(fault.clone());
            if s.failures >= breaker.threshold {
                s.retry_at = Some(Instant::now() + breaker.pause(s.failures, dice));
            }
        });
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.with(|s| s.is_probing = false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(5, Duration::from_secs(1), Duration::from_secs(30))
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            let pass = breaker.admit(true).unwrap();
            pass.fail(&fault(FaultReason::Connect, "refused"), 512);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_open_it_and_the_real_reason_stays() {
        let breaker = breaker();
        fail(&breaker, 4);
        assert!(breaker.admit(false).is_ok());
        fail(&breaker, 1);
        let refusal = breaker.admit(false).unwrap_err();
        assert_eq!(refusal.reason, FaultReason::BreakerOpen);
        assert!(refusal.message.starts_with("Connect: refused ("));
        assert!(breaker.admit(true).is_ok(), "a live request passes");
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_after_the_pause_decides() {
        let breaker = breaker();
        fail(&breaker, 5);
        tokio::time::advance(Duration::from_secs(1)).await;
        let probe = breaker.admit(false).unwrap();
        assert!(breaker.admit(false).is_err(), "one at a time");
        drop(probe);
        let probe = breaker.admit(false).unwrap();
        probe.fail(&fault(FaultReason::Timeout, "silent"), 512);
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert!(breaker.admit(false).is_err(), "the pause has doubled");
        tokio::time::advance(Duration::from_millis(600)).await;
        breaker.admit(false).unwrap().succeed();
        fail(&breaker, 4);
        assert!(breaker.admit(false).is_ok(), "it counts anew");
    }

    #[test]
    fn pauses_are_bounded_and_spread() {
        let breaker = breaker();
        assert_eq!(breaker.pause(5, 0), Duration::from_secs(1) / 1024 * 512);
        assert!(breaker.pause(u32::MAX, 512) <= Duration::from_secs(30));
        assert!(breaker.pause(u32::MAX, 512) > Duration::from_secs(29));
    }
}

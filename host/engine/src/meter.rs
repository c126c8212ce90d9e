//! CPU time of a call: thread time summed over its polls.
//!
//! The epoch only makes a guest yield, so that its future returns from `poll` at least every tick; ticks pass for a quiet
//! guest as well, so they measure nothing.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, Sleep, sleep_until};

/// The budget was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverBudget;

/// How CPU time is limited.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    /// All in all: beyond it the future ends.
    Total(Duration),
    /// In any second: beyond it the future is not polled until the second is over.
    PerSecond(Duration),
}

/// A future whose CPU time is limited.
pub(crate) struct Metered<F> {
    inner: Pin<Box<F>>,
    budget: Budget,
    used: Duration,
    window: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Metered<F> {
    pub(crate) fn new(inner: F, budget: Budget) -> Self {
        Self {
            inner: Box::pin(inner),
            budget,
            used: Duration::ZERO,
            window: None,
            pause: None,
        }
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let before = thread_time();
        let polled = self.inner.as_mut().poll(cx);
        self.used += thread_time().saturating_sub(before);
        polled
    }
}

fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, OverBudget>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.budget {
            Budget::Total(limit) => {
                let polled = self.poll_inner(cx);
                // A result that came too late is still over the budget: else a guest in one long poll would be free.
                if self.used > limit {
                    return Poll::Ready(Err(OverBudget));
                }
                polled.map(Ok)
            }
            Budget::PerSecond(limit) => {
                if let Some(pause) = &mut self.pause {
                    if pause.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.pause = None;
                    self.window = None;
                }
                let now = Instant::now();
                let second = Duration::from_secs(1);
                let begin = match self.window {
                    Some(begin) if now < begin + second => begin,
                    _ => {
                        self.used = Duration::ZERO;
                        self.window = Some(now);
                        now
                    }
                };
                if let Poll::Ready(output) = self.poll_inner(cx) {
                    return Poll::Ready(Ok(output));
                }
                if self.used > limit {
                    let mut pause = Box::pin(sleep_until(begin + second));
                    // Registers the waker; a pause that is over already is seen at the next poll.
                    if pause.as_mut().poll(cx).is_ready() {
                        cx.waker().wake_by_ref();
                    }
                    self.pause = Some(pause);
                }
                Poll::Pending
            }
        }
    }
}

impl<F> std::fmt::Debug for Metered<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered")
            .field("budget", &self.budget)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Burns thread time, not wall time, between yields.
    async fn spin(rounds: Option<u32>) {
        let mut done = 0;
        while rounds.is_none_or(|rounds| done < rounds) {
            let start = thread_time();
            while thread_time().saturating_sub(start) < Duration::from_millis(1) {}
            done += 1;
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_spinning_future_ends_when_its_budget_is_used() {
        let budget = Budget::Total(Duration::from_millis(20));
        assert_eq!(Metered::new(spin(None), budget).await, Err(OverBudget));
        assert_eq!(Metered::new(spin(Some(2)), budget).await, Ok(()));
    }

    #[tokio::test]
    async fn a_spinning_watch_is_held_back_but_goes_on() {
        let budget = Budget::PerSecond(Duration::from_millis(5));
        let mut held = Metered::new(spin(Some(12)), budget);
        let outcome = (&mut held).await;
        assert_eq!(outcome, Ok(()));
        assert!(
            held.used < Duration::from_millis(12),
            "the window began anew"
        );
    }
}

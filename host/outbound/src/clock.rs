//! Which phase an exchange is in, and how long the past ones took.

use std::sync::{Mutex, PoisonError};

use optikon_core::words::{Fault, FaultReason, Phases};
use tokio::time::{Duration, Instant};

use crate::fault::fault;

/// The phases of an exchange, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waiting for a place among the member's requests.
    Queue,
    Dns,
    Connect,
    Tls,
    FirstByte,
    Body,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::FirstByte => "first-byte",
            Self::Body => "body",
        }
    }
}

/// One exchange's clock.
#[derive(Debug)]
pub(crate) struct Clock(Mutex<State>);

#[derive(Debug)]
struct State {
    started: Instant,
    phase: Phase,
    since: Instant,
    done: Vec<(Phase, Duration)>,
}

impl State {
    fn enter(&mut self, phase: Phase, now: Instant) {
        let took = now.duration_since(self.since);
        let past = self.phase;
        // With several endpoints the last attempt's figures stay.
        self.done.retain(|(p, _)| *p != past);
        self.done.push((past, took));
        self.phase = phase;
        self.since = now;
    }
}

impl Clock {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State {
            started: now,
            phase: Phase::Queue,
            since: now,
            done: Vec::new(),
        }))
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.with(|s| s.enter(phase, Instant::now()));
    }

    pub(crate) fn phase(&self) -> Phase {
        self.with(|s| s.phase)
    }

    /// How long the present phase has lasted.
    pub(crate) fn in_phase(&self) -> Duration {
        self.with(|s| s.since.elapsed())
    }

    /// What people see; the present phase counts as far as it came.
    pub(crate) fn phases(&self) -> Phases {
        self.with(|s| {
            let now = Instant::now();
            s.enter(s.phase, now);
            let total = ("total".to_owned(), millis(now.duration_since(s.started)));
            s.done
                .iter()
                .filter(|(phase, _)| *phase != Phase::Queue)
                .map(|(phase, took)| (phase.word().to_owned(), millis(*took)))
                .chain([total])
                .collect()
        })
    }

    /// A deadline passed in the present phase.
    pub(crate) fn timeout(&self, after: Duration, at: &str) -> Fault {
        let message = format!(
            "timeout in {} after {} ms ({at})",
            self.phase().word(),
            after.as_millis()
        );
        fault(FaultReason::Timeout, message)
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

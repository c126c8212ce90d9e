//! What a call of a charts backend asked for: a plan is shared only between targets that agree in it.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use optikon_core::ports::Facts;
use tokio::time::Instant;

/// Between two reports of one phase.
const REPORT_PAUSE: Duration = Duration::from_millis(250);

/// The facts of one call, and which of them were read.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) facts: Facts,
    reads: Mutex<BTreeSet<&'static str>>,
    is_impure: AtomicBool,
    reported: Mutex<Option<(String, Instant)>>,
}

impl Noted {
    pub(crate) fn new(facts: Facts) -> Self {
        Self {
            facts,
            reads: Mutex::default(),
            is_impure: AtomicBool::new(false),
            reported: Mutex::default(),
        }
    }

    /// Notes that a fact was asked for.
    pub(crate) fn read(&self, fact: &'static str) -> &Facts {
        self.reads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(fact);
        &self.facts
    }

    pub(crate) fn note_impure(&self) {
        self.is_impure.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_impure(&self) -> bool {
        self.is_impure.load(Ordering::Relaxed)
    }

    /// The facts that were asked for, by their names in WIT.
    pub(crate) fn reads(&self) -> Vec<String> {
        let reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        reads.iter().map(|fact| (*fact).to_owned()).collect()
    }

    /// Whether a report is to be passed on: every change of phase is, and the end of one, and a few a second otherwise.
    pub(crate) fn is_due(&self, phase: &str, is_end: bool) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = match &*reported {
            Some((last, at)) => last != phase || is_end || at.elapsed() >= REPORT_PAUSE,
            None => true,
        };
        if is_due {
            *reported = Some((phase.to_owned(), Instant::now()));
        }
        is_due
    }
}

/// A guest's handle on its facts.
#[allow(
    unreachable_pub,
    reason = "generated code re-exports it inside this crate"
)]
pub struct Target(pub(crate) std::sync::Arc<Noted>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_noted_once() {
        let noted = Noted::new(Facts::default());
        noted.read("release");
        noted.read("cluster");
        noted.read("release");
        assert_eq!(noted.reads(), ["cluster", "release"]);
        assert!(!noted.is_impure());
        noted.note_impure();
        assert!(noted.is_impure());
    }

    #[test]
    fn a_change_of_phase_is_always_told() {
        let noted = Noted::new(Facts::default());
        assert!(noted.is_due("apply", false));
        assert!(!noted.is_due("apply", false));
        assert!(noted.is_due("apply", true));
        assert!(noted.is_due("wait", false));
    }
}

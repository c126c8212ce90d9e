//! Running many cases at once, and saying where an output differs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Runs all cases on as many threads as there are processors; gives the complaints, in the cases' order.
pub(crate) fn run_all<T: Sync>(
    cases: &[T],
    check: impl Fn(&T) -> Option<String> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { break };
                    if let Some(complaint) = check(case) {
                        complaints.lock().unwrap().push((at, complaint));
                    }
                }
            });
        }
    });
    let mut complaints = complaints.into_inner().unwrap();
    complaints.sort();
    complaints
        .into_iter()
        .map(|(_, complaint)| complaint)
        .collect()
}

/// The first line that differs, lines of these numbers (from 1) apart.
pub(crate) fn difference(got: &str, wanted: &str, varying: &[u64]) -> Option<String> {
    if got == wanted {
        return None;
    }
    let (got, wanted): (Vec<&str>, Vec<&str>) =
        (got.split('\n').collect(), wanted.split('\n').collect());
    for at in 0..got.len().max(wanted.len()) {
        let line = at as u64 + 1;
        if got.get(at) != wanted.get(at) && !varying.contains(&line) {
            return Some(format!(
                "line {line}:\n    ours   {:?}\n    Helm's {:?}",
                got.get(at),
                wanted.get(at)
            ));
        }
    }
    None
}

/// The error in a standard error, without the log lines before it.
pub(crate) fn error_of(stderr: &str) -> &str {
    let at = if stderr.starts_with("Error: ") {
        Some(0)
    } else {
        stderr.find("\nError: ").map(|at| at + 1)
    };
    at.and_then(|at| stderr.get(at..)).unwrap_or_default()
}

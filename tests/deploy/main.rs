//! Releases on real clusters: over REST, beside the real `helm`, on many clusters at once, and through faults.
//!
//! All tests share a gateway and one full cluster; each has releases of its own names in namespaces of its own. Those
//! that need more API servers share a few without controllers, and those that kill something start their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "what panics here ends one test"
)]
#![allow(clippy::print_stdout, reason = "the summaries say how many charts ran")]

mod bed;
mod crash;
mod cuts;
mod fleet;
mod interop;
mod looks;
mod one;
mod plans;
mod provenance;
mod records;
mod refusals;
mod sample;
mod servers;
mod steps;

//! Tiller behind real API servers, through the gateway, with the real Helm 2 client beside it.
//!
//! All tests share one gateway, two clusters with a Tiller each and one without; each has its own release names, as those
//! are unique per Tiller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "what panics here ends one test"
)]

mod bed;
mod faults;
mod mixed;
mod original;
mod verbs;

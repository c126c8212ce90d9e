//! Tiller behind real API servers, through the gateway, with the real Helm 2 client beside it.
//!
//! All tests share one gateway, two clusters with a Tiller each and two without; each has its own release names, as those
//! are unique per Tiller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "what panics here ends one test"
)]

mod adopt;
mod bed;
mod deaths;
mod faults;
mod mixed;
mod original;
mod records;
mod replay;
mod sizes;
mod tunnel;
mod verbs;

//! Plugins that do what no plugin should. Each ends one call with a typed error; the engine, the slot and other calls go on.
//!
//! The guests are components of `tests/guests/`, built by `cargo xtask plugins`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test may end with a panic"
)]

mod contract;
mod fakes;
mod harness;
mod isolation;
mod limits;
mod loading;
mod prober;
mod watch;

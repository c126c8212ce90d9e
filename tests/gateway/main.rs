//! The gateway as a process, from its command line and REST interface to real API servers and back.
//!
//! Faults that no real server makes come from fakes in this process. Each test has its own names, so that all of them
//! can share one gateway; those that stop, configure or swap something start one of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "what panics here ends one test"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a task of a test ends with the runtime of its test"
)]

mod access;
mod bed;
mod bootstrap;
mod done;
mod faults;
mod following;
mod forms;
mod full;
mod inline;
mod input;
mod leftovers;
mod outages;
mod plugins;
mod process;
mod registries;
mod releases;
mod rest;
mod restart;
mod rights;
mod secrets;
mod shelf;
mod sources;
mod swap;
mod traces;
mod uploads;
mod vault;
mod watching;

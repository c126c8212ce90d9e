//! What the suites share: a test bed of real clusters, the gateway as a process, and members that misbehave on order.
//!
//! Everything listens on 127.0.0.1 with a port of its own, lives in a temporary folder, and ends with its owner: when
//! it is dropped, when a test panics, and when the test process is killed.
#![allow(
    clippy::indexing_slicing,
    reason = "JSON literals are built by index; what panics here ends one test"
)]

pub mod archive;
mod built;
pub mod charts;
pub mod client;
pub mod cluster;
mod etcd;
pub mod fake;
pub mod front;
pub mod gateway;
pub mod keys;
pub mod manifests;
mod nodes;
pub mod old_registry;
pub mod ports;
pub mod process;
pub mod scratch;
pub mod tar;
pub mod testbed;
pub mod tiller;
pub mod wait;

pub use client::{Client, Reply};
pub use cluster::Cluster;
pub use fake::{Answer, FakeMember};
pub use gateway::Gateway;
pub use old_registry::OldRegistry;
pub use testbed::Testbed;
pub use wait::wait_for;

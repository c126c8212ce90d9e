//! Looks at one Kubernetes cluster.
//!
//! [`look`] decides what is asked and what the answers mean together, [`member`] asks within the time that is left, the
//! other modules read one part each. Only this file speaks to the host.

pub mod discovery;
pub mod health;
pub mod look;
pub mod member;
pub mod nodes;
pub mod pods;
pub mod problem;
pub mod time;
pub mod workloads;

use optikon_plugin_sdk::{
    Connection, Error, call, clock, export_prober, log,
    prober::{Depth, Guest, Observation, Verdict},
};

use member::Member;
use time::Time;

/// The plugin; it keeps nothing between calls.
#[derive(Debug)]
pub struct Plugin;

export_prober!(Plugin);

struct HostTime;

impl Time for HostTime {
    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }
    fn remaining_ms(&self) -> Option<u64> {
        call::remaining_ms()
    }
}

impl Guest for Plugin {
    async fn probe(cluster: Connection, depth: Depth) -> Result<Observation, Error> {
        let member = Member {
            connection: &cluster,
            time: &HostTime,
        };
        let seen = look::look(member, depth).await;
        if seen.verdict != Verdict::Ready {
            log::debug!("{}", seen.message; "cluster" = cluster.name(), "reason" = &seen.reason);
        }
        Ok(seen)
    }
}

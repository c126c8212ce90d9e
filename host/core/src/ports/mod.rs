//! What the use-cases need from outside. Implemented by the other host crates, joined by the binary.
//!
//! | port | implemented by | for |
//! |---|---|---|
//! | [`Registry`], [`Prober`] | `host/engine`, by calling a component | where clusters are written down; one look at a member |
//! | [`Charts`] | `host/engine`, by calling a component | Helm releases on one cluster |
//! | [`Plugins`] | `host/engine` | slots and plugin files, to look at |
//! | [`Slots`], [`Candidate`] | the binary, over `host/engine` | what fills a slot, and how another plugin takes its place |
//! | [`Outbound`], [`Connection`] | `host/outbound` | the only way to another machine |
//! | [`Fetcher`] | `host/outbound` | reads addresses that charts come from |
//! | [`CentralSecrets`] | the binary, over `host/outbound` | credentials that are kept beside the registry |
//! | [`Kv`] | `host/store` | a plugin's own durable keys, one name space per slot |
//! | [`Documents`], [`Vault`] | `host/store` | the host's own durable state; sealed credentials |
//! | [`World`] | the binary | the clock and randomness |

mod charts;
mod outbound;
mod plugins;
mod prober;
mod registry;
mod slots;
mod sources;
mod store;

use std::time::Duration;

pub use charts::{
    Charts, Content, Facts, ObjectChange, Outcome, Prepared, Progress, ProgressSink, Release,
};
pub use outbound::{CentralSecret, CentralSecrets, Channel, Connection, Outbound};
pub use plugins::{
    CallSeries, FunctionStats, Inspection, Invalidity, LimitView, PluginInfo, Plugins, SlotInfo,
    SlotMetrics, SlotState,
};
pub use prober::Prober;
pub use registry::{Event, EventStream, Object, Page, Registry, Supported};
pub use slots::{Candidate, Filling, Slots};
pub use sources::{Fetch, Fetched, Fetcher, Keyring, Signed};
pub use store::{
    Archives, Bound, Change, ChangeStream, Documents, Entry, Expectation, Kv, Owner, Scan, Table,
    Vault, VaultEntry,
};

use crate::words::OperationId;

/// How one call of a plugin is to be treated.
#[derive(Debug, Clone)]
pub struct Call {
    /// Wall time that is left for it; the slot's own limit applies as well.
    pub deadline: Option<Duration>,
    /// Who waits for it.
    pub class: Class,
    /// The operation it belongs to.
    pub operation: Option<OperationId>,
}

impl Call {
    /// A client waits: rejected with `Busy` when the slot's queue is full.
    pub fn client() -> Self {
        Self {
            deadline: None,
            class: Class::Client,
            operation: None,
        }
    }

    /// The host's own fan-out: never rejected, waits within its own deadline.
    pub fn background() -> Self {
        Self {
            deadline: None,
            class: Class::Background,
            operation: None,
        }
    }

    /// The same with a deadline.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// Who waits for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A client of the API.
    Client,
    /// Probing, mirroring, operations.
    Background,
}

/// The clock and the dice.
pub trait World: Send + Sync + std::fmt::Debug {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;
    /// Fills `buffer` with unpredictable bytes.
    fn random(&self, buffer: &mut [u8]);
}

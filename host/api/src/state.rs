//! What handlers reach.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use optikon_core::{
    flows::{access::Tokens, charts::ChartFlows, clusters::Clusters, swap::Swaps},
    ports::{Documents, Plugins, World},
    words::Caller,
};
use serde::Serialize;
use tokio::sync::watch;

use crate::{Echo, metrics::Metrics};

/// Everything the API serves, shared: each layer and handler of a request has its own copy.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Served>);

impl From<Served> for Gateway {
    fn from(served: Served) -> Self {
        Self(Arc::new(served))
    }
}

impl Deref for Gateway {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.0
    }
}

/// What a [`Gateway`] is made of.
#[derive(Debug)]
pub struct Served {
    /// The use-cases of `/cluster`.
    pub clusters: Clusters,
    /// The use-cases of `/charts`, `/archives` and `/operations`.
    pub charts: ChartFlows,
    /// The use-cases that fill slots.
    pub swaps: Swaps,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// Slots and plugin files.
    pub plugins: Arc<dyn Plugins>,
    /// The audit trail.
    pub documents: Arc<dyn Documents>,
    /// The clock.
    pub world: Arc<dyn World>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// What `/readyz` asks.
    pub checks: Arc<dyn ReadyChecks>,
    /// What `/version` says.
    pub version: Arc<Version>,
    /// Whether a central cluster leads back here.
    pub echo: Arc<Echo>,
    /// Names that `Host` may have beside IP addresses and `localhost`.
    pub hosts: Arc<Vec<String>>,
    /// Callers by the common name of their client certificate.
    pub certificates: Arc<BTreeMap<String, Caller>>,
    /// True when the process is to end.
    pub shutdown: watch::Receiver<bool>,
    /// Puts a request's span below its caller's, by the `traceparent` that it sent (W3C Trace Context).
    pub trace_parent: fn(&tracing::Span, &str),
}

/// What `/version` says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The gateway's own version.
    pub version: String,
    /// The commit it was built from, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The versions of the plugin interfaces that it offers.
    pub interfaces: Vec<String>,
}

/// One named check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `store`, `registry`…
    pub name: String,
    /// Why it does not hold; absent = it holds.
    pub problem: Option<String>,
    /// Whether the gateway is unready because of it, or only tells.
    pub is_fatal: bool,
}

/// Whether the gateway can serve.
pub trait ReadyChecks: Send + Sync + std::fmt::Debug {
    /// Every check, in a stable order. Takes no time: nothing is asked over a network.
    fn checks(&self) -> Vec<Check>;
}

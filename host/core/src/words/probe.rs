//! One look at a member.

use serde::{Deserialize, Serialize};

/// How much a probe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Version and health.
    Reach,
    /// … and nodes.
    Nodes,
    /// … and pods and workloads.
    Workloads,
}

/// What the host acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Reached, credential accepted, healthy.
    Ready,
    /// Reached, but not healthy or not allowed in.
    NotReady,
    /// Not reached.
    Unreachable,
    /// No result.
    Unknown,
}

/// The result of one probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// What the host acts on.
    pub verdict: Verdict,
    /// A typed reason (`Connect`, `TlsExpired`, `Unauthorized`…); empty when ready.
    pub reason: String,
    /// One line for people.
    pub message: String,
    /// A JSON object: `kubernetes`, `nodes`, `nodeCounts`, `pods`, `workloads`, `workloadCounts`,
    /// `checks`, `parts`, `probe`, `clockSkewMs`; only what the depth asked for.
    pub status: serde_json::Map<String, serde_json::Value>,
}

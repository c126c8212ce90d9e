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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

impl Depth {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Nodes => "nodes",
            Self::Workloads => "workloads",
        }
    }
}

impl Verdict {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not-ready",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown",
        }
    }
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

impl Observation {
    /// Whether the member answered at all.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        matches!(self.verdict, Verdict::Ready | Verdict::NotReady)
    }

    /// Whether anything of the member was seen. A refused credential is an answer that shows nothing, so what was
    /// known before is still the last that is known.
    #[must_use]
    pub fn shows_something(&self) -> bool {
        let is_of_the_asking = |key: &String| matches!(key.as_str(), "probe" | "clockSkewMs");
        self.verdict == Verdict::Ready
            || (self.is_answered() && !self.status.keys().all(is_of_the_asking))
    }

    /// Whether this part (`nodes`, `workloads`) failed and shows nothing: what was known of it is still the last.
    #[must_use]
    pub fn is_silent_on(&self, part: &str) -> bool {
        let problem = self.status.get("parts").and_then(|parts| parts.get(part));
        let items = self.status.get(part).and_then(serde_json::Value::as_array);
        problem.is_some_and(|problem| !problem.is_null()) && items.is_none_or(Vec::is_empty)
    }
}

//! One look at a member.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    pub status: Status,
}

/// What was seen, part by part, sorted by name. Each part is kept as its JSON text, which states of a member share while
/// it stays the same: thousands of them lie in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Status(Vec<(Arc<str>, Arc<str>)>);

impl Status {
    fn place(&self, part: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| name.as_ref().cmp(part))
    }

    fn found(&self, part: &str) -> Option<&(Arc<str>, Arc<str>)> {
        self.0.get(self.place(part).ok()?)
    }

    fn set(&mut self, name: Arc<str>, text: Arc<str>) {
        match self.place(&name) {
            Ok(at) => {
                if let Some(part) = self.0.get_mut(at) {
                    *part = (name, text);
                }
            }
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (name, text));
            }
        }
    }

    /// One part.
    #[must_use]
    pub fn get(&self, part: &str) -> Option<Value> {
        self.found(part).map(|(_, text)| parsed(text))
    }

    /// Whether there is such a part.
    #[must_use]
    pub fn contains(&self, part: &str) -> bool {
        self.place(part).is_ok()
    }

    /// The parts' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    /// Name and value of each part, sorted.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Value)> {
        self.0
            .iter()
            .map(|(name, text)| (name.as_ref(), parsed(text)))
    }

    /// Sets a part.
    pub fn put(&mut self, part: &str, value: &Value) {
        self.set(part.into(), value.to_string().into());
    }

    /// Takes a part over as it is in `other`, where it is in there.
    pub fn take(&mut self, part: &str, other: &Self) {
        if let Some((name, text)) = other.found(part)
            && !self.is_same_part(part, other)
        {
            self.set(name.clone(), text.clone());
        }
    }

    /// Whether a part says in both the same.
    #[must_use]
    pub fn is_same_part(&self, part: &str, other: &Self) -> bool {
        self.found(part) == other.found(part)
    }

    fn but<'a>(&'a self, aside: &'a [&str]) -> impl Iterator<Item = &'a (Arc<str>, Arc<str>)> {
        let parts = self.0.iter();
        parts.filter(|(name, _)| !aside.contains(&name.as_ref()))
    }

    /// Whether both are the same, some parts aside.
    #[must_use]
    pub fn is_same_but(&self, other: &Self, aside: &[&str]) -> bool {
        self.but(aside).eq(other.but(aside))
    }

    /// Feeds a hash with all but some parts.
    pub fn hash_but(&self, aside: &[&str], hasher: &mut impl Hasher) {
        self.but(aside).for_each(|part| part.hash(hasher));
    }
}

fn parsed(text: &str) -> Value {
    // Only what was a value became this text.
    serde_json::from_str(text).unwrap_or_default()
}

impl From<Map<String, Value>> for Status {
    fn from(parts: Map<String, Value>) -> Self {
        let text = |(name, value): (String, Value)| (name.into(), value.to_string().into());
        // The map is sorted.
        Self(parts.into_iter().map(text).collect())
    }
}

impl From<Status> for Map<String, Value> {
    fn from(status: Status) -> Self {
        let parts = status.parts();
        parts
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
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
        let is_of_the_asking = |part: &str| matches!(part, "probe" | "clockSkewMs");
        self.verdict == Verdict::Ready
            || (self.is_answered() && !self.status.names().all(is_of_the_asking))
    }

    /// Whether this part (`nodes`, `workloads`) failed and shows nothing: what was known of it is still the last.
    #[must_use]
    pub fn is_silent_on(&self, part: &str) -> bool {
        let parts = self.status.get("parts");
        let problem = parts.as_ref().and_then(|parts| parts.get(part));
        if problem.is_none_or(Value::is_null) {
            return false;
        }
        let items = self.status.get(part);
        let items = items.as_ref().and_then(Value::as_array);
        items.is_none_or(Vec::is_empty)
    }
}

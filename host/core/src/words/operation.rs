//! One durable fan-out over clusters.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{ClusterName, InvalidName, Uid};

/// An operation's id: 26 lower-case base32 characters, rising with the time of its creation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationId(String);

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl OperationId {
    /// From Unix milliseconds and 10 random bytes.
    pub fn new(now_ms: u64, random: [u8; 10]) -> Self {
        let mut bits = u128::from(now_ms & 0xffff_ffff_ffff) << 80;
        for (i, byte) in random.iter().enumerate() {
            bits |= u128::from(*byte) << (72 - 8 * i);
        }
        let digit = |i: u32| {
            let index = ((bits >> (125 - 5 * i)) & 31) as usize;
            ALPHABET.get(index).copied().map_or('0', char::from)
        };
        Self((0..26).map(digit).collect())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OperationId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let ok = text.len() == 26 && text.bytes().all(|b| ALPHABET.contains(&b));
        ok.then(|| Self(text.to_owned())).ok_or(InvalidName {
            what: "an operation id",
            rule: "26 characters of 0-9 and a-z",
        })
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the verbs of the API")]
pub enum OperationKind {
    Install,
    Upgrade,
    Rollback,
    Uninstall,
    Test,
    Preview,
    Swap,
    Adopt,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words of the API say it")]
pub enum OperationState {
    Pending,
    Running,
    Paused,
    Cancelling,
    Succeeded,
    Partial,
    Failed,
    Cancelled,
    RolledBack,
}

impl OperationState {
    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled | Self::RolledBack
        )
    }
}

/// Where one target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the words of the API say it")]
pub enum TargetState {
    Pending,
    Running,
    Succeeded,
    Unchanged,
    Failed,
    Skipped,
    RolledBack,
    Unknown,
}

impl TargetState {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::RolledBack => "rolled-back",
            Self::Unknown => "unknown",
        }
    }
}

/// One cluster of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The cluster's name when the operation was made.
    pub cluster: ClusterName,
    /// Its uid then: a namesake is not this target.
    pub uid: Uid,
    /// Which wave it belongs to, from 0.
    pub wave: u32,
    /// Where it stands.
    pub state: TargetState,
    /// A typed reason where it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The revision it had before this operation, for a rollback of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_before: Option<u32>,
    /// The revision this operation made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Unix milliseconds of its begin, journaled before the first write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<u64>,
    /// From begin to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// The journaled record of an operation. Secrets (values, plans) are not in it but in the sealed
/// documents beside it, which are erased when it ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// Where it stands.
    pub state: OperationState,
    /// The release it holds, empty for a swap.
    #[serde(default)]
    pub release: String,
    /// The release's namespace.
    #[serde(default)]
    pub namespace: String,
    /// Who asked: the name of a token or certificate.
    pub requested_by: String,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Unix milliseconds of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<u64>,
    /// How many distinct plans were made.
    #[serde(default)]
    pub plans: u32,
    /// The wave that is under way, from 0.
    #[serde(default)]
    pub wave: u32,
    /// One row a cluster.
    pub targets: Vec<Target>,
    /// What the request asked for, without values: chart, digests, options, strategy.
    #[serde(default)]
    pub request: serde_json::Value,
    /// Digests that stay when the secrets are erased.
    #[serde(default)]
    pub digests: BTreeMap<String, String>,
    /// How it ended, in one line, where no row of a cluster says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_with_time_and_parse_back() {
        let a = OperationId::new(1_000, [255; 10]);
        let b = OperationId::new(1_001, [0; 10]);
        assert!(a < b);
        assert_eq!(a.as_str().len(), 26);
        assert_eq!(b.as_str().parse::<OperationId>().unwrap(), b);
        assert!("../etc".parse::<OperationId>().is_err());
    }
}

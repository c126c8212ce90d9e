//! Who may do what.

use serde::{Deserialize, Serialize};

use super::Selector;

/// What a token or client certificate entitles to. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads; no values, no manifests.
    Viewer,
    /// Changes clusters and releases within its selector.
    Operator,
    /// Plugins, tokens, audit.
    Admin,
}

impl Role {
    /// As in JSON and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Who asks. Made by the one layer that authenticates.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token's or certificate's name, for the audit trail.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Which clusters it may know of; everything else is not found for it.
    pub selector: Selector,
}

impl Caller {
    /// The gateway itself.
    pub fn host() -> Self {
        Self {
            name: "optikon".into(),
            role: Role::Admin,
            selector: Selector::default(),
        }
    }
}

//! How a change is made: the JSON object whose keys `wit/charts/charts.wit` lists.

use optikon_plugin_sdk::Error;
use serde::Deserialize;

/// What Helm waits for by default.
const TIMEOUT_MS: u64 = 300_000;
/// How many revisions Helm keeps by default.
const HISTORY_MAX: u32 = 10;

/// Everything off, 300 s, ten revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "each is described in `wit/charts/charts.wit`")]
pub struct Options {
    pub timeout_ms: Option<u64>,
    pub wait: bool,
    pub wait_for_jobs: bool,
    pub atomic: bool,
    pub force: bool,
    pub create_namespace: bool,
    pub take_ownership: bool,
    pub no_hooks: bool,
    pub skip_crds: bool,
    pub history_max: Option<u32>,
    pub install: bool,
    pub reuse_values: bool,
    pub reset_values: bool,
    pub reset_then_reuse_values: bool,
    pub keep_history: bool,
    pub description: Option<String>,
    pub preview: Option<Previewed>,
    pub to_revision: u32,
}

/// What a preview without a plan is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is the function of that name")]
pub enum Previewed {
    Rollback,
    Uninstall,
}

impl Options {
    /// Reads the object; an empty text is an empty object.
    ///
    /// # Errors
    /// `invalid` on `options`.
    pub fn parse(json: &str) -> Result<Self, Error> {
        if json.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(json)
            .map_err(|e| Error::invalid("options", format!("the options do not fit: {e}")))
    }

    /// How long one wait may take, milliseconds.
    #[must_use]
    pub fn timeout_ms(&self) -> u64 {
        self.timeout_ms.unwrap_or(TIMEOUT_MS)
    }

    /// Whether a change ends only when everything is ready.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.wait || self.atomic
    }

    /// How many revisions stay; 0 for all.
    #[must_use]
    pub fn history_max(&self) -> u32 {
        self.history_max.unwrap_or(HISTORY_MAX)
    }
}

//! How a change is made: the JSON object whose keys `wit/charts/charts.wit` lists.

use optikon_plugin_sdk::Error;
use serde::Deserialize;

/// What Helm waits for by default.
const TIMEOUT_MS: u64 = 300_000;

/// Everything off, 300 s. What Tiller has no word for (`waitForJobs`, `skipCrds`, `historyMax`, `takeOwnership`, `createNamespace`, as it
/// always creates it) is not read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "each is described in `wit/charts/charts.wit`")]
pub struct Options {
    pub timeout_ms: Option<u64>,
    pub wait: bool,
    pub atomic: bool,
    pub force: bool,
    pub no_hooks: bool,
    pub install: bool,
    pub reuse_values: bool,
    pub reset_values: bool,
    pub reset_then_reuse_values: bool,
    pub keep_history: bool,
    /// For an uninstall: hands the release over to Helm's storage, and touches none of its objects.
    pub adopt: bool,
    pub description: Option<String>,
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

    /// The same for Tiller: whole seconds, never 0, which it takes for no limit.
    #[must_use]
    pub fn timeout_seconds(&self) -> i64 {
        i64::try_from(self.timeout_ms().div_ceil(1_000).max(1)).unwrap_or(i64::MAX)
    }

    /// Whether a change ends only when everything is ready.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.wait || self.atomic
    }
}

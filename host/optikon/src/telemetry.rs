//! Logs on stderr: text for people, JSON for machines. `OPTIKON_LOG`, else `RUST_LOG`, selects.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;

/// What is logged when nothing is said: everything of ours that somebody may act on.
const DEFAULT: &str = "info,optikon::access=warn";

/// Starts the log. Called once.
pub(crate) fn start(format: LogFormat) {
    let chosen = ["OPTIKON_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let chosen = chosen.as_deref().unwrap_or(DEFAULT);
    let (filter, problem) = match EnvFilter::try_new(chosen) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT), Some(error)),
    };
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = problem {
        tracing::warn!(%error, "the log filter is malformed; the default is used");
    }
}

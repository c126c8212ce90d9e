//! Logs on stderr: text for people, JSON for machines. `OPTIKON_LOG`, else `RUST_LOG`, selects. Traces go to a collector
//! when one is configured.

mod traces;

use std::io::IsTerminal;

use anyhow::Result;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

pub(crate) use traces::{Traces, parent};

use crate::config::{LogFormat, Telemetry};

/// What is logged when nothing is said: everything of ours that somebody may act on.
const DEFAULT: &str = "info,optikon::access=warn";

/// Starts the log, and traces when they are configured. Called once.
///
/// # Errors
/// When the collector's CA cannot be read.
pub(crate) fn start(format: LogFormat, config: &Telemetry) -> Result<Option<Traces>> {
    let chosen = ["OPTIKON_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let chosen = chosen.as_deref().unwrap_or(DEFAULT);
    let (filter, problem) = match EnvFilter::try_new(chosen) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(DEFAULT), Some(error)),
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let traces = Traces::new(config)?;
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(traces.as_ref().map(Traces::layer))
        .init();
    if let Some(error) = problem {
        tracing::warn!(%error, "the log filter is malformed; the default is used");
    }
    Ok(traces)
}

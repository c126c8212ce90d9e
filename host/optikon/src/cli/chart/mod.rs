//! `optikon chart`.

mod source;
mod template;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// `optikon chart`.
#[derive(Debug, Args)]
pub(crate) struct ChartArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Renders a chart on this machine, as `helm template` does; asks no gateway and no cluster.
    Template(template::TemplateFlags),
}

/// Does what was asked.
pub(crate) async fn run(args: ChartArgs) -> Result<ExitCode> {
    match args.command {
        Command::Template(flags) => {
            tokio::task::spawn_blocking(move || template::run(flags)).await?
        }
    }
}

//! `optikon chart`.

mod adopt;
mod change;
mod read;
mod select;
pub(super) mod source;
mod template;
mod values;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{
    client::{Client, GatewayArgs},
    output::OutputArgs,
};

/// `optikon chart`.
#[derive(Debug, Args)]
pub(crate) struct ChartArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs a release on the selected clusters and follows the operation.
    #[command(disable_version_flag = true)]
    Install(change::InstallFlags),
    /// Upgrades a release on the selected clusters and follows the operation.
    #[command(disable_version_flag = true)]
    Upgrade(change::UpgradeFlags),
    /// Shows what an install or upgrade would create, change and delete; changes nothing.
    #[command(disable_version_flag = true)]
    Preview(change::PreviewFlags),
    /// Takes a release back to an earlier revision.
    Rollback(change::RollbackFlags),
    /// Uninstalls a release from the selected clusters.
    #[command(visible_aliases = ["uninstall", "rm"])]
    Delete(change::DeleteFlags),
    /// Runs a release's test hooks.
    Test(change::TestFlags),
    /// Hands a release of Tiller over to Helm's own storage; looks first, and leaves its objects alone.
    Adopt(adopt::AdoptFlags),
    /// Shows the releases of every cluster in one table, and which clusters did not answer.
    #[command(visible_alias = "ls")]
    List(read::ListFlags),
    /// Shows a release, or its manifest, values or notes, per cluster.
    Get(read::GetFlags),
    /// Shows a release's revisions per cluster, newest first.
    History(read::HistoryFlags),
    /// Shows which objects differ from what the release says, per cluster.
    Drift(read::DriftFlags),
    /// Renders a chart on this machine, as `helm template` does; asks no gateway and no cluster.
    Template(template::TemplateFlags),
}

/// Does what was asked.
pub(crate) async fn run(args: ChartArgs) -> Result<ExitCode> {
    let format = args.output.output;
    if let Command::Template(flags) = args.command {
        return tokio::task::spawn_blocking(move || template::run(flags)).await?;
    }
    let client = Client::new(&args.gateway)?;
    match args.command {
        Command::Install(flags) => change::install(&client, &flags, format).await,
        Command::Upgrade(flags) => change::upgrade(&client, &flags, format).await,
        Command::Preview(flags) => change::preview(&client, &flags, format).await,
        Command::Rollback(flags) => change::rollback(&client, &flags, format).await,
        Command::Delete(flags) => change::delete(&client, &flags, format).await,
        Command::Test(flags) => change::test(&client, &flags, format).await,
        Command::Adopt(flags) => adopt::adopt(&client, &flags, format).await,
        Command::List(flags) => read::list(&client, &flags, format).await,
        Command::Get(flags) => read::get(&client, &flags, format).await,
        Command::History(flags) => read::history(&client, &flags, format).await,
        Command::Drift(flags) => read::drift(&client, &flags, format).await,
        Command::Template(_) => Ok(ExitCode::SUCCESS),
    }
}

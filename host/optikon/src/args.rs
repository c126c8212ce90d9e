//! The command line's first word.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use crate::{cli, serve};

/// One API in front of every Kubernetes cluster a team owns.
#[derive(Debug, Parser)]
#[command(
    name = "optikon",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the gateway.
    Serve(ServeArgs),
    /// The configuration file.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// The data folder of a gateway: backup, restore, check, rekey.
    Store(cli::store::StoreArgs),
    /// Registered clusters.
    Cluster(cli::cluster::ClusterArgs),
    /// Charts and their releases.
    Chart(Box<cli::chart::ChartArgs>),
    /// Operations: what runs, what ran.
    Operation(cli::operation::OperationArgs),
    /// Chart archives that the gateway keeps.
    Archive(cli::archive::ArchiveArgs),
    /// Chart repositories and registries.
    Repo(cli::repo::RepoArgs),
    /// Slots and plugin files.
    Plugin(cli::plugin::PluginArgs),
    /// Prepares a central cluster to hold the registry.
    Registry(cli::registry::RegistryArgs),
    /// Access tokens of the gateway.
    Token(cli::token::TokenArgs),
    /// Prints a kubeconfig for the gateway itself.
    Kubeconfig(cli::kubeconfig::KubeconfigArgs),
    /// Prints the completion script of a shell.
    Completion {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Lists every error of a configuration file with its line, and what keeps its plugins from being loaded; exit code
    /// 1 when there is one.
    Check {
        /// The TOML file.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where plugin files are. Default: the file's `[plugins] dir`, else the folder `plugins` beside the binary.
        #[arg(long, value_name = "DIR")]
        plugins_dir: Option<PathBuf>,
    },
}

/// Flags of `serve`; they win over the file.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The TOML file; without it everything has its default.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen; port 0 lets the system choose. Default: 127.0.0.1:7700.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Everything that lasts is in here.
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    /// Where plugin files are. Default: the folder `plugins` beside the binary.
    #[arg(long, value_name = "DIR")]
    pub(crate) plugins_dir: Option<PathBuf>,
    /// Development: members may be on the loopback. Nothing else changes.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Makes a CA and a certificate under `DIR/tls` at the first start and speaks TLS with them.
    #[arg(long)]
    pub(crate) tls: bool,
}

impl Args {
    /// Does what was asked; the exit code says how it ended.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(args) => serve::serve(args).await,
            Command::Config {
                command:
                    ConfigCommand::Check {
                        config,
                        plugins_dir,
                    },
            } => cli::config::check(config.as_deref(), plugins_dir.as_deref()).await,
            Command::Store(args) => cli::store::run(args).await,
            Command::Cluster(args) => cli::cluster::run(args).await,
            Command::Chart(args) => cli::chart::run(*args).await,
            Command::Operation(args) => cli::operation::run(args).await,
            Command::Archive(args) => cli::archive::run(args).await,
            Command::Repo(args) => cli::repo::run(args).await,
            Command::Plugin(args) => cli::plugin::run(args).await,
            Command::Registry(args) => cli::registry::run(args).await,
            Command::Token(args) => cli::token::run(args).await,
            Command::Kubeconfig(args) => cli::kubeconfig::run(&args),
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "optikon", &mut script);
                cli::output::say(String::from_utf8_lossy(&script).trim_end());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_flag_goes_together() {
        Args::command().debug_assert();
    }
}

//! `cargo xtask demo`: the gateway with real clusters, for trying the README's commands.
//!
//! The clusters are started by `optikon-demo` of `optikon-tests`, with the same tools as the tests'.

use anyhow::Result;

use super::run::build_gateway;
use crate::folders::Folders;
use crate::{plugins, say, shell, testbed};

/// Starts clusters and the gateway, and registers the clusters.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many clusters, edge-1 to edge-N; each takes about 0.5 GB of memory.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    clusters: u16,
    /// Where the gateway listens.
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: String,
    /// The last cluster has Tiller, and a release that Helm 2 made with it.
    #[arg(long)]
    tiller: bool,
    /// Serves the original API without a token on this address, such as 127.0.0.1:7701.
    #[arg(long, value_name = "ADDRESS")]
    v0: Option<String>,
}

/// Runs until Ctrl-C.
///
/// # Errors
/// When something does not build or start.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    testbed::find(folders, &testbed::KUBERNETES)?;
    if args.tiller {
        testbed::find(folders, &testbed::TILLER)?;
        testbed::find(folders, &testbed::HELM)?;
    }
    plugins::build_all(folders)?;
    build_gateway(folders)?;
    say("cargo run --package optikon-tests --bin optikon-demo");
    shell::run(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["run", "--quiet", "--package", "optikon-tests"])
            .args(["--bin", "optikon-demo", "--"])
            .args([
                "--clusters",
                &args.clusters.to_string(),
                "--listen",
                &args.listen,
            ])
            .args(args.tiller.then_some("--tiller"))
            .args(args.v0.iter().flat_map(|address| ["--v0", address])),
    )
}

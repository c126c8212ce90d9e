//! `cargo xtask run`: the gateway, built and served in development mode.

use std::process::Command;

use anyhow::Result;

use crate::folders::Folders;
use crate::{plugins, say, shell};

/// Builds plugins and gateway, and serves.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Passed on to `optikon serve`, after `--`.
    #[arg(last = true)]
    extra: Vec<String>,
}

/// Serves until Ctrl-C, with data under `target/run/data`.
///
/// # Errors
/// When something does not build, or the gateway ends with a failure.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    plugins::build_all(folders)?;
    build_gateway(folders)?;
    let data = folders.target.join("run").join("data");
    let mut serve = Command::new(folders.gateway_binary());
    serve
        .args(["serve", "--dev", "--data-dir"])
        .arg(&data)
        .arg("--plugins-dir")
        .arg(folders.plugins())
        .args(&args.extra);
    say(shell::describe(&serve));
    say(format_args!(
        "the admin token will be in {}",
        data.join("admin.token").display()
    ));
    shell::run(&mut serve)
}

/// `cargo build` of the gateway.
///
/// # Errors
/// When it does not build.
pub fn build_gateway(folders: &Folders) -> Result<()> {
    say("cargo build --package optikon");
    shell::run(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["build", "--package", "optikon"]),
    )
}

//! `cargo xtask parity`: our rendering against the real Helm's, chart by chart.

use std::ffi::OsString;

use anyhow::Result;

use crate::folders::Folders;
use crate::{say, shell, testbed};

/// Compares our rendering with the real Helm's.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Passed on to the comparison, such as the names of charts.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    extra: Vec<OsString>,
}

/// Finds or builds the real Helm, and runs `helm-parity` with it in `OPTIKON_HELM`.
///
/// # Errors
/// When Helm cannot be had, or the comparison fails.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    let binaries = testbed::find(folders, &testbed::HELM)?;
    say("cargo run --release --package optikon-tests --bin helm-parity");
    shell::run(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["run", "--quiet", "--release", "--package", "optikon-tests"])
            .args(["--bin", "helm-parity", "--"])
            .args(&args.extra)
            .env("OPTIKON_HELM", binaries.path("helm")?),
    )
}

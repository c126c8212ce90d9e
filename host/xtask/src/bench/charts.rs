//! Releases on many clusters: `charts-bench` of `optikon-tests` measures the release build, beside the real Helm.

use anyhow::Result;

use super::Bench;
use crate::folders::Folders;
use crate::{plugins, say, shell};

pub(super) const BENCH: Bench = Bench {
    name: "charts",
    summary: "installs on ten real API servers beside ten helm processes, and operations over 100 and 1,000 members",
    run,
};

fn run(folders: &Folders) -> Result<()> {
    plugins::build_all(folders)?;
    say("cargo build --release --package optikon --package optikon-tests --bin charts-bench");
    shell::run(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["build", "--release", "--package", "optikon"])
            .args(["--package", "optikon-tests"])
            .args(["--bin", "optikon", "--bin", "charts-bench"]),
    )?;
    let release = folders.target.join("release");
    shell::run(
        std::process::Command::new(release.join("charts-bench"))
            .env("OPTIKON_BIN", release.join("optikon"))
            .env("OPTIKON_PLUGINS", folders.plugins())
            .env("OPTIKON_GUESTS", folders.guests()),
    )
}

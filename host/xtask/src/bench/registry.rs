//! Registries side by side: reads, writes, a swap under load, a migration.

use anyhow::Result;

use super::Bench;
use crate::folders::Folders;
use crate::{plugins, say, shell};

pub(super) const BENCH: Bench = Bench {
    name: "registry",
    summary: "the embedded registry, a central one, and the change from one to the other under load",
    run,
};

fn run(folders: &Folders) -> Result<()> {
    plugins::build_all(folders)?;
    say("cargo build --release --package optikon --package optikon-tests --bin registry-bench");
    shell::run(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["build", "--release", "--package", "optikon"])
            .args(["--package", "optikon-tests"])
            .args(["--bin", "optikon", "--bin", "registry-bench"]),
    )?;
    let release = folders.target.join("release");
    shell::run(
        std::process::Command::new(release.join("registry-bench"))
            .env("OPTIKON_BIN", release.join("optikon"))
            .env("OPTIKON_PLUGINS", folders.plugins()),
    )
}

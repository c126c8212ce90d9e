//! Registries side by side: reads, writes, a swap under load, a migration.

use anyhow::{Context, Result};

use super::{Bench, record};
use crate::folders::Folders;
use crate::{plugins, say, shell};

pub(super) const BENCH: Bench = Bench {
    name: "registry",
    summary: "the embedded registry, a central one, and the change from one to the other under load",
    run,
};

fn run(folders: &Folders) -> Result<()> {
    plugins::build_all(folders)?;
    say("cargo build --release --package optikon");
    shell::run(shell::cargo().current_dir(&folders.root).args([
        "build",
        "--release",
        "--package",
        "optikon",
    ]))?;
    say("cargo run --release --package optikon-tests --bin registry-bench");
    let printed = shell::output(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["run", "--quiet", "--release", "--package", "optikon-tests"])
            .args(["--bin", "registry-bench"])
            .env(
                "OPTIKON_BIN",
                folders.target.join("release").join("optikon"),
            )
            .env("OPTIKON_PLUGINS", folders.plugins()),
    )?;
    let (table, figures) = printed
        .trim_end()
        .rsplit_once('\n')
        .unwrap_or(("", &printed));
    println!("{table}");
    let figures = serde_json::from_str(figures).context("read the figures of registry-bench")?;
    record(folders, "registry", &figures)
}

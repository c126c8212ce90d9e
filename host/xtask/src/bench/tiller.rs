//! Tiller through the gateway: `tiller-bench` of `optikon-tests` measures the release build beside the real Helm 2 client.

use anyhow::Result;

use super::Bench;
use crate::folders::Folders;
use crate::{plugins, say, shell, testbed};

pub(super) const BENCH: Bench = Bench {
    name: "tiller",
    summary: "a list over ten Tillers against ten helm2 in parallel, a tunnel's round trips, a call over it",
    run,
};

fn run(folders: &Folders) -> Result<()> {
    testbed::find(folders, &testbed::KUBERNETES)?;
    testbed::find(folders, &testbed::TILLER)?;
    plugins::build_all(folders)?;
    say("cargo build --release --package optikon --package optikon-tests --bin tiller-bench");
    shell::run(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["build", "--release", "--package", "optikon"])
            .args(["--package", "optikon-tests"])
            .args(["--bin", "optikon", "--bin", "tiller-bench"]),
    )?;
    let release = folders.target.join("release");
    shell::run(
        std::process::Command::new(release.join("tiller-bench"))
            .env("OPTIKON_BIN", release.join("optikon"))
            .env("OPTIKON_PLUGINS", folders.plugins()),
    )
}

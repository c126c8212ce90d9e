//! The gateway under load: `gateway-bench` of `optikon-tests` measures the release build, beside what it is compared with.

use anyhow::Result;

use super::Bench;
use crate::folders::Folders;
use crate::{plugins, say, shell};

pub(super) const CACHED: Bench = Bench {
    name: "cached",
    summary: "GET of one cluster from the mirror and through the registry's plugin, against a bare axum handler",
    run: |folders| part(folders, "cached"),
};

pub(super) const LIVE: Bench = Bench {
    name: "live",
    summary: "a live look at 1,000 members with 50 ms answers, against the same requests without gateway and plugin",
    run: |folders| part(folders, "live"),
};

pub(super) const HOLES: Bench = Bench {
    name: "holes",
    summary: "looks at healthy members while one in a hundred members never answers",
    run: |folders| part(folders, "holes"),
};

pub(super) const LOOP: Bench = Bench {
    name: "loop",
    summary: "how soon a looping plugin is stopped, and what others notice of it",
    run: |folders| part(folders, "loop"),
};

pub(super) const FLEET: Bench = Bench {
    name: "fleet",
    summary: "5,000 registered clusters: lists with a selector, and memory",
    run: |folders| part(folders, "fleet"),
};

/// Builds what is measured and measures it.
fn part(folders: &Folders, name: &str) -> Result<()> {
    plugins::build_all(folders)?;
    plugins::build_guests(folders)?;
    say("cargo build --release --package optikon --package optikon-tests --bin gateway-bench");
    shell::run(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["build", "--release", "--package", "optikon"])
            .args(["--package", "optikon-tests"])
            .args(["--bin", "optikon", "--bin", "gateway-bench"]),
    )?;
    let release = folders.target.join("release");
    shell::run(
        std::process::Command::new(release.join("gateway-bench"))
            .arg(name)
            .env("OPTIKON_BIN", release.join("optikon"))
            .env("OPTIKON_PLUGINS", folders.plugins())
            .env("OPTIKON_GUESTS", folders.guests()),
    )
}

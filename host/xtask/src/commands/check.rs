//! `cargo xtask check`: everything that needs no running: format, lints, documentation, house rules.

use anyhow::Result;

use crate::folders::Folders;
use crate::shell;
use crate::timing::Parts;

/// Checks format, lints, documentation and house rules.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs every check, also after one failed, and prints the minutes of each.
///
/// # Errors
/// The first check that failed.
pub fn run(folders: &Folders, _args: &Args) -> Result<()> {
    let mut parts = Parts::default();
    let mut outcomes = Vec::new();
    let mut part = |name: &str, rustdoc_flags: Option<&str>, args: &[&str]| {
        outcomes.push(parts.part(name, || {
            let mut command = shell::cargo();
            command.current_dir(&folders.root).args(args);
            if let Some(flags) = rustdoc_flags {
                command.env("RUSTDOCFLAGS", flags);
            }
            shell::run(&mut command)
        }));
    };
    part("cargo fmt --check", None, &["fmt", "--all", "--check"]);
    part(
        "cargo clippy",
        None,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "optikon-tests/testbed",
            "--",
            "-D",
            "warnings",
        ],
    );
    part(
        "cargo doc",
        // Private items are shown here, so links to them lead somewhere.
        Some("-D warnings -A rustdoc::private-intra-doc-links"),
        &[
            "doc",
            "--workspace",
            "--features",
            "optikon-tests/testbed",
            "--no-deps",
            "--document-private-items",
        ],
    );
    if folders.root.join("tests").join("tidy").is_dir() {
        part(
            "tidy",
            None,
            &[
                "test",
                "--workspace",
                "--features",
                "optikon-tests/testbed",
                "--test",
                "tidy",
            ],
        );
    }
    parts.print();
    outcomes.into_iter().collect()
}

//! `cargo xtask parity`: our rendering against the real Helm's, chart by chart.

use std::ffi::OsString;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::folders::Folders;
use crate::{say, shell, testbed};

/// Compares our rendering with the real Helm's.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Passed on to the comparison, such as the names of charts.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    extra: Vec<OsString>,
}

/// The program that compares; any crate of the workspace may hold it.
const PROGRAM: &str = "helm-parity";

/// Finds or builds the real Helm, and runs `helm-parity` with its path in `OPTIKON_HELM`.
///
/// # Errors
/// When there is no such program, Helm cannot be had, or the comparison fails.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    let metadata = shell::output(shell::cargo().current_dir(&folders.root).args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let metadata: Value =
        serde_json::from_str(&metadata).context("read what `cargo metadata` printed")?;
    let package = holder(&metadata)
        .with_context(|| format!("no crate of this workspace has a program {PROGRAM}"))?;
    let binaries = testbed::find(folders, &testbed::HELM)?;
    say(format_args!(
        "cargo run --release --package {package} --bin {PROGRAM}"
    ));
    shell::run(
        shell::cargo()
            .current_dir(&folders.root)
            .args(["run", "--quiet", "--release", "--package", package])
            .args(["--bin", PROGRAM, "--"])
            .args(&args.extra)
            .env("OPTIKON_HELM", binaries.path("helm")?),
    )
}

/// The package with the program.
fn holder(metadata: &Value) -> Option<&str> {
    let is_it = |target: &Value| {
        target.get("name").and_then(Value::as_str) == Some(PROGRAM)
            && target
                .get("kind")
                .and_then(Value::as_array)
                .is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
    };
    metadata
        .get("packages")?
        .as_array()?
        .iter()
        .find(|package| {
            package
                .get("targets")
                .and_then(Value::as_array)
                .is_some_and(|targets| targets.iter().any(is_it))
        })?
        .get("name")?
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_program_is_found_wherever_it_is() {
        let metadata = json!({"packages": [
            {"name": "a", "targets": [{"name": PROGRAM, "kind": ["test"]}]},
            {"name": "b", "targets": [{"name": PROGRAM, "kind": ["bin"]}]},
        ]});
        assert_eq!(holder(&metadata), Some("b"));
        assert_eq!(holder(&json!({"packages": []})), None);
    }
}

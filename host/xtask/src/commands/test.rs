//! `cargo xtask test`: everything that runs, down to real clusters.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::folders::Folders;
use crate::timing::Parts;
use crate::{plugins, say, shell, testbed};

/// Runs the tests; with the test bed unless told otherwise.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Without the test bed: unit tests and what runs in this process.
    #[arg(long, conflicts_with = "full")]
    fast: bool,
    /// With the long ones (marked `#[ignore]`) as well.
    #[arg(long)]
    full: bool,
}

/// What cargo's test runners said.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    /// Adds up a line such as `test result: ok. 5 passed; 0 failed; 1 ignored; …`; others say nothing.
    fn look(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else {
            return;
        };
        let figures = rest.split_once(". ").map_or(rest, |(_, figures)| figures);
        for figure in figures.split(';') {
            let mut words = figure.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<u64>().ok());
            match (number, words.next()) {
                (Some(number), Some("passed")) => self.passed += number,
                (Some(number), Some("failed")) => self.failed += number,
                _ => {}
            }
        }
    }
}

/// Runs all parts, also after one failed; the last line is `N passed, N failed`.
///
/// # Errors
/// When a test failed or a part could not run.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    let mut parts = Parts::default();
    let mut count = Count::default();
    let outcome = all(folders, args, &mut parts, &mut count);
    parts.print();
    if let Err(error) = &outcome {
        say(format_args!("{error:#}"));
        // What stops a part before its tests could say so is a failure all the same.
        count.failed = count.failed.max(1);
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 {
        bail!("the tests did not pass");
    }
    Ok(())
}

fn all(folders: &Folders, args: &Args, parts: &mut Parts, count: &mut Count) -> Result<()> {
    let features: &[&str] = if args.fast {
        &[]
    } else {
        &["--features", "optikon-tests/testbed"]
    };
    if !args.fast {
        for module in testbed::MODULES.iter().copied() {
            parts.part(&format!("test bed: {}", module.name), || {
                testbed::find(folders, module)
            })?;
        }
    }
    parts.part("plugins", || plugins::build_all(folders))?;
    parts.part("test guests", || plugins::build_guests(folders))?;
    // With all targets, so that the gateway is built with the features that the tests are built with: once.
    parts.part("cargo build", || {
        shell::run(
            shell::cargo()
                .current_dir(&folders.root)
                .args(["build", "--workspace", "--all-targets"])
                .args(features),
        )
    })?;
    let metadata = shell::output(shell::cargo().current_dir(&folders.root).args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let portions = portions(&metadata, !args.fast)?;
    let mut broken: Vec<String> = Vec::new();
    for (name, selection) in portions {
        let passed = parts.part(&name, || {
            let mut command = test_command(folders, args);
            command.args(&selection).args(features);
            if args.full {
                command.args(["--", "--include-ignored"]);
            }
            shell::watch(&mut command, |line| count.look(line))
        })?;
        if !passed {
            broken.push(name);
        }
    }
    if !broken.is_empty() {
        bail!("failed: {}", broken.join(", "));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    #[serde(default, rename = "required-features")]
    required_features: Vec<String>,
}

/// What is run at a time, by name: the suites of `optikon-tests` one by one, the rest by kind. Portions are never by
/// package: another choice of packages is another choice of features, and a rebuild.
fn portions(metadata: &str, has_testbed: bool) -> Result<Vec<(String, Vec<String>)>> {
    let metadata: Metadata =
        serde_json::from_str(metadata).context("read what `cargo metadata` printed")?;
    let mut suites = BTreeSet::new();
    let mut others = BTreeSet::new();
    for package in metadata.packages {
        let known = if package.name == "optikon-tests" {
            &mut suites
        } else {
            &mut others
        };
        for target in package.targets {
            let is_test = target.kind.iter().any(|kind| kind == "test");
            if is_test && (has_testbed || target.required_features.is_empty()) {
                known.insert(target.name);
            }
        }
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut portions: Vec<(String, Vec<String>)> =
        vec![("unit tests".to_owned(), words(&["--lib", "--bins"]))];
    let mut selection = Vec::new();
    for name in others.difference(&suites) {
        selection.extend(["--test".to_owned(), name.clone()]);
    }
    if !selection.is_empty() {
        portions.push(("tests of single crates".to_owned(), selection));
    }
    for name in suites {
        portions.push((format!("suite {name}"), words(&["--test", &name])));
    }
    portions.push(("examples in documentation".to_owned(), words(&["--doc"])));
    Ok(portions)
}

fn test_command(folders: &Folders, args: &Args) -> Command {
    let mut command = shell::cargo();
    command
        .current_dir(&folders.root)
        .args(["test", "--workspace", "--no-fail-fast"])
        // Built above; the helpers need not build again.
        .env("OPTIKON_BIN", folders.gateway_binary())
        .env("OPTIKON_PLUGINS", folders.plugins())
        .env("OPTIKON_GUESTS", folders.guests());
    if args.full {
        command.env("OPTIKON_TEST_FULL", "1");
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_over_runners() {
        let mut count = Count::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "9 passed; 9 failed",
        ] {
            count.look(line);
        }
        assert_eq!(
            count,
            Count {
                passed: 7,
                failed: 2
            }
        );
    }

    #[test]
    fn a_suite_with_real_clusters_is_left_out_when_asked() {
        let metadata = serde_json::json!({"packages": [
            {"name": "a", "targets": [
                {"name": "a", "kind": ["lib"]},
                {"name": "own", "kind": ["test"]},
            ]},
            {"name": "optikon-tests", "targets": [
                {"name": "sandbox", "kind": ["test"]},
                {"name": "gateway", "kind": ["test"], "required-features": ["testbed"]},
            ]},
        ]})
        .to_string();
        let names = |has_testbed| -> Vec<String> {
            portions(&metadata, has_testbed)
                .unwrap()
                .into_iter()
                .map(|(_, selection)| selection.join(" "))
                .collect()
        };
        let fast = ["--lib --bins", "--test own", "--test sandbox", "--doc"];
        assert_eq!(names(false), fast);
        assert!(names(true).contains(&"--test gateway".to_owned()));
    }
}

//! `helm-parity [FAMILY…] [--batches N] [--seed N] [--write-goldens]`: our rendering against the real Helm's.
//!
//! First the committed goldens are checked against the Helm in `OPTIKON_HELM` (or recorded anew), then charts are
//! generated family by family: in most, each line of the output is a case; in `whole`, each chart is one, and may fail.
//! The last lines are the cases and differences.
#![allow(
    clippy::print_stdout,
    reason = "a tool for the terminal says what it found"
)]

mod families;
mod goldens;
mod random;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Parser;
use optikon_tests::charts::render;

use families::FAMILIES;
use random::Random;

/// Compares our rendering with the real Helm's.
#[derive(Debug, Parser)]
struct Args {
    /// Only these families.
    families: Vec<String>,
    /// Generated charts in each family; a chart holds a few hundred cases.
    #[arg(long, default_value_t = 8)]
    batches: u64,
    /// Other seeds give other cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Record the goldens of our own charts anew instead of checking them.
    #[arg(long)]
    write_goldens: bool,
    /// The real Helm.
    #[arg(long, env = "OPTIKON_HELM")]
    helm: PathBuf,
}

/// What Helm prints: standard output, or the error without the log before it.
pub(crate) fn helm(binary: &Path, chart: &Path, words: &[String]) -> Result<String> {
    let home = std::env::temp_dir().join("optikon-parity-home");
    let output = Command::new(binary)
        .args(["template", "rel"])
        .arg(chart)
        .args(words)
        .env("HELM_CONFIG_HOME", &home)
        .env("HELM_CACHE_HOME", &home)
        .env("HELM_DATA_HOME", &home)
        .output()
        .with_context(|| format!("run {}", binary.display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Ok(error_of(&String::from_utf8_lossy(&output.stderr)))
}

fn error_of(stderr: &str) -> String {
    match stderr.split_once("Error: ") {
        Some((_, error)) => format!("Error: {error}"),
        None => stderr.to_owned(),
    }
}

/// What we print, in the same form.
pub(crate) fn ours(chart: &Path, words: &[String]) -> Result<String> {
    let output = render("rel", chart, words)?;
    Ok(if output.exit_code == 0 {
        output.stdout
    } else {
        error_of(&output.stderr)
    })
}

fn write_chart(folder: &Path, chart: &families::Generated) -> Result<()> {
    fs::create_dir_all(folder.join("templates"))?;
    fs::write(
        folder.join("Chart.yaml"),
        "apiVersion: v2\nname: generated\nversion: 0.1.0\n",
    )?;
    fs::write(folder.join("values.yaml"), &chart.values)?;
    fs::write(folder.join("templates/cases.yaml"), &chart.template)?;
    Ok(())
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut differences = 0;
    if args.families.is_empty() {
        differences += goldens::check(&args.helm, args.write_goldens)?;
        if args.write_goldens {
            return Ok(());
        }
    }
    let folder = std::env::temp_dir().join(format!("optikon-parity-{}", std::process::id()));
    for family in FAMILIES {
        if !is_wanted(&args, family.name) {
            continue;
        }
        let (mut cases, mut found) = (0, 0);
        for batch in 0..args.batches {
            let mut random = Random::new(
                args.seed.wrapping_mul(1_000).wrapping_add(batch),
                family.name,
            );
            let chart = (family.generate)(&mut random);
            let place = folder.join(format!("{}-{batch}", family.name));
            write_chart(&place, &chart)?;
            cases += chart.cases;
            found += compare(&args.helm, &place, &[], true)?;
        }
        println!("{:<12} {cases:>6} cases, {found} differences", family.name);
        differences += found;
    }
    for family in whole::FAMILIES {
        if is_wanted(&args, family.name) {
            differences += compare_whole(&args, family, &folder)?;
        }
    }
    if differences == 0 {
        fs::remove_dir_all(&folder).ok();
        println!("0 differences");
        return Ok(());
    }
    bail!(
        "{differences} differences; the generated charts are in {}",
        folder.display()
    )
}

fn is_wanted(args: &Args, family: &str) -> bool {
    args.families.is_empty() || args.families.iter().any(|name| name == family)
}

/// Charts in a batch of a family whose cases are charts; each is a process.
const CHARTS: usize = 40;

fn compare_whole(args: &Args, family: &whole::Family, folder: &Path) -> Result<usize> {
    let (mut cases, mut found) = (0, 0);
    for batch in 0..args.batches {
        let seed = args.seed.wrapping_mul(1_000).wrapping_add(batch);
        let mut random = Random::new(seed, family.name);
        for at in 0..CHARTS {
            let case = (family.generate)(&mut random);
            let place = folder.join(format!("{}-{batch}-{at}", family.name));
            for (path, text) in &case.files {
                let file = place.join(path);
                fs::create_dir_all(file.parent().unwrap_or(&place))?;
                fs::write(file, text)?;
            }
            cases += 1;
            let differing = compare(&args.helm, &place, &case.words, family.is_ordered)?;
            if differing == 0 {
                fs::remove_dir_all(&place)?;
            }
            found += differing.min(1);
        }
    }
    println!("{:<12} {cases:>6} cases, {found} differences", family.name);
    Ok(found)
}

/// The lines in order, and in each the words after commas. What Helm goes out for we refuse, so the reason is not
/// compared; nor is the place of a property's name, which the original may overwrite with a later one.
fn sorted(text: &str) -> String {
    let in_order = |line: &str| {
        if let Some((head, names)) = line.split_once("additional properties ") {
            let names = names.trim_end_matches(" not allowed");
            let mut names: Vec<&str> = names.split(", ").collect();
            names.sort_unstable();
            return format!("{head}additional properties {}", names.join(", "));
        }
        if line.starts_with("failing loading \"http") {
            return line.split("\": ").take(1).collect();
        }
        match line.split_once(": invalid propertyName") {
            Some((_, name)) => name.to_owned(),
            None => line.to_owned(),
        }
    };
    let mut lines: Vec<String> = text.lines().map(in_order).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// How many lines differ; the first few are shown.
fn compare(binary: &Path, chart: &Path, words: &[String], is_ordered: bool) -> Result<usize> {
    let (mut ours, mut theirs) = (ours(chart, words)?, helm(binary, chart, words)?);
    if !is_ordered {
        (ours, theirs) = (sorted(&ours), sorted(&theirs));
    }
    if ours == theirs {
        return Ok(0);
    }
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), theirs.lines().collect());
    let pairs = (0..ours.len().max(theirs.len())).map(|at| (ours.get(at), theirs.get(at)));
    let differing: Vec<_> = pairs.filter(|(ours, theirs)| ours != theirs).collect();
    for (ours, theirs) in differing.iter().take(3) {
        println!(
            "  {}\n    ours   {ours:?}\n    Helm's {theirs:?}",
            chart.display()
        );
    }
    Ok(differing.len().max(1))
}

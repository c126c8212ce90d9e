//! `cargo xtask bench NAME…`: measurements by name.

use anyhow::{Result, bail};

use crate::bench::{ALL, Bench, GROUPS};
use crate::folders::Folders;
use crate::say;

/// Runs benchmarks.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which ones; without any, lists them.
    names: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

/// Runs each, prints its table, and leaves its figures in `target/bench/<name>.json`.
///
/// # Errors
/// When a name is unknown, a benchmark cannot run, or a figure misses its aim.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    let mut chosen: Vec<&Bench> = Vec::new();
    for name in &args.names {
        let of_group = GROUPS.iter().find(|(group, _)| group == name);
        let members = of_group.map_or_else(|| vec![name.as_str()], |(_, members)| members.to_vec());
        for member in members {
            match ALL.iter().find(|bench| bench.name == member) {
                Some(bench) => chosen.push(bench),
                None => {
                    let groups = GROUPS.iter().map(|(group, _)| *group);
                    let known: Vec<&str> = ALL.iter().map(|b| b.name).chain(groups).collect();
                    bail!("no benchmark \"{name}\"; there are {}", known.join(", "));
                }
            }
        }
    }
    if args.all {
        chosen = ALL.iter().collect();
    }
    if chosen.is_empty() {
        for bench in ALL {
            println!("{:<12} {}", bench.name, bench.summary);
        }
        for (group, members) in GROUPS {
            println!("{group:<12} {}", members.join(", "));
        }
        return Ok(());
    }
    // One that misses its aim is no reason not to measure the others.
    let mut missed = Vec::new();
    for bench in chosen {
        say(format_args!("{}: {}", bench.name, bench.summary));
        if let Err(error) = (bench.run)(folders) {
            say(format_args!("{}: {error:#}", bench.name));
            missed.push(bench.name);
        }
    }
    if !missed.is_empty() {
        bail!("not as they should be: {}", missed.join(", "));
    }
    Ok(())
}

//! `cargo xtask bench NAME…`: measurements by name.

use anyhow::{Result, bail};

use crate::bench::{ALL, Bench};
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
/// When a name is unknown or a benchmark cannot run.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    let mut chosen: Vec<&Bench> = Vec::new();
    for name in &args.names {
        match ALL.iter().find(|bench| bench.name == name) {
            Some(bench) => chosen.push(bench),
            None => {
                let known: Vec<&str> = ALL.iter().map(|bench| bench.name).collect();
                bail!("no benchmark \"{name}\"; there are {}", known.join(", "));
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
        return Ok(());
    }
    for bench in chosen {
        say(format_args!("{}: {}", bench.name, bench.summary));
        (bench.run)(folders)?;
    }
    Ok(())
}

//! `cargo xtask testbed`: builds the real servers that the tests run against.

use anyhow::{Result, bail};

use crate::folders::Folders;
use crate::{say, testbed};

/// Builds the test bed's binaries, or says where they are.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these modules: kubernetes, helm, tiller. All of them when none is named.
    modules: Vec<String>,
}

/// Finds or builds each binary and prints where it is.
///
/// # Errors
/// When a module is unknown or does not build.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    for name in &args.modules {
        if !testbed::MODULES.iter().any(|module| module.name == name) {
            let known: Vec<&str> = testbed::MODULES.iter().map(|module| module.name).collect();
            bail!(
                "the test bed has no module \"{name}\"; there are {}",
                known.join(", ")
            );
        }
    }
    for module in testbed::MODULES.iter().copied() {
        if args.modules.is_empty() || args.modules.iter().any(|name| name == module.name) {
            let binaries = testbed::find(folders, module)?;
            for path in binaries.all() {
                say(path.display());
            }
        }
    }
    Ok(())
}

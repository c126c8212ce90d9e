//! `cargo xtask plugins`: the shipped plugins and the test guests, or one folder of an author's.

use std::path::PathBuf;

use anyhow::Result;

use crate::folders::Folders;
use crate::{plugins, say};

/// Builds plugins into components.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Build the plugin in this folder only, which may lie outside the checkout.
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// Where `--path` puts the component.
    #[arg(long, value_name = "FOLDER", requires = "path")]
    out: Option<PathBuf>,
    /// Leave the test guests out.
    #[arg(long)]
    no_guests: bool,
}

/// Builds them.
///
/// # Errors
/// When one does not build.
pub fn run(folders: &Folders, args: &Args) -> Result<()> {
    if let Some(path) = &args.path {
        let out = args.out.clone().unwrap_or_else(|| folders.plugins());
        let file = plugins::build_folder(folders, path, &out)?;
        say(file.display());
        return Ok(());
    }
    plugins::build_all(folders)?;
    if !args.no_guests {
        plugins::build_guests(folders)?;
    }
    Ok(())
}

//! `optikon store`: the data folder of a gateway. Only a backup can be had while it runs.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use optikon_core::words::Secret;
use optikon_store::{DATABASE_FILE, KeySource, Store, StoreOptions};

use super::output::{say, warn};
use crate::serve::take_backup;

/// `optikon store`.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The gateway's data folder.
    #[arg(long, global = true, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a copy of one moment, also while the gateway runs; what is sealed stays sealed.
    Backup {
        /// The file to write.
        file: PathBuf,
    },
    /// Puts a backup in the place of the store, which is kept beside it.
    Restore {
        /// A file of `backup`.
        file: PathBuf,
    },
    /// Reads everything and says what is wrong.
    Check {
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Seals every secret anew with another key.
    Rekey {
        #[command(flatten)]
        key: KeyArgs,
        /// A file with the new key, 32 bytes in hex or base64. Default: a new `DIR/vault.key`.
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// A file with the vault's key, or - for stdin. Default: `DIR/vault.key`.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Does what was asked.
pub(crate) async fn run(args: StoreArgs) -> Result<ExitCode> {
    let folder = &args.data_dir;
    match args.command {
        Command::Backup { file } => {
            if take_backup(folder, &file).await?.is_some() {
                say(format_args!("wrote {}", file.display()));
                return Ok(ExitCode::SUCCESS);
            }
            present(folder)?;
            let store = Store::open(folder, StoreOptions::default())?;
            store.backup(&file).await?;
            store.close();
            say(format_args!("wrote {}", file.display()));
        }
        Command::Restore { file } => {
            let restored = optikon_store::restore(&file, folder)?;
            if let Some(kept) = &restored.kept {
                say(format_args!(
                    "kept the store that was there as {}",
                    kept.display()
                ));
            }
            say(format_args!(
                "restored {} from {}",
                folder.display(),
                file.display()
            ));
        }
        Command::Check { key } => {
            let findings = optikon_store::check(folder, &source(key.key_file.as_deref())?)?;
            for finding in &findings {
                warn(format_args!("{}: {}", finding.what, finding.message));
            }
            if !findings.is_empty() {
                return Ok(ExitCode::from(1));
            }
            say("the store is whole");
        }
        Command::Rekey { key, new_key_file } => {
            present(folder)?;
            let old = source(key.key_file.as_deref())?;
            let new = source(new_key_file.as_deref())?;
            let done = optikon_store::rekey(folder, &old, &new)?;
            say(format_args!("sealed {} secret(s) anew", done.resealed));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Opening makes a store where there is none; a mistyped folder must not look like an empty one.
///
/// # Errors
/// When there is no store in this folder.
pub(super) fn present(folder: &Path) -> Result<()> {
    let file = folder.join(DATABASE_FILE);
    let is_there = file
        .try_exists()
        .with_context(|| format!("cannot look for {}", file.display()))?;
    if !is_there {
        bail!(
            "there is no store in {}; --data-dir names its folder",
            folder.display()
        );
    }
    Ok(())
}

fn source(file: Option<&Path>) -> Result<KeySource> {
    let Some(file) = file else {
        return Ok(KeySource::File);
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(4096)
            .read_to_string(&mut text)
            .context("cannot read stdin")?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the key from {}", file.display()))?;
    }
    if text.trim().is_empty() {
        bail!("the key file {} is empty", file.display());
    }
    Ok(KeySource::Given(Secret::new(text.trim().to_owned())))
}

//! A plugin file looked at without an engine, for the command line.

use std::path::Path;

use optikon_core::{Error, Result, ports::Inspection};

use crate::load::{self, world::Worlds};

/// The largest file that is looked at; the engine's own default.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Who a plugin file is and what keeps it from being loaded. Nothing of it is run.
///
/// # Errors
/// `Invalid` when it cannot be read at all.
pub async fn inspect_file(file: &Path) -> Result<Inspection> {
    let file = file.to_path_buf();
    let looked = tokio::task::spawn_blocking(move || {
        let worlds = Worlds::new().map_err(Error::Internal)?;
        let bytes = load::read(&file, MAX_BYTES).map_err(|p| Error::invalid(p.what, p.message))?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        Ok(load::describe(bytes, &stem, &worlds).inspection)
    });
    looked
        .await
        .map_err(|error| Error::Internal(format!("inspect plugin: {error}")))?
}

//! Temporary folders that are removed with their owner, or by a later run when the owner was killed.

use std::fs;
use std::path::Path;
use std::sync::Once;

use anyhow::{Context, Result};
use tempfile::TempDir;

const PREFIX: &str = "optikon-tests-";

static SWEEP: Once = Once::new();

/// A fresh folder; its name begins with the process's number.
///
/// # Errors
/// When the temporary folder is not writable.
pub fn folder() -> Result<TempDir> {
    let top = std::env::temp_dir();
    SWEEP.call_once(|| sweep(&top));
    tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-", std::process::id()))
        .tempdir_in(&top)
        .with_context(|| format!("make a folder in {}", top.display()))
}

/// Removes what killed runs left. Only Linux tells here which processes live; elsewhere the system's own sweep does it.
fn sweep(top: &Path) {
    if !Path::new("/proc/self").exists() {
        return;
    }
    let Ok(entries) = fs::read_dir(top) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(process, _)| process.parse::<u32>().ok());
        if let Some(process) = owner
            && !Path::new("/proc").join(process.to_string()).exists()
        {
            // Another run may sweep at the same time; what neither can remove is the system's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_swept_and_what_lives_stays() {
        let top = tempfile::tempdir().unwrap();
        let dead = top.path().join(format!("{PREFIX}4294967294-x"));
        let alive = top.path().join(format!("{PREFIX}{}-x", std::process::id()));
        let foreign = top.path().join("something-else");
        for folder in [&dead, &alive, &foreign] {
            fs::create_dir(folder).unwrap();
        }
        sweep(top.path());
        assert_eq!(dead.exists(), !Path::new("/proc/self").exists());
        assert!(alive.exists());
        assert!(foreign.exists());
    }
}

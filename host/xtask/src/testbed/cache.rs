//! The cache: `<root>/<hash of the module's files>/bin`. A binary is built under another name and moved in place, so
//! that one which is there is whole; a lock file keeps two builders apart.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{Module, Tool, go};
use crate::folders::Folders;
use crate::say;

/// `OPTIKON_TESTBED_CACHE`, else `optikon/testbed` in the user's cache folder, else in the target folder.
#[must_use]
pub fn root(folders: &Folders) -> PathBuf {
    choose_root(folders, |name| {
        env::var_os(name).filter(|value| !value.is_empty())
    })
}

fn choose_root(folders: &Folders, given: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if let Some(chosen) = given("OPTIKON_TESTBED_CACHE") {
        return folders.root.join(chosen);
    }
    let cache = given("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| given("HOME").map(|home| Path::new(&home).join(".cache")));
    match cache {
        Some(cache) => cache.join("optikon").join("testbed"),
        None => folders.target.join("testbed"),
    }
}

/// The module's place in the cache.
pub(super) fn home(folders: &Folders, module: &Module) -> Result<PathBuf> {
    Ok(root(folders).join(hash(&module.folder(folders))?))
}

/// 16 hexadecimal digits over the module's own files: `go.mod`, `go.sum`, and local packages where it has some.
fn hash(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut hasher = Sha256::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        let name = file.strip_prefix(folder).unwrap_or(&file);
        hasher.update(name.to_string_lossy().as_bytes());
        hasher.update([0]);
        hasher.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(&bytes);
    }
    let digest = hasher.finalize();
    Ok(digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Builds what is missing of `wanted`, and copies the module's extra folders.
pub(super) fn fill(
    folders: &Folders,
    module: &'static Module,
    home: &Path,
    wanted: &[Tool],
) -> Result<()> {
    if missing(module, home, wanted).is_empty() && extras_are_there(module, home) {
        return Ok(());
    }
    fs::create_dir_all(home).with_context(|| format!("make {}", home.display()))?;
    let lock_file = home.join("lock");
    let lock =
        File::create(&lock_file).with_context(|| format!("create {}", lock_file.display()))?;
    if lock.try_lock().is_err() {
        say(format_args!(
            "test bed: waiting for another build of {}",
            module.name
        ));
        lock.lock()
            .with_context(|| format!("lock {}", lock_file.display()))?;
    }
    // Somebody else may have built them meanwhile.
    let missing = missing(module, home, wanted);
    let go = go::find(folders, &root(folders))?;
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|tool| tool.binary).collect();
        say(format_args!(
            "test bed: building {} with {}; the first time takes minutes",
            names.join(", "),
            go.version
        ));
        go.install(&module.folder(folders), module.stamps, &missing, home)?;
    }
    for (source, inside, name) in module.extras {
        let target = home.join(name);
        if !target.is_dir() {
            let from = go.module_folder(&module.folder(folders), source)?;
            copy_whole(&from.join(inside), &target)?;
        }
    }
    say(format_args!(
        "test bed: {} is ready in {}",
        module.name,
        home.display()
    ));
    Ok(())
}

fn missing(module: &'static Module, home: &Path, wanted: &[Tool]) -> Vec<Tool> {
    module
        .tools
        .iter()
        .filter(|tool| wanted.contains(tool) && !home.join("bin").join(tool.binary).is_file())
        .copied()
        .collect()
}

fn extras_are_there(module: &Module, home: &Path) -> bool {
    module
        .extras
        .iter()
        .all(|(_, _, name)| home.join(name).is_dir())
}

/// Copies a folder so that it is there whole or not at all.
fn copy_whole(from: &Path, to: &Path) -> Result<()> {
    let half = to.with_extension(format!("{}.tmp", std::process::id()));
    copy(from, &half)?;
    fs::rename(&half, to).with_context(|| format!("move {} in place", to.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            // Not fs::copy: the module cache is read-only, and what lies in ours must be removable.
            let bytes = fs::read(entry.path())
                .with_context(|| format!("read {}", entry.path().display()))?;
            fs::write(&target, bytes).with_context(|| format!("write {}", target.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> Folders {
        Folders {
            root: PathBuf::from("/src"),
            target: PathBuf::from("/src/target"),
        }
    }

    #[test]
    fn the_cache_needs_no_home() {
        assert_eq!(
            choose_root(&folders(), |_| None),
            Path::new("/src/target/testbed")
        );
        assert_eq!(
            choose_root(&folders(), |name| (name == "HOME").then(|| "/h".into())),
            Path::new("/h/.cache/optikon/testbed")
        );
        assert_eq!(
            choose_root(&folders(), |name| match name {
                "OPTIKON_TESTBED_CACHE" => Some("/c".into()),
                _ => Some("/h".into()),
            }),
            Path::new("/c")
        );
    }

    #[test]
    fn another_version_is_another_place() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("go.mod"), "require a v1").unwrap();
        let first = hash(folder.path()).unwrap();
        assert_eq!(first, hash(folder.path()).unwrap());
        fs::write(folder.path().join("go.mod"), "require a v2").unwrap();
        let second = hash(folder.path()).unwrap();
        assert_ne!(first, second);
        fs::write(folder.path().join("go.sum"), "").unwrap();
        assert_ne!(second, hash(folder.path()).unwrap());
    }
}

//! Builds plugins and test guests into components.
//!
//! A plugin is a folder under `plugins/` with a `plugin.toml`; a guest is a folder with a `Cargo.toml`, or a `.wat`
//! file, under `tests/guests/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::folders::Folders;
use crate::{component, say, shell, wasm};

/// A crate that becomes one component.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    /// The component's file name without `.wasm`: the folder's name.
    name: String,
    folder: PathBuf,
    package: String,
    /// What cargo calls the module, without `.wasm`.
    module: String,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
    lib: Option<Lib>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

#[derive(Deserialize)]
struct Lib {
    name: Option<String>,
}

/// Builds every plugin into `target/plugins/<folder's name>.wasm`, and removes those built before whose source is gone.
///
/// # Errors
/// When no toolchain for WebAssembly can be had, or a plugin does not build.
pub fn build_all(folders: &Folders) -> Result<Vec<PathBuf>> {
    let sources: Vec<Source> = sources(&folders.root.join("plugins"))?
        .into_iter()
        .filter(|source| source.folder.join("plugin.toml").is_file())
        .collect();
    if sources.is_empty() {
        say("no folder under plugins/ has a plugin.toml");
        return Ok(Vec::new());
    }
    let modules = compile(folders, &folders.root, &sources, "plugin")?;
    let mut built = Vec::new();
    for (source, module) in sources.iter().zip(modules) {
        let file = folders.plugins().join(format!("{}.wasm", source.name));
        built.push(finish(&source.folder, "", &module, file)?);
    }
    remove_gone(&folders.plugins(), &built)?;
    Ok(built)
}

/// Builds one of the shipped plugins as [`build_all`] does: for a suite that needs no other.
///
/// # Errors
/// As for [`build_all`], and when there is no plugin of that name.
pub fn build_shipped(folders: &Folders, name: &str) -> Result<PathBuf> {
    let folder = folders.root.join("plugins").join(name);
    let source =
        read_source(&folder)?.with_context(|| format!("no plugin in {}", folder.display()))?;
    let modules = compile(
        folders,
        &folders.root,
        std::slice::from_ref(&source),
        "plugin",
    )?;
    let module = modules.first().context("cargo built nothing")?;
    let file = folders.plugins().join(format!("{name}.wasm"));
    finish(&folder, "", module, file)
}

/// Bytes of a library below `plugins/` as a module of its own, built as the shipped plugins are.
///
/// # Errors
/// As for [`build_all`], and when there is no such library.
pub fn weigh(folders: &Folders, name: &str) -> Result<u64> {
    let folder = folders.root.join("plugins").join(name);
    let source = read_source(&folder)?.with_context(|| format!("no {}", folder.display()))?;
    let modules = compile(
        folders,
        &folders.root,
        std::slice::from_ref(&source),
        "plugin",
    )?;
    let module = modules.first().context("cargo built nothing")?;
    let about = fs::metadata(module).with_context(|| format!("read {}", module.display()))?;
    Ok(about.len())
}

/// Builds one plugin outside the workspace (an author's folder) into `out`.
///
/// # Errors
/// As for [`build_all`].
pub fn build_folder(folders: &Folders, folder: &Path, out: &Path) -> Result<PathBuf> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("no folder {}", folder.display()))?;
    let source =
        read_source(&folder)?.with_context(|| format!("{} has no Cargo.toml", folder.display()))?;
    let modules = compile(
        folders,
        &folder,
        std::slice::from_ref(&source),
        profile_of(&folder)?,
    )?;
    let module = modules.first().context("cargo built nothing")?;
    finish(
        &folder,
        "",
        module,
        out.join(format!("{}.wasm", source.name)),
    )
}

/// Builds every test guest into `target/guests/<name>.wasm`, and removes those built before whose source is gone.
///
/// # Errors
/// As for [`build_all`].
pub fn build_guests(folders: &Folders) -> Result<Vec<PathBuf>> {
    let top = folders.root.join("tests").join("guests");
    if !top.is_dir() {
        return Ok(Vec::new());
    }
    let mut built = Vec::new();
    let sources = sources(&top)?;
    if top.join("Cargo.toml").is_file() {
        if !sources.is_empty() {
            let modules = compile(folders, &top, &sources, profile_of(&top)?)?;
            for (source, module) in sources.iter().zip(modules) {
                let file = folders.guests().join(format!("{}.wasm", source.name));
                built.push(finish(&source.folder, "", &module, file)?);
            }
        }
    } else {
        for source in &sources {
            built.push(build_folder(folders, &source.folder, &folders.guests())?);
        }
    }
    for entry in sorted_entries(&top)? {
        if entry.extension().is_some_and(|kind| kind == "wat") {
            let name = entry.file_stem().unwrap_or_default().to_string_lossy();
            let module =
                wat::parse_file(&entry).with_context(|| format!("parse {}", entry.display()))?;
            let file = folders.guests().join(format!("{name}.wasm"));
            built.push(finish_bytes(&top, &format!("{name}."), &module, file)?);
        }
    }
    remove_gone(&folders.guests(), &built)?;
    Ok(built)
}

fn sources(top: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for entry in sorted_entries(top)? {
        if let Some(source) = read_source(&entry)? {
            found.push(source);
        }
    }
    Ok(found)
}

fn sorted_entries(top: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(top).with_context(|| format!("list {}", top.display()))? {
        entries.push(entry?.path());
    }
    entries.sort();
    Ok(entries)
}

fn read_source(folder: &Path) -> Result<Option<Source>> {
    let path = folder.join("Cargo.toml");
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let manifest: Manifest =
        toml::from_str(&text).with_context(|| format!("read {}", path.display()))?;
    let name = folder
        .file_name()
        .with_context(|| format!("{} has no name", folder.display()))?
        .to_string_lossy()
        .into_owned();
    let module = manifest
        .lib
        .and_then(|lib| lib.name)
        .unwrap_or_else(|| manifest.package.name.replace('-', "_"));
    Ok(Some(Source {
        name,
        folder: folder.to_path_buf(),
        package: manifest.package.name,
        module,
    }))
}

/// `plugin` where the manifest has such a profile, else `release`.
fn profile_of(folder: &Path) -> Result<&'static str> {
    let text = fs::read_to_string(folder.join("Cargo.toml"))
        .with_context(|| format!("read the manifest in {}", folder.display()))?;
    let manifest: toml::Table =
        toml::from_str(&text).with_context(|| format!("read {}/Cargo.toml", folder.display()))?;
    let has = manifest
        .get("profile")
        .and_then(|profiles| profiles.get("plugin"))
        .is_some();
    Ok(if has { "plugin" } else { "release" })
}

/// Runs cargo once for all of them, and returns the modules in the order of `sources`.
fn compile(
    folders: &Folders,
    workspace: &Path,
    sources: &[Source],
    profile: &str,
) -> Result<Vec<PathBuf>> {
    let route = wasm::route(folders)?;
    let mut command = wasm::cargo_build(route, folders)?;
    command
        .current_dir(workspace)
        .args(["--profile", profile, "--lib"]);
    for source in sources {
        command.args(["--package", &source.package]);
    }
    say(format_args!(
        "cargo build for {}: {}",
        wasm::TARGET,
        names(sources)
    ));
    shell::run(&mut command)?;
    let out = folders.wasm().join(wasm::TARGET).join(profile);
    sources
        .iter()
        .map(|source| {
            let module = out.join(format!("{}.wasm", source.module));
            if !module.is_file() {
                bail!(
                    "{} leaves no module: its Cargo.toml needs `[lib] crate-type = [\"cdylib\", \"rlib\"]`",
                    source.package
                );
            }
            Ok(module)
        })
        .collect()
}

fn names(sources: &[Source]) -> String {
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    names.join(", ")
}

fn finish(folder: &Path, prefix: &str, module: &Path, file: PathBuf) -> Result<PathBuf> {
    let bytes = fs::read(module).with_context(|| format!("read {}", module.display()))?;
    finish_bytes(folder, prefix, &bytes, file)
}

fn finish_bytes(folder: &Path, prefix: &str, module: &[u8], file: PathBuf) -> Result<PathBuf> {
    let mut bytes = component::from_module(module)
        .with_context(|| format!("make a component of {}", folder.display()))?;
    component::describe(&mut bytes, folder, prefix)?;
    let note = if component::write_if_changed(&file, &bytes)? {
        "written"
    } else {
        "unchanged"
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    say(format_args!(
        "{name}: {} kB, {note}",
        bytes.len().div_ceil(1000)
    ));
    Ok(file)
}

/// The names built last time, one a line, beside the components.
const BUILT: &str = ".built";

/// A component whose source is gone would still be loaded. What somebody else put there stays.
fn remove_gone(folder: &Path, built: &[PathBuf]) -> Result<()> {
    let list = folder.join(BUILT);
    let names: BTreeSet<String> = built
        .iter()
        .filter_map(|file| file.file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let before = fs::read_to_string(&list).unwrap_or_default();
    for name in before.lines().filter(|name| !names.contains(*name)) {
        let path = folder.join(name);
        if path.is_file() {
            say(format_args!("{name} has no source any more: removed"));
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    component::write_if_changed(&list, text.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_by_its_folder_and_its_module_by_its_package() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("registry-x");
        fs::create_dir(&folder).unwrap();
        fs::write(
            folder.join("Cargo.toml"),
            "[package]\nname = \"my-registry\"\n",
        )
        .unwrap();
        let found = sources(top.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "registry-x");
        assert_eq!(found[0].module, "my_registry");
    }

    #[test]
    fn what_lost_its_source_is_removed_and_what_others_put_there_stays() {
        let top = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = top.path().join(name);
            fs::write(&path, "").unwrap();
            path
        };
        let (a, b, foreign) = (file("a.wasm"), file("b.wasm"), file("foreign.wasm"));
        remove_gone(top.path(), &[a.clone(), b.clone()]).unwrap();
        remove_gone(top.path(), std::slice::from_ref(&a)).unwrap();
        assert!(a.exists());
        assert!(!b.exists());
        assert!(foreign.exists());
    }
}

//! From bytes to a component that was looked at from all sides.

pub(crate) mod config;
mod sections;
pub(crate) mod world;

use std::{fs, io::Read, path::Path};

use optikon_core::{
    ports::{Inspection, Invalidity, PluginInfo},
    words::{PluginName, sha256},
};
use serde_json::Value;

pub(crate) use sections::Manifest;
pub(crate) use world::Worlds;
use world::{grant_of, problem};

/// A file as it was read, with everything it says about itself.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) bytes: Vec<u8>,
    pub(crate) inspection: Inspection,
    pub(crate) manifest: Option<Manifest>,
    /// Full names of its imports.
    pub(crate) imports: Vec<String>,
}

/// Reads a file that is not larger than `limit`.
pub(crate) fn read(file: &Path, limit: u64) -> Result<Vec<u8>, Invalidity> {
    let failed =
        |error: std::io::Error| problem("file", format!("read plugin {}: {error}", file.display()));
    // Opening a pipe would wait for its writer.
    if !fs::metadata(file).map_err(failed)?.is_file() {
        return Err(problem(
            "file",
            format!("plugin {} is no file", file.display()),
        ));
    }
    let opened = fs::File::open(file).map_err(failed)?;
    let mut bytes = Vec::new();
    // One more than allowed tells a file that is too large, also one that grows while it is read.
    opened
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        let file = file.display();
        return Err(problem(
            "size",
            format!("plugin {file} is larger than plugin-bytes = {limit}"),
        ));
    }
    Ok(bytes)
}

/// Looks at a file's bytes without compiling or running them. `fallback` names a plugin that cannot say its own name.
pub(crate) fn describe(bytes: Vec<u8>, fallback: &str, worlds: &Worlds) -> Described {
    let mut problems = Vec::new();
    let read = sections::read(&bytes).unwrap_or_else(|error| {
        problems.push(problem("section", error));
        sections::Sections::default()
    });
    let manifest = if problems.is_empty() {
        sections::manifest(read.manifest.as_deref())
            .map_err(|error| problems.push(problem("section", error)))
            .ok()
    } else {
        None
    };
    let schema = sections::schema(read.schema.as_deref()).unwrap_or_else(|error| {
        problems.push(problem("section", error));
        Value::Bool(false)
    });
    if let Err(error) = config::validator(&schema) {
        problems.push(error);
    }
    problems.extend(config::misplaced_secrets(&schema));
    if let Some(manifest) = &manifest {
        problems.extend(worlds.problems(&bytes, &manifest.world, &read.imports, &read.exports));
        problems.extend(world::grant_problems(&read.imports, &manifest.asks, None));
    }
    let mut imports: Vec<String> = read
        .imports
        .iter()
        .filter_map(|i| grant_of(i))
        .map(str::to_owned)
        .collect();
    imports.sort();
    imports.dedup();
    let plugin = PluginInfo {
        name: manifest
            .as_ref()
            .map_or_else(|| name_of(fallback), |m| m.name.clone()),
        version: manifest
            .as_ref()
            .map(|m| m.version.clone())
            .unwrap_or_default(),
        world: manifest
            .as_ref()
            .map(|m| m.world.clone())
            .unwrap_or_default(),
        description: manifest
            .as_ref()
            .map(|m| crate::escape::line(&m.description, 512))
            .unwrap_or_default(),
        digest: sha256(&bytes),
        size_bytes: bytes.len() as u64,
        imports,
        asks: manifest
            .as_ref()
            .map(|m| m.asks.clone())
            .unwrap_or_default(),
        central: manifest
            .as_ref()
            .map(|m| m.central.resources.clone())
            .unwrap_or_default(),
    };
    Described {
        inspection: Inspection {
            plugin,
            config_schema: schema,
            problems,
        },
        manifest,
        imports: read.imports,
        bytes,
    }
}

/// A plugin's name from its file's name, where it says none itself.
pub(crate) fn name_of(file: &str) -> PluginName {
    let label: String = file
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(63)
        .collect();
    let label = label.trim_matches('-');
    let unnamed = || "unnamed".parse::<PluginName>();
    match label.parse().or_else(|_| unnamed()) {
        Ok(name) => name,
        Err(_) => unreachable!("a constant label is a label"),
    }
}

//! Everything that can be said about a filling without compiling or running it.

use std::path::Path;

use optikon_core::{ports::Invalidity, words::SlotName};

use super::{EngineConfig, Filling};
use crate::load::{
    self, Described, config,
    world::{self, Worlds},
};

/// Reads a file of the plugins folder.
pub(super) fn read(
    engine: &EngineConfig,
    worlds: &Worlds,
    file: &Path,
) -> Result<Described, Invalidity> {
    let bytes = load::read(&engine.plugins_folder.join(file), engine.plugin_bytes)?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    Ok(load::describe(bytes, &stem, worlds))
}

/// What the file is, when nothing keeps it from filling the slot; else all that does.
pub(super) fn judge(
    engine: &EngineConfig,
    worlds: &Worlds,
    slot: &SlotName,
    filling: &Filling,
) -> Result<Described, Vec<Invalidity>> {
    let described = read(engine, worlds, &filling.file).map_err(|problem| vec![problem])?;
    let mut problems = described.inspection.problems.clone();
    let info = &described.inspection.plugin;
    if let Some(pinned) = &filling.digest
        && *pinned != info.digest
    {
        let found = &info.digest;
        problems.push(world::problem(
            "digest",
            format!("the file has the digest {found}, pinned is {pinned}"),
        ));
    }
    if let Some(manifest) = &described.manifest {
        let role = slot.as_str().split('-').next().unwrap_or_default();
        if manifest.world != role {
            let world = crate::escape::line(&manifest.world, 64);
            problems.push(world::problem(
                "world",
                format!("slot \"{slot}\" takes a {role}, the plugin is a {world}"),
            ));
        }
        let granted = Some((slot.as_str(), &filling.grants));
        problems.extend(world::grant_problems(
            &described.imports,
            &manifest.asks,
            granted,
        ));
        problems.extend(
            filling
                .limits
                .unmet(&manifest.limits)
                .into_iter()
                .map(|line| world::problem("limit", line)),
        );
    }
    for unknown in filling.grants.unknown() {
        problems.push(world::problem(
            "grant",
            format!("slot \"{slot}\": there is no grant \"{unknown}\""),
        ));
    }
    if filling.limits.memory_bytes > engine.memory_slot_bytes {
        let most = engine.memory_slot_bytes;
        problems.push(world::problem(
            "limit",
            format!("slot \"{slot}\": memory-bytes may be at most {most}"),
        ));
    }
    problems.extend(config::check(
        &described.inspection.config_schema,
        &filling.config,
    ));
    problems.dedup();
    if problems.is_empty() {
        Ok(described)
    } else {
        Err(problems)
    }
}

/// What keeps a filling from serving, without an engine: for `config check`. Empty = nothing.
pub fn check_filling(engine: &EngineConfig, slot: &SlotName, filling: &Filling) -> Vec<Invalidity> {
    match Worlds::new() {
        Ok(worlds) => judge(engine, &worlds, slot, filling)
            .err()
            .unwrap_or_default(),
        Err(error) => vec![world::problem("world", error)],
    }
}

//! Whether a component is of a world: names and versions in words people can act on, then every type.

use std::path::Path;

use optikon_core::ports::Invalidity;
use wit_parser::{Resolve, SourceMap, WorldId};

use crate::grants::{Grants, INTERFACES, WASI};

const COMMON: &[(&str, &str)] = &[(
    "common.wit",
    include_str!("../../../../wit/common/common.wit"),
)];
const HOST: &[(&str, &str)] = &[
    ("log.wit", include_str!("../../../../wit/host/log.wit")),
    (
        "config.wit",
        include_str!("../../../../wit/host/config.wit"),
    ),
    ("call.wit", include_str!("../../../../wit/host/call.wit")),
    ("clock.wit", include_str!("../../../../wit/host/clock.wit")),
    (
        "random.wit",
        include_str!("../../../../wit/host/random.wit"),
    ),
    ("kv.wit", include_str!("../../../../wit/host/kv.wit")),
    ("kube.wit", include_str!("../../../../wit/host/kube.wit")),
    (
        "central.wit",
        include_str!("../../../../wit/host/central.wit"),
    ),
    (
        "upstream.wit",
        include_str!("../../../../wit/host/upstream.wit"),
    ),
    ("keys.wit", include_str!("../../../../wit/host/keys.wit")),
    (
        "progress.wit",
        include_str!("../../../../wit/host/progress.wit"),
    ),
    ("facts.wit", include_str!("../../../../wit/host/facts.wit")),
    ("grpc.wit", include_str!("../../../../wit/host/grpc.wit")),
];
const REGISTRY: &[(&str, &str)] = &[(
    "registry.wit",
    include_str!("../../../../wit/registry/registry.wit"),
)];
const PROBER: &[(&str, &str)] = &[(
    "prober.wit",
    include_str!("../../../../wit/prober/prober.wit"),
)];
const CHARTS: &[(&str, &str)] = &[(
    "charts.wit",
    include_str!("../../../../wit/charts/charts.wit"),
)];

/// The version of every package; a plugin of the same minor version fits.
const VERSION: &str = "0.1.0";

/// The roles a plugin can have, with the interface that each exports.
const ROLES: &[(&str, &str)] = &[
    ("registry", "optikon:registry/clusters"),
    ("prober", "optikon:prober/probes"),
    ("charts", "optikon:charts/releases"),
];

/// The worlds as they are written.
#[derive(Debug)]
pub(crate) struct Worlds {
    resolve: Resolve,
    registry: WorldId,
    prober: WorldId,
    charts: WorldId,
}

impl Worlds {
    pub(crate) fn new() -> Result<Self, String> {
        let mut resolve = Resolve::default();
        let mut push = |name: &str, files: &[(&str, &str)]| {
            let mut map = SourceMap::new();
            for (file, text) in files {
                map.push(Path::new(file), *text);
            }
            let group = map
                .parse()
                .map_err(|(_, error)| format!("wit/{name}: {error:?}"))?;
            resolve
                .push_group(group)
                .map_err(|error| format!("wit/{name}: {error:?}"))
        };
        push("common", COMMON)?;
        push("host", HOST)?;
        let (registry, prober) = (push("registry", REGISTRY)?, push("prober", PROBER)?);
        let charts = push("charts", CHARTS)?;
        let world = |package, name| {
            resolve
                .select_world(&[package], Some(name))
                .map_err(|error| format!("wit/{name}: {error:#}"))
        };
        let (registry, prober) = (world(registry, "registry")?, world(prober, "prober")?);
        let charts = world(charts, "charts")?;
        Ok(Self {
            resolve,
            registry,
            prober,
            charts,
        })
    }

    fn id(&self, world: &str) -> Option<WorldId> {
        match world {
            "registry" => Some(self.registry),
            "prober" => Some(self.prober),
            "charts" => Some(self.charts),
            _ => None,
        }
    }

    /// Interfaces of `optikon:host` that a world may import.
    fn offered(&self, id: WorldId) -> Vec<String> {
        let Some(world) = self.resolve.worlds.get(id) else {
            return Vec::new();
        };
        let names = world
            .imports
            .keys()
            .map(|key| self.resolve.name_world_key(key));
        names
            .filter_map(|name| Some(parse(name.as_str())?.1.to_owned()))
            .filter(|name| INTERFACES.contains(&name.as_str()))
            .collect()
    }

    /// Everything that keeps a component from serving as `world`.
    pub(crate) fn problems(
        &self,
        bytes: &[u8],
        world: &str,
        imports: &[String],
        exports: &[String],
    ) -> Vec<Invalidity> {
        let Some(id) = self.id(world) else {
            let world = crate::escape::line(world, 64);
            return vec![problem(
                "world",
                format!(
                    "plugin.toml says world = \"{world}\"; there are registry, prober and charts"
                ),
            )];
        };
        let mut problems = Vec::new();
        if let Some((_, wanted)) = ROLES.iter().find(|(role, _)| *role == world) {
            problems.extend(export_problem(world, wanted, exports));
        }
        let offered = self.offered(id);
        let mut is_plain = true;
        for import in imports {
            is_plain &= import.ends_with(&format!("@{VERSION}"));
            problems.extend(import_problem(world, import, &offered));
        }
        // Stricter about versions in names than linking is, and knows nothing of WASI: what remains is told at the trial
        // instantiation.
        is_plain &= exports
            .iter()
            .all(|export| export.ends_with(&format!("@{VERSION}")));
        if problems.is_empty()
            && is_plain
            && let Err(error) = wit_component::targets(&self.resolve, id, bytes)
        {
            let why = crate::escape::line(&format!("{error:#}"), 1_024);
            problems.push(problem(
                "world",
                format!("the component is not of the world {world}: {why}"),
            ));
        }
        problems
    }
}

pub(crate) fn problem(what: &str, message: impl Into<String>) -> Invalidity {
    Invalidity {
        what: what.to_owned(),
        message: message.into(),
    }
}

/// `package/interface@version` taken apart: package, interface, version.
fn parse(name: &str) -> Option<(&str, &str, &str)> {
    let (path, version) = name.split_once('@').unwrap_or((name, ""));
    let (package, interface) = path.split_once('/')?;
    Some((package, interface, version))
}

/// The interface of `optikon:host` (or `wasi`) that an import needs a grant for.
pub(crate) fn grant_of(import: &str) -> Option<&str> {
    match parse(import)? {
        ("optikon:host", interface, _) => Some(interface),
        (package, _, _) if package.starts_with("wasi:") => Some(WASI),
        _ => None,
    }
}

/// Versions of one track link: up to 1.0 that is the minor version.
fn is_same_track(asked: &str) -> bool {
    let track = |version: &str| version.rsplit_once('.').map(|(track, _)| track.to_owned());
    track(asked) == track(VERSION)
}

fn export_problem(world: &str, wanted: &str, exports: &[String]) -> Option<Invalidity> {
    let found = exports.iter().find(|export| {
        parse(export)
            .is_some_and(|(package, interface, _)| format!("{package}/{interface}") == wanted)
    });
    let Some(found) = found else {
        let roles = ROLES
            .iter()
            .find(|(_, export)| exports.iter().any(|e| e.starts_with(export)));
        let instead = roles
            .map(|(role, _)| format!(" (it is a {role})"))
            .unwrap_or_default();
        return Some(problem(
            "world",
            format!(
                "world {world} needs the export {wanted}@{VERSION}, the component has none{instead}"
            ),
        ));
    };
    let (_, _, version) = parse(found)?;
    (!is_same_track(version)).then(|| {
        problem("world", format!("the component exports {wanted}@{version}, this gateway asks for {VERSION}: build it against this gateway's wit/"))
    })
}

fn import_problem(world: &str, import: &str, offered: &[String]) -> Option<Invalidity> {
    let shown = crate::escape::line(import, 128);
    match parse(import) {
        Some(("optikon:common", _, version)) | Some(("optikon:host", _, version)) if !is_same_track(version) => {
            Some(problem("import", format!("the component imports {shown}, this gateway offers {VERSION}: build it against this gateway's wit/")))
        }
        Some(("optikon:common", "types", _)) => None,
        Some(("optikon:host", interface, _)) if offered.iter().any(|name| name == interface) => None,
        Some(("optikon:host", _, _)) => {
            let offered = offered.join(", ");
            Some(problem("import", format!("the component imports {shown}, which a {world} cannot have; it is offered: {offered}")))
        }
        Some((package, _, version)) if package.starts_with("wasi:") => {
            (!version.starts_with("0.2.")).then(|| {
                problem("import", format!("the component imports {shown}, this gateway offers wasi 0.2 (with nothing in it)"))
            })
        }
        _ => Some(problem("import", format!("the component imports {shown}, which this gateway does not know"))),
    }
}

/// What of the imports is not granted to a slot, or not asked for in `plugin.toml`.
pub(crate) fn grant_problems<'a>(
    imports: impl IntoIterator<Item = &'a String>,
    asks: &std::collections::BTreeMap<String, String>,
    grants: Option<(&str, &Grants)>,
) -> Vec<Invalidity> {
    let mut problems = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for import in imports {
        let Some(needed) = grant_of(import) else {
            continue;
        };
        if !seen.insert(needed.to_owned()) {
            continue;
        }
        if !asks.contains_key(needed) {
            problems.push(problem("section", format!("the component imports {import}, but plugin.toml does not say why: add {needed} = \"…\" under [asks]")));
        }
        if let Some((slot, grants)) = grants
            && !grants.has(needed)
        {
            let line = grants.line_with(needed);
            problems.push(problem("grant", format!("the component imports {import} (offered: {needed}@{VERSION}), which slot \"{slot}\" is not granted: write `{line}` under [plugins.slots.{slot}]")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worlds_are_read_and_offer_what_they_import() {
        let worlds = Worlds::new().unwrap();
        assert!(worlds.offered(worlds.registry).contains(&"kv".to_owned()));
        assert!(!worlds.offered(worlds.prober).contains(&"kv".to_owned()));
    }

    #[test]
    fn a_refusal_names_import_versions_and_line() {
        let offered = ["log".to_owned()];
        let newer = import_problem("prober", "optikon:host/log@0.2.0", &offered).unwrap();
        assert!(newer.message.contains("0.2.0") && newer.message.contains("0.1.0"));
        assert!(import_problem("prober", "optikon:host/log@0.1.7", &offered).is_none());
        assert!(import_problem("prober", "optikon:host/kv@0.1.0", &offered).is_some());
        let imports = ["optikon:host/log@0.1.0".to_owned()];
        let asks = [("log".to_owned(), "to speak".to_owned())].into();
        let found = grant_problems(&imports, &asks, Some(("prober", &Grants::default())));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].message.contains("grants = [\"log\"]"),
            "{}",
            found[0].message
        );
    }
}

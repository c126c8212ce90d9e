//! What a plugin file says about itself: two custom sections, and the names it imports and exports.

use std::collections::BTreeMap;

use optikon_core::words::{PluginName, ResourceGrant};
use serde::Deserialize;
use serde_json::Value;
use wasmparser::{Parser, Payload};

/// The section that holds `plugin.toml`.
const MANIFEST: &str = "optikon:plugin.toml";
/// The section that holds `config.schema.json`.
const SCHEMA: &str = "optikon:config.schema.json";
/// A description is a page, not a book.
const MAX_SECTION_BYTES: usize = 256 * 1024;

/// `plugin.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) name: PluginName,
    pub(crate) version: String,
    pub(crate) world: String,
    #[serde(default)]
    pub(crate) description: String,
    /// Interface -> why.
    #[serde(default)]
    pub(crate) asks: BTreeMap<String, String>,
    /// Least values of limits.
    #[serde(default)]
    pub(crate) limits: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) central: Central,
}

/// What the plugin wants of the central cluster.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Central {
    #[serde(default)]
    pub(crate) resources: Vec<ResourceGrant>,
}

/// A component's own words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections {
    pub(crate) manifest: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

/// Reads the outermost component's sections; nothing is validated here.
pub(crate) fn read(bytes: &[u8]) -> Result<Sections, String> {
    if !Parser::is_component(bytes) {
        let what = if Parser::is_core_wasm(bytes) {
            "a core module, not a component: build it with `cargo xtask plugins`"
        } else {
            "no WebAssembly"
        };
        return Err(format!("the file is {what}"));
    }
    let mut sections = Sections::default();
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let broken = |error: wasmparser::BinaryReaderError| format!("the file is damaged: {error}");
        match payload.map_err(broken)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(custom) if depth == 0 => {
                let place = match custom.name() {
                    MANIFEST => &mut sections.manifest,
                    SCHEMA => &mut sections.schema,
                    _ => continue,
                };
                if custom.data().len() > MAX_SECTION_BYTES {
                    let name = custom.name();
                    return Err(format!(
                        "section {name} is larger than {MAX_SECTION_BYTES} bytes"
                    ));
                }
                let text = String::from_utf8_lossy(custom.data()).into_owned();
                place.get_or_insert(text);
            }
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    sections
                        .imports
                        .push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    sections
                        .exports
                        .push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(sections)
}

/// Parses `plugin.toml`.
pub(crate) fn manifest(text: Option<&str>) -> Result<Manifest, String> {
    let Some(text) = text else {
        return Err(format!(
            "section {MANIFEST} is missing: build the plugin with `cargo xtask plugins`"
        ));
    };
    let manifest: Manifest = toml::from_str(text).map_err(|error| {
        let message = error.message();
        format!("section {MANIFEST} is not as it should be: {message}")
    })?;
    let is_version = |v: &str| {
        v.len() <= 64 && v.split('.').count() >= 3 && v.chars().all(|c| c.is_ascii_graphic())
    };
    if !is_version(&manifest.version) {
        return Err(format!("section {MANIFEST}: version must be as in 1.2.3"));
    }
    Ok(manifest)
}

/// Parses `config.schema.json`; absent means that nothing can be configured.
pub(crate) fn schema(text: Option<&str>) -> Result<Value, String> {
    match text {
        None => Ok(serde_json::json!({"type": "object", "additionalProperties": false})),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| format!("section {SCHEMA} is no JSON: {error}")),
    }
}

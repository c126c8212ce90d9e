//! From what rustc leaves (a core module) to what the gateway loads (a component that describes itself).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use wasm_encoder::{ComponentSection, CustomSection};
use wasmparser::Parser;
use wit_component::ComponentEncoder;

/// Names of the custom sections, each with the file beside `Cargo.toml` that fills it.
pub const SECTIONS: &[(&str, &str)] = &[
    ("optikon:plugin.toml", "plugin.toml"),
    ("optikon:config.schema.json", "config.schema.json"),
];

/// Makes a component of a core module; what is one already stays as it is.
///
/// # Errors
/// When the bytes are no module, carry no component type, or the result is not valid.
pub fn from_module(module: &[u8]) -> Result<Vec<u8>> {
    if Parser::is_component(module) {
        return Ok(module.to_vec());
    }
    ComponentEncoder::default()
        .module(module)
        .context("read the component type that wit-bindgen wrote into the module")?
        .validate(true)
        .encode()
        .context("encode the component")
}

/// Appends a custom section. The gateway reads the first of a name.
pub fn add_section(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    CustomSection {
        name: name.into(),
        data: data.into(),
    }
    .append_to_component(component);
}

/// Appends the sections whose file lies in `folder`, `prefix` before its name. A file that is not there is no section.
///
/// # Errors
/// When a file is there but cannot be read, or is no TOML or JSON.
pub fn describe(component: &mut Vec<u8>, folder: &Path, prefix: &str) -> Result<()> {
    for (section, file) in SECTIONS {
        let path = folder.join(format!("{prefix}{file}"));
        if !path.is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if path.extension().is_some_and(|kind| kind == "json") {
            serde_json::from_str::<serde_json::Value>(&text)
                .map(drop)
                .with_context(|| format!("{} is no JSON", path.display()))?;
        } else {
            toml::from_str::<toml::Table>(&text)
                .map(drop)
                .with_context(|| format!("{} is no TOML", path.display()))?;
        }
        add_section(component, section, text.as_bytes());
    }
    Ok(())
}

/// Writes the file only when its content changes, whole or not at all. Returns whether it was written.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let half = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&half, bytes).with_context(|| format!("write {}", half.display()))?;
    fs::rename(&half, path).with_context(|| format!("move {} in place", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::Payload;

    fn sections(component: &[u8]) -> Vec<(String, Vec<u8>)> {
        Parser::new(0)
            .parse_all(component)
            .filter_map(|payload| match payload.unwrap() {
                Payload::CustomSection(section) => {
                    Some((section.name().to_owned(), section.data().to_vec()))
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_component_carries_its_description() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plugin.toml"), "name = \"a\"\n").unwrap();
        fs::write(folder.path().join("config.schema.json"), "{}").unwrap();
        let mut component = wat::parse_str("(component)").unwrap();
        describe(&mut component, folder.path(), "").unwrap();
        assert_eq!(
            sections(&component),
            [
                ("optikon:plugin.toml".to_owned(), b"name = \"a\"\n".to_vec()),
                ("optikon:config.schema.json".to_owned(), b"{}".to_vec()),
            ]
        );
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
            .validate_all(&component)
            .unwrap();
    }

    #[test]
    fn a_broken_description_is_refused_at_build_time() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plugin.toml"), "name = ").unwrap();
        let error = describe(&mut Vec::new(), folder.path(), "").unwrap_err();
        assert!(error.to_string().contains("plugin.toml is no TOML"));
    }

    #[test]
    fn a_component_is_not_encoded_twice() {
        let component = wat::parse_str("(component)").unwrap();
        assert_eq!(from_module(&component).unwrap(), component);
    }

    #[test]
    fn an_unchanged_file_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.wasm");
        assert!(write_if_changed(&path, b"one").unwrap());
        assert!(!write_if_changed(&path, b"one").unwrap());
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}

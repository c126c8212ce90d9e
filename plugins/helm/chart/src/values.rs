//! Values from files and from the `--set` family, merged in Helm's order.

use serde_json::{Map, Value};

use crate::decode::{floats, unmarshal_map};
use crate::error::Error;
use crate::strvals;

/// What a user gives beside the chart. Files are given with their names, which errors repeat.
#[derive(Clone, Debug, Default)]
pub struct ValueSources {
    /// Texts of `--values` files, with the names they were given by.
    pub files: Vec<(String, Vec<u8>)>,
    /// Arguments of `--set-json`.
    pub set_json: Vec<String>,
    /// Arguments of `--set`.
    pub set: Vec<String>,
    /// Arguments of `--set-string`.
    pub set_string: Vec<String>,
    /// Arguments of `--set-file`; the files they name come from the function given to
    /// [`ValueSources::merge`].
    pub set_file: Vec<String>,
    /// Arguments of `--set-literal`.
    pub set_literal: Vec<String>,
}

impl ValueSources {
    /// Everything merged, a later source over an earlier one. `read` gives the content of a file
    /// that `--set-file` names, or the text of why it cannot.
    ///
    /// # Errors
    /// The first source that cannot be read, in Helm's words.
    pub fn merge(
        &self,
        read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Map<String, Value>, Error> {
        let mut base = Map::new();
        for (name, text) in &self.files {
            let values = load_values(text)
                .map_err(|error| Error::values(format!("failed to parse {name}: {error}")))?;
            merge_maps(&mut base, values);
        }
        for argument in &self.set_json {
            let trimmed = argument.trim();
            if trimmed.starts_with('{') {
                match serde_json::from_str(trimmed).map(floats) {
                    Ok(Value::Object(map)) => merge_maps(&mut base, map),
                    _ => {
                        return Err(Error::values(format!(
                            "failed parsing --set-json data JSON: {argument}"
                        )));
                    }
                }
            } else if strvals::parse_json(argument, &mut base).is_err() {
                return Err(Error::values(format!(
                    "failed parsing --set-json data {argument}"
                )));
            }
        }
        let failed = |flag: &str, error: String| {
            Error::values(format!("failed parsing {flag} data: {error}"))
        };
        for argument in &self.set {
            strvals::parse(argument, &mut base).map_err(|error| failed("--set", error))?;
        }
        for argument in &self.set_string {
            strvals::parse_string(argument, &mut base)
                .map_err(|error| failed("--set-string", error))?;
        }
        for argument in &self.set_file {
            strvals::parse_file(argument, &mut base, read)
                .map_err(|error| failed("--set-file", error))?;
        }
        for argument in &self.set_literal {
            strvals::parse_literal(argument, &mut base)
                .map_err(|error| failed("--set-literal", error))?;
        }
        Ok(base)
    }
}

/// Reads a values file: one or more documents, merged in order. All numbers are floats.
///
/// # Errors
/// Helm's words, without the name of the file.
pub fn load_values(text: &[u8]) -> Result<Map<String, Value>, String> {
    let mut values = Map::new();
    for document in documents(text)? {
        let document = unmarshal_map(&document)
            .map_err(|error| format!("cannot unmarshal yaml document: {error}"))?;
        merge_maps(&mut values, document);
    }
    Ok(values)
}

/// Splits at lines that start with `---`, as the Kubernetes reader of YAML streams does.
fn documents(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut documents = Vec::new();
    let mut current: Vec<u8> = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if let Some(rest) = line.strip_prefix(b"---") {
            let rest = String::from_utf8_lossy(rest);
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(format!(
                    "error reading yaml document: invalid Yaml document separator: {rest}"
                ));
            }
            if !current.is_empty() {
                // The separator itself is dropped unless it opens a document.
                documents.push(std::mem::take(&mut current));
                continue;
            }
        }
        // Go's reader drops the line's own end and writes one back.
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        current.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        current.push(b'\n');
    }
    if !current.is_empty() {
        documents.push(current);
    }
    Ok(documents)
}

/// Merges `over` into `base`: maps key by key, everything else (nulls too) replaces.
pub fn merge_maps(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge_maps(old, new),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

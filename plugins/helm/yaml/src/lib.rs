//! YAML as sigs.k8s.io/yaml reads and writes it, and JSON as Go's `encoding/json` does.
//!
//! Pure functions from text to [`Value`] and back, with the libraries' own error texts. Nothing
//! here panics, and work and memory are bounded by the size of the input.

mod base64;
mod compose;
mod decode;
mod emit;
mod error;
mod expect;
mod float;
mod go_value;
mod json;
mod parse;
mod resolve;
mod scan;
mod timestamp;

use serde_json::Value;

pub use error::{Error, Problem};
pub use json::{from_json, from_json_any, from_json_array, to_json, to_pretty_json, to_raw_json};

use compose::Document;
use decode::{Numbers, decode};
use emit::Version;
use scan::Scanner;

/// `yaml.Unmarshal` into a `map[string]any`: the first document, all numbers floats. An empty
/// document gives an empty map.
///
/// # Errors
/// Bad YAML, YAML that JSON cannot express, or a document that is no mapping.
pub fn from_yaml(text: &str) -> Result<Value, Error> {
    expect::object(from_yaml_any(text)?).map_err(Error::Decode)
}

/// `yaml.Unmarshal` into a `[]any`; an empty document gives an empty list.
///
/// # Errors
/// As [`from_yaml`], for a document that is no sequence.
pub fn from_yaml_array(text: &str) -> Result<Value, Error> {
    expect::array(from_yaml_any(text)?).map_err(Error::Decode)
}

/// `yaml.Unmarshal` into an `any`.
///
/// # Errors
/// Bad YAML, or YAML that JSON cannot express.
pub fn from_yaml_any(text: &str) -> Result<Value, Error> {
    read(text, Numbers::Floats, false).map_err(Error::Convert)
}

/// As [`from_yaml_any`], with integers as integers: what `YAMLToJSON` gives, for whoever decodes
/// into fields of known types.
///
/// # Errors
/// As [`from_yaml_any`].
pub fn from_yaml_exact(text: &str) -> Result<Value, Error> {
    read(text, Numbers::AsWritten, false).map_err(Error::Convert)
}

/// `yaml.UnmarshalStrict` into an `any`: a key may stand only once in its mapping.
///
/// # Errors
/// As [`from_yaml_any`], and for keys written twice, each with its line.
pub fn from_yaml_strict(text: &str) -> Result<Value, Error> {
    read(text, Numbers::Floats, true).map_err(Error::Convert)
}

fn read(text: &str, numbers: Numbers, strict: bool) -> Result<Value, Problem> {
    let document = Document::read(Scanner::new(text))?;
    decode(&document, numbers, strict)
}

/// `yaml.Marshal`, with its final line break. Where the library fails the result is empty, as
/// Helm's `toYaml` has it.
pub fn to_yaml(value: &Value) -> String {
    try_to_yaml(value).unwrap_or_default()
}

/// `yaml.Marshal`, with its final line break.
///
/// # Errors
/// The library goes through JSON, which it reads as YAML: control characters that JSON leaves as
/// they are, and keys of more than about 1,000 characters, do not survive that.
pub fn try_to_yaml(value: &Value) -> Result<String, Error> {
    if !detour::changes(value) {
        return Ok(emit::write(value, Version::V2));
    }
    let read = read(&to_json(value), Numbers::AsWritten, false).map_err(Error::Marshal)?;
    Ok(emit::write(&read, Version::V2))
}

/// The encoder of yaml v3 with an indentation of 2, and its final line break.
pub fn to_yaml_pretty(value: &Value) -> String {
    emit::write(value, Version::V3)
}

mod detour {
    //! Which values are not the same after having been written as JSON and read as YAML.

    use serde_json::Value;

    /// Longer keys may exceed what YAML takes for a key, once escaped.
    const SAFE_KEY_BYTES: usize = 160;

    pub(super) fn changes(value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
            Value::String(text) => is_fragile(text),
            Value::Array(items) => items.iter().any(changes),
            Value::Object(map) => map.iter().any(|(key, value)| {
                key.len() > SAFE_KEY_BYTES || is_fragile(key) || changes(value)
            }),
        }
    }

    /// Has control characters above ASCII's first, or U+FFFE and U+FFFF; some harmless ones too.
    fn is_fragile(text: &str) -> bool {
        text.bytes().any(|b| matches!(b, 0x7F | 0xC2 | 0xEF))
    }
}

//! YAML as sigs.k8s.io/yaml reads and writes it, and JSON as Go's `encoding/json` does.
//!
//! Pure functions from text to [`Value`] and back, with the libraries' own error texts: charts are
//! compared byte for byte, failing ones by what they complain about. The model is
//! sigs.k8s.io/yaml 1.6.0 over go.yaml.in/yaml 2.4.4 and, for `toYamlPretty`, 3.0.5: what Helm 4.3.1
//! is built with.
//!
//! # Why an own scanner?
//! YAML parsers agree on good documents, not on what is one. go-yaml is a port of libyaml with
//! habits of its own: `{}: x` is an empty mapping followed by something it never reads, `a: - b` is
//! an error *here*, a tab is fine *there*, errors of the grammar name the line before the fault, and
//! a control character is found 512 bytes early. A parser of YAML 1.2 events such as saphyr-parser
//! accepts other documents and words its errors otherwise; no translation of its events repairs that. So
//! `scan` and `parse` follow libyaml's algorithm, `compose` and `decode` what go-yaml makes of it.
//!
//! # Which numbers does who get?
//! Values, `fromYaml`, `fromJson`: floats only, as Go's JSON decoder gives them to a `map[string]any`
//! ([`from_yaml`], [`from_json`]). Chart.yaml, lock files and manifest heads are decoded into fields
//! of known types: [`decode_raw`] keeps integers apart, so that `1.10` and `10` become the text Go
//! makes of them ([`float_text_32`]). Writers take both: an integral float below 2^64 is written as
//! an integer by [`to_yaml`] and [`to_json`], and as `1e+06` by [`to_yaml_pretty`].
//!
//! # What differs?
//! Nesting ends at 256 levels, not 10,000: whoever walks a value does so on a stack. Documents have
//! at most 2,000,000 nodes, and aliases copy at most 32 MiB of text. Where Go's answer
//! depends on the random order of its maps (a key written as `1` and as `"1"`, keys whose natural
//! order is circular), ours is one of its answers.
//!
//! Nothing here panics, and work and memory are bounded by the size of the input.

mod base64;
mod compose;
mod decode;
mod emit;
mod error;
mod expect;
mod float;
mod go_value;
mod input;
mod json;
mod parse;
mod resolve;
mod scan;
mod timestamp;

use serde_json::Value;

pub use error::{Error, Problem};
pub use json::{
    Json, from_json, from_json_any, from_json_array, from_json_partly, read_json, to_json,
    to_pretty_json, to_raw_json,
};

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

/// `YAMLToJSON`: integers stay integers, for whoever decodes into fields of known types. The bytes
/// are UTF-8, or UTF-16 with a byte order mark.
///
/// # Errors
/// As [`from_yaml_any`], and bytes that are no text.
pub fn decode_raw(bytes: &[u8]) -> Result<Value, Error> {
    let (text, cut) = input::text(bytes);
    let document = Document::read(Scanner::fenced(&text, cut)).map_err(Error::Convert)?;
    decode(&document, Numbers::AsWritten, false).map_err(Error::Convert)
}

/// A float where a field wants text: the shortest digits that a float of 32 bits needs, as `1.1`,
/// `1e+06` or `.inf`.
pub fn float_text_32(value: f64) -> String {
    float::yaml_text_32(value)
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

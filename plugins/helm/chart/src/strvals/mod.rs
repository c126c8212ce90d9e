//! The grammar of `--set` and its relatives: `a.b[0].c=v,d={x,y}`.
//!
//! Every function writes into the given map and keeps what was written before an error, as Helm
//! does; texts are Helm's.

mod literal;
mod parser;

use serde_json::{Map, Value};

pub use literal::parse_literal;

use parser::{Parser, Reading};

/// An index above this is refused.
const MAX_INDEX: usize = 65_536;
/// More dots than this in one name are refused.
const MAX_NESTED: usize = 30;

/// Why parsing stopped.
#[derive(Debug)]
enum Stop {
    /// The text ended: good or bad, as the place decides.
    End,
    /// An error.
    Failed(String),
}

type Step<T> = Result<T, Stop>;

fn failed<T>(text: impl Into<String>) -> Step<T> {
    Err(Stop::Failed(text.into()))
}

/// `--set`: values become null, bool, int64 or text.
///
/// # Errors
/// Helm's words.
pub fn parse(text: &str, target: &mut Map<String, Value>) -> Result<(), String> {
    Parser::new(text, Reading::Typed).run(target)
}

/// `--set-string`: values stay text.
///
/// # Errors
/// Helm's words.
pub fn parse_string(text: &str, target: &mut Map<String, Value>) -> Result<(), String> {
    Parser::new(text, Reading::Text).run(target)
}

/// `--set-json`: values are JSON.
///
/// # Errors
/// Helm's words.
pub fn parse_json(text: &str, target: &mut Map<String, Value>) -> Result<(), String> {
    Parser::new(text, Reading::Json).run(target)
}

/// `--set-file`: values are names of files, whose content `read` gives.
///
/// # Errors
/// Helm's words, or those of `read`.
pub fn parse_file(
    text: &str,
    target: &mut Map<String, Value>,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<(), String> {
    Parser::new(text, Reading::File(read)).run(target)
}

fn set(target: &mut Map<String, Value>, key: String, value: Value) {
    if !key.is_empty() {
        target.insert(key, value);
    }
}

fn set_index(mut list: Vec<Value>, index: i64, value: Value) -> Step<Vec<Value>> {
    let Ok(at) = usize::try_from(index) else {
        return failed(format!("negative {index} index not allowed"));
    };
    if at > MAX_INDEX {
        return failed(format!(
            "index of {index} is greater than maximum supported index of {MAX_INDEX}"
        ));
    }
    if list.len() <= at {
        list.resize(at + 1, Value::Null);
    }
    if let Some(slot) = list.get_mut(at) {
        *slot = value;
    }
    Ok(list)
}

fn index_of(text: &str) -> Result<i64, String> {
    let quoted = crate::gotext::quote(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "error parsing index: strconv.Atoi: parsing {quoted}: invalid syntax"
        ));
    }
    text.parse().map_err(|_| {
        format!("error parsing index: strconv.Atoi: parsing {quoted}: value out of range")
    })
}

/// Go's `%q` of a slice of runes.
fn quote_runes(text: &str) -> String {
    let runes = text
        .chars()
        .map(|c| helm_template::Value::Int32((c as u32).cast_signed()));
    crate::gotext::sprintf("%q", &[helm_template::Value::list(runes.collect())])
}

/// The Go panic that Helm turns into an error when a name runs through something else.
fn conversion(found: &Value, wanted: &str) -> Stop {
    let ty = match found {
        Value::Null => {
            return Stop::Failed(format!(
                "unable to parse key: interface conversion: interface {{}} is nil, not {wanted}"
            ));
        }
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    Stop::Failed(format!(
        "unable to parse key: interface conversion: interface {{}} is {ty}, not {wanted}"
    ))
}

/// The map below a key, taken out, or a new one.
fn take_map(target: &mut Map<String, Value>, key: &str) -> Step<Map<String, Value>> {
    match target.get_mut(key) {
        None => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(std::mem::take(map)),
        Some(other) => Err(conversion(other, "map[string]interface {}")),
    }
}

/// The list below a key, taken out, or a new one.
fn take_list(target: &mut Map<String, Value>, key: &str) -> Step<Vec<Value>> {
    match target.get_mut(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(std::mem::take(list)),
        Some(other) => Err(conversion(other, "[]interface {}")),
    }
}

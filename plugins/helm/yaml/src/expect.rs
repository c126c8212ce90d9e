//! What Go's JSON decoder says of a value of another kind than was asked for.

use serde_json::{Map, Value};

use crate::error::Problem;

/// For a target of type `map[string]any`; null leaves the map as it was, empty.
pub(crate) fn object(value: Value) -> Result<Value, Problem> {
    match value {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(_) => Ok(value),
        _ => Err(mismatch(&value, "map[string]interface {}")),
    }
}

/// For a target of type `[]any`; null leaves the list as it was, empty.
pub(crate) fn array(value: Value) -> Result<Value, Problem> {
    match value {
        Value::Null => Ok(Value::Array(Vec::new())),
        Value::Array(_) => Ok(value),
        _ => Err(mismatch(&value, "[]interface {}")),
    }
}

fn mismatch(value: &Value, wanted: &str) -> Problem {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Problem::plain(format!(
        "json: cannot unmarshal {found} into Go value of type {wanted}"
    ))
}

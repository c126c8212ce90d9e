//! Between decoded data, which can be kept and sent, and the values that templates work on.

use helm_template::{Map, Value};
use serde_json::Value as Json;

/// A decoded value as templates see it: whole numbers are int64, others float64.
#[must_use]
pub fn to_template(value: &Json) -> Value {
    match value {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int64(whole),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(to_template).collect()),
        Json::Object(entries) => Value::Map(map_to_template(entries)),
    }
}

/// A decoded map as templates see it.
#[must_use]
pub fn map_to_template(entries: &serde_json::Map<String, Json>) -> Map {
    entries
        .iter()
        .map(|(key, value)| (key.as_str(), to_template(value)))
        .collect()
}

/// Values as JSON, whole floats as integers: what a schema is checked against.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(number) | Value::Int64(number) => Json::from(*number),
        Value::Float(number) => number_to_json(*number),
        Value::Str(text) => Json::String(text.to_text().into_owned()),
        Value::List(list) => Json::Array(list.items().iter().map(to_json).collect()),
        Value::Map(map) => map_to_json(map),
        _ => Json::Null,
    }
}

/// See [`to_json`].
#[must_use]
pub fn map_to_json(map: &Map) -> Json {
    let entries = map.entries();
    let entries = entries
        .iter()
        .map(|(key, value)| (key.to_text().into_owned(), to_json(value)));
    Json::Object(entries.collect())
}

/// A float as JSON, as an integer where it is one.
pub(crate) fn number_to_json(number: f64) -> Json {
    /// Every whole number below is exact as a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "checked: whole and small")]
        let whole = number as i64;
        return Json::from(whole);
    }
    serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number)
}

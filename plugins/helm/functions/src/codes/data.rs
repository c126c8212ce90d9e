//! Between values of templates and the plain data the YAML and JSON readers and writers know.

use helm_template::{List, ListType, Map, MapType, Str, Value, format_duration};
use serde_json::{Map as JsonMap, Number, Value as Json};

use crate::go::{MAX_DEPTH, MAX_RESULT_ITEMS};

/// Who writes the data, which decides how durations look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// YAML by way of JSON: durations are numbers.
    Yaml,
    /// The YAML encoder itself: durations are texts.
    PrettyYaml,
}

/// A value as plain data.
///
/// # Errors
/// For NaN, infinities, and maps that hold themselves.
pub(crate) fn to_data(value: &Value, writer: Writer) -> Result<Json, String> {
    Converter { writer, items: 0 }.value(value, 0)
}

struct Converter {
    writer: Writer,
    /// Maps that hold each other twice grow without being deep.
    items: usize,
}

impl Converter {
    fn value(&mut self, value: &Value, depth: usize) -> Result<Json, String> {
        self.items += 1;
        if depth > MAX_DEPTH || self.items > MAX_RESULT_ITEMS {
            return Err(format!(
                "json: unsupported value: encountered a cycle via {}",
                value.type_name()
            ));
        }
        Ok(match value {
            Value::Nil => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Duration(nanos) if self.writer == Writer::PrettyYaml => {
                Json::String(format_duration(*nanos))
            }
            Value::Int(number) | Value::Int64(number) | Value::Duration(number) => {
                Json::from(*number)
            }
            Value::Int32(number) => Json::from(*number),
            Value::Uint8(number) => Json::from(*number),
            Value::Uint32(number) => Json::from(*number),
            Value::Uint64(number) => Json::from(*number),
            Value::Float(number) => match Number::from_f64(*number) {
                Some(number) => Json::Number(number),
                None => return Err(super::json_out::float(*number).unwrap_or_else(|error| error)),
            },
            Value::Str(text) => Json::String(text.to_text().into_owned()),
            Value::Bytes(bytes) if self.writer == Writer::Yaml => {
                Json::String(super::base::encode64(bytes))
            }
            Value::Bytes(bytes) => Json::Array(bytes.iter().map(|b| Json::from(*b)).collect()),
            Value::List(list) if list.is_nil() && self.writer == Writer::Yaml => Json::Null,
            Value::List(list) => {
                let items = list.items().iter().map(|item| self.value(item, depth + 1));
                Json::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Map(map) if map.is_nil() && self.writer == Writer::Yaml => Json::Null,
            Value::Map(map) => self.entries(map.to_vec(), depth)?,
            Value::Object(object) => match object.to_data() {
                Some(data) => self.value(&data, depth + 1)?,
                None => {
                    let fields = object.fields().into_iter();
                    let fields = fields.map(|(name, value)| (Str::from(name), value));
                    self.entries(fields.collect(), depth)?
                }
            },
        })
    }

    fn entries(&mut self, entries: Vec<(Str, Value)>, depth: usize) -> Result<Json, String> {
        let mut map = JsonMap::new();
        for (key, value) in entries {
            map.insert(key.to_text().into_owned(), self.value(&value, depth + 1)?);
        }
        Ok(Json::Object(map))
    }
}

/// Data that was read: every number is a float.
pub(crate) fn from_data(data: Json) -> Value {
    match data {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
        Json::String(text) => text.into(),
        Json::Array(items) => Value::list(items.into_iter().map(from_data).collect()),
        Json::Object(entries) => Value::map(
            entries
                .into_iter()
                .map(|(key, value)| (key, from_data(value))),
        ),
    }
}

/// What Go decodes into a map: `null` makes it nil.
pub(crate) fn into_map(data: Json) -> Value {
    match data {
        Json::Null => Value::Map(Map::nil(MapType::Any)),
        other => from_data(other),
    }
}

/// What Go decodes into a list: `null` makes it nil.
pub(crate) fn into_list(data: Json) -> Value {
    match data {
        Json::Null => Value::List(List::nil(ListType::Any)),
        other => from_data(other),
    }
}

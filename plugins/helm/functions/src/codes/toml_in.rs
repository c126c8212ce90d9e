//! Reads TOML into the types Go's decoder makes: `int64`, `float64`, times, lists, maps.

use helm_template::{List, ListType, Map, Str, Value};
use toml_edit::{Array, DocumentMut, Item, Value as Edit};

use super::error_map;
use crate::dates;
use crate::time::TimeValue;

/// Helm's `fromToml`: the document, or a map that holds the error.
pub(crate) fn read_map(text: &Str) -> Value {
    let Some(text) = text.as_str() else {
        return error_map("toml: invalid UTF-8 byte");
    };
    match text.parse::<DocumentMut>() {
        Ok(document) => table(document.as_table().iter()),
        Err(error) => {
            let before = error
                .span()
                .and_then(|span| text.get(..span.start))
                .unwrap_or("");
            let line = before.matches('\n').count() + 1;
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            error_map(format!("toml: line {line}: {message}"))
        }
    }
}

fn table<'d>(entries: impl Iterator<Item = (&'d str, &'d Item)>) -> Value {
    let map = Map::default();
    for (key, item) in entries {
        let value = match item {
            Item::Value(value) => read(value),
            Item::Table(inner) => table(inner.iter()),
            Item::ArrayOfTables(tables) => {
                let tables = tables.iter().map(|inner| table(inner.iter())).collect();
                Value::List(List::new(ListType::Of("map[string]interface {}"), tables))
            }
            Item::None => continue,
        };
        map.insert(key, value);
    }
    Value::Map(map)
}

fn read(value: &Edit) -> Value {
    match value {
        Edit::String(text) => text.value().as_str().into(),
        Edit::Integer(number) => Value::Int64(*number.value()),
        Edit::Float(number) => Value::Float(*number.value()),
        Edit::Boolean(value) => Value::Bool(*value.value()),
        Edit::Datetime(date) => datetime(&date.value().to_string()),
        Edit::Array(items) => array(items),
        Edit::InlineTable(inner) => {
            let map = Map::default();
            for (key, value) in inner.iter() {
                map.insert(key, read(value));
            }
            Value::Map(map)
        }
    }
}

fn array(items: &Array) -> Value {
    Value::list(items.iter().map(read).collect())
}

/// The four sorts of TOML dates; those without an offset are in the local zone.
fn datetime(text: &str) -> Value {
    const LAYOUTS: [&[u8]; 4] = [
        b"2006-01-02T15:04:05Z07:00",
        b"2006-01-02T15:04:05",
        b"2006-01-02",
        b"15:04:05",
    ];
    let text = text.replace(' ', "T").to_ascii_uppercase();
    LAYOUTS
        .iter()
        .find_map(|layout| dates::parse(layout, text.as_bytes()).ok())
        .map_or(Value::Nil, |time| Value::object(TimeValue(time)))
}

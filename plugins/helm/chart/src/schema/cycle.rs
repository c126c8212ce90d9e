//! Schemas that apply themselves to the same value again, without end.

use std::collections::HashSet;

use serde_json::Value;

/// Keywords that apply one schema to the value itself.
const ONE: &[&str] = &["not", "if", "then", "else"];
/// Keywords that apply a list of schemas to the value itself.
const MANY: &[&str] = &["allOf", "anyOf", "oneOf"];
/// Keywords that name a schema to apply.
const REFERENCES: &[&str] = &["$ref", "$dynamicRef", "$recursiveRef"];

/// The place of a schema that leads back to itself through references and combinations alone.
/// Looks at pointers and anchors within the document.
pub(super) fn find(schema: &Value) -> Option<String> {
    let mut places = Vec::new();
    collect(schema, String::new(), &mut places);
    let mut safe = HashSet::new();
    places
        .iter()
        .find(|(_, place)| leads_back(schema, &places, place, &mut safe))
        .map(|(at, _)| format!("\"#{at}\""))
}

fn collect<'a>(value: &'a Value, at: String, places: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(value, format!("{at}/{key}"), places);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, format!("{at}/{index}"), places);
            }
        }
        _ => return,
    }
    places.push((at, value));
}

/// Depth first, without recursion: a schema decides how deep this goes.
fn leads_back<'a>(
    root: &'a Value,
    places: &[(String, &'a Value)],
    start: &'a Value,
    safe: &mut HashSet<*const Value>,
) -> bool {
    let mut path: Vec<(*const Value, std::vec::IntoIter<&'a Value>)> = Vec::new();
    let mut on_path = HashSet::new();
    let mut next = Some(start);
    loop {
        if let Some(schema) = next.take() {
            let id: *const Value = schema;
            if on_path.contains(&id) {
                return true;
            }
            if !safe.contains(&id) {
                on_path.insert(id);
                path.push((id, applied(root, places, schema).into_iter()));
            }
        }
        match path.last_mut() {
            None => return false,
            Some((id, rest)) => match rest.next() {
                Some(schema) => next = Some(schema),
                None => {
                    let id = *id;
                    on_path.remove(&id);
                    safe.insert(id);
                    path.pop();
                }
            },
        }
    }
}

fn applied<'a>(
    root: &'a Value,
    places: &[(String, &'a Value)],
    schema: &'a Value,
) -> Vec<&'a Value> {
    let Some(map) = schema.as_object() else {
        return Vec::new();
    };
    let mut found: Vec<&Value> = ONE.iter().filter_map(|key| map.get(*key)).collect();
    for list in MANY.iter().filter_map(|key| map.get(*key)?.as_array()) {
        found.extend(list);
    }
    for key in ["dependentSchemas", "dependencies"] {
        if let Some(schemas) = map.get(key).and_then(Value::as_object) {
            found.extend(schemas.values().filter(|schema| schema.is_object()));
        }
    }
    for reference in REFERENCES.iter().filter_map(|key| map.get(*key)?.as_str()) {
        let Some(fragment) = reference.strip_prefix('#') else {
            continue;
        };
        let target = if fragment.is_empty() || fragment.starts_with('/') {
            root.pointer(fragment)
        } else {
            let named = |value: &Value| {
                ["$anchor", "$dynamicAnchor"]
                    .iter()
                    .any(|key| value.get(key).and_then(Value::as_str) == Some(fragment))
            };
            places
                .iter()
                .map(|(_, value)| *value)
                .find(|value| named(value))
        };
        found.extend(target);
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::find;

    #[test]
    fn a_reference_to_itself_is_a_cycle() {
        assert!(find(&json!({"$ref": "#"})).is_some());
        assert!(find(&json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}})).is_some());
    }

    #[test]
    fn recursion_through_a_part_of_the_value_is_none() {
        assert!(find(&json!({"properties": {"next": {"$ref": "#"}}})).is_none());
        assert!(find(&json!({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}})).is_none());
    }
}

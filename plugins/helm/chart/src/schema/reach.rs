//! Which definitions a schema reaches.
//!
//! Helm compiles a definition when something refers to it. One that nothing refers to may point outside the chart or at
//! itself without harm, so such definitions are taken out before the schema is built.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Where definitions lie.
const HOLDERS: [&str; 2] = ["definitions", "$defs"];
/// What can be referred to by another name than its place.
const NAMES: [&str; 6] = [
    "$id",
    "id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveRef",
];

/// Takes out the definitions at the top that nothing refers to. Where names other than places are in use, or places are
/// written with escapes of addresses, all stay.
pub(super) fn keep_reachable(schema: &mut Value) {
    if has_names(schema) {
        return;
    }
    let Some(root) = schema.as_object() else {
        return;
    };
    let mut reached = BTreeSet::new();
    let mut left = vec![&*schema];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(map) => {
                let is_root = std::ptr::eq(map, root);
                let below = map
                    .iter()
                    .filter(|(key, _)| !is_root || !HOLDERS.contains(&key.as_str()));
                left.extend(below.map(|(_, value)| value));
                let target = map.get("$ref").and_then(Value::as_str).and_then(definition);
                if let Some((holder, name)) = target
                    && let Some(next) = root.get(holder).and_then(|all| all.get(&name))
                    && reached.insert((holder, name))
                {
                    left.push(next);
                }
            }
            _ => {}
        }
    }
    let drop_unreached = |holder: &'static str, all: &mut Map<String, Value>| {
        all.retain(|name, _| reached.contains(&(holder, name.clone())));
    };
    for holder in HOLDERS {
        if let Some(Value::Object(all)) = schema.get_mut(holder) {
            drop_unreached(holder, all);
        }
    }
}

fn has_names(schema: &Value) -> bool {
    let mut left = vec![schema];
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(map) => {
                let text = |name: &str| map.get(name).and_then(Value::as_str);
                let is_escaped = text("$ref").is_some_and(|reference| reference.contains('%'));
                if is_escaped || NAMES.iter().any(|name| text(name).is_some()) {
                    return true;
                }
                left.extend(map.values());
            }
            _ => {}
        }
    }
    false
}

/// Holder and name of the definition that a reference leads to or into; one that names a document may mean this one.
fn definition(reference: &str) -> Option<(&'static str, String)> {
    let (_, place) = reference.split_once('#')?;
    let path = place.strip_prefix('/')?;
    let holder = HOLDERS.into_iter().find(|holder| {
        path.strip_prefix(holder)
            .is_some_and(|rest| rest.starts_with('/'))
    })?;
    let name = path.get(holder.len() + 1..)?.split('/').next()?;
    Some((holder, name.replace("~1", "/").replace("~0", "~")))
}

#[cfg(test)]
mod tests {
    use super::keep_reachable;
    use serde_json::json;

    #[test]
    fn only_what_is_referred_to_stays() {
        let mut schema = json!({
            "$ref": "#/definitions/root",
            "properties": {"a": {"$ref": "#/definitions/a"}},
            "definitions": {
                "root": true,
                "a": {"items": {"$ref": "#/$defs/b~1c/items"}},
                "far": {"$ref": "https://elsewhere.example/schema.json"},
                "loop": {"$ref": "#/definitions/loop"},
            },
            "$defs": {"b/c": {"items": {"type": "string"}}, "unused": true},
        });
        keep_reachable(&mut schema);
        assert_eq!(
            schema,
            json!({
                "$ref": "#/definitions/root",
                "properties": {"a": {"$ref": "#/definitions/a"}},
                "definitions": {"root": true, "a": {"items": {"$ref": "#/$defs/b~1c/items"}}},
                "$defs": {"b/c": {"items": {"type": "string"}}},
            })
        );
    }

    #[test]
    fn names_other_than_places_keep_everything() {
        for schema in [
            json!({"$ref": "#here", "definitions": {"a": {"$anchor": "here"}, "b": true}}),
            json!({"$ref": "#/definitions/a%20b", "definitions": {"a b": true}}),
            json!({"$ref": "values.schema.json#/definitions/a", "definitions": {"a": true}}),
        ] {
            let mut kept = schema.clone();
            keep_reachable(&mut kept);
            assert_eq!(kept, schema);
        }
    }
}

//! Patterns of a schema are Go's, which the library that validates does not check.

use helm_functions::Pattern;
use serde_json::Value;

/// Keywords whose values are data, not schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// The first pattern that Go cannot compile: its place, and why.
pub(super) fn find_bad(schema: &Value) -> Option<String> {
    let mut left = vec![(String::new(), schema)];
    while let Some((at, value)) = left.pop() {
        let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Array(items) => {
                let items = items.iter().enumerate();
                left.extend(items.map(|(index, item)| (below(&index.to_string()), item)));
            }
            Value::Object(map) => {
                if let Some(Value::String(pattern)) = map.get("pattern")
                    && let Some(complaint) = complaint(pattern)
                {
                    return Some(format!("- at '{}': {complaint}", below("pattern")));
                }
                if let Some(Value::Object(patterns)) = map.get("patternProperties")
                    && let Some(complaint) = patterns.keys().find_map(|key| complaint(key))
                {
                    return Some(format!(
                        "- at '{}': {complaint}",
                        below("patternProperties")
                    ));
                }
                let schemas = map.iter().filter(|(key, _)| !DATA.contains(&key.as_str()));
                left.extend(schemas.map(|(key, value)| (below(key), value)));
            }
            _ => {}
        }
    }
    None
}

fn complaint(pattern: &str) -> Option<String> {
    let error = Pattern::new(pattern).err()?;
    Some(format!("'{pattern}' is not valid regex: {error}"))
}

#[cfg(test)]
mod tests {
    use super::find_bad;
    use serde_json::json;

    #[test]
    fn what_looks_around_is_no_pattern() {
        let good =
            json!({"properties": {"pattern": {"pattern": "^a+$"}}, "enum": [{"pattern": "(?!a)"}]});
        assert_eq!(find_bad(&good), None);
        let bad = json!({"properties": {"a/b": {"pattern": "(?!a)"}}});
        assert_eq!(
            find_bad(&bad).unwrap(),
            "- at '/properties/a~1b/pattern': '(?!a)' is not valid regex: error parsing regexp: invalid or unsupported Perl syntax: `(?!`"
        );
        assert!(find_bad(&json!({"patternProperties": {"\\u0061": true}})).is_some());
    }
}

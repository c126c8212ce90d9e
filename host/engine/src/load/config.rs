//! A slot's configuration against the plugin's own schema, and what of it is secret.

use jsonschema::Validator;
use optikon_core::ports::Invalidity;
use serde_json::{Map, Value};

use super::world::problem;

/// Errors shown at once.
const MAX_ERRORS: usize = 20;

/// Checks a configuration; every error with its path. References to other files or addresses are refused.
pub(crate) fn check(schema: &Value, config: &Value) -> Vec<Invalidity> {
    let validator = match validator(schema) {
        Ok(validator) => validator,
        Err(problem) => return vec![problem],
    };
    let errors = validator.iter_errors(config).take(MAX_ERRORS);
    errors
        .map(|error| {
            let path = error.instance_path().to_string();
            let path = if path.is_empty() {
                "config".to_owned()
            } else {
                format!("config{path}")
            };
            // The masked form leaves values out: one of them may be a secret.
            problem("config", format!("{path}: {}", error.masked()))
        })
        .collect()
}

/// Compiles a schema without fetching anything.
pub(crate) fn validator(schema: &Value) -> Result<Validator, Invalidity> {
    jsonschema::options().build(schema).map_err(|error| {
        problem(
            "section",
            format!("config.schema.json is no usable JSON Schema: {error}"),
        )
    })
}

/// Takes the fields marked `"x-secret": true` out of a configuration: what is left, and the secrets as a JSON object of
/// the same shape.
pub fn split_secrets(schema: &Value, config: &Value) -> (Value, Value) {
    let (Value::Object(fields), Some(properties)) =
        (config, schema.get("properties").and_then(Value::as_object))
    else {
        return (config.clone(), Value::Object(Map::new()));
    };
    let (mut open, mut secret) = (Map::new(), Map::new());
    for (name, value) in fields {
        match properties.get(name) {
            Some(property) if property.get("x-secret") == Some(&Value::Bool(true)) => {
                secret.insert(name.clone(), value.clone());
            }
            Some(property) if value.is_object() => {
                let (inner, hidden) = split_secrets(property, value);
                open.insert(name.clone(), inner);
                if hidden.as_object().is_some_and(|h| !h.is_empty()) {
                    secret.insert(name.clone(), hidden);
                }
            }
            _ => {
                open.insert(name.clone(), value.clone());
            }
        }
    }
    (Value::Object(open), Value::Object(secret))
}

/// Where a schema marks a secret that [`split_secrets`] would not find: inside lists or combinations.
pub(crate) fn misplaced_secrets(schema: &Value) -> Vec<Invalidity> {
    fn walk(schema: &Value, path: &str, is_reachable: bool, found: &mut Vec<Invalidity>) {
        match schema {
            Value::Object(map) => {
                if !is_reachable && map.get("x-secret") == Some(&Value::Bool(true)) {
                    found.push(problem("section", format!("config.schema.json: x-secret at {path} must be on a property of an object, not inside a list or a combination")));
                }
                for (key, inner) in map {
                    if key == "properties"
                        && let (true, Value::Object(properties)) = (is_reachable, inner)
                    {
                        for (name, property) in properties {
                            walk(property, &format!("{path}/properties/{name}"), true, found);
                        }
                    } else {
                        walk(inner, &format!("{path}/{key}"), false, found);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    walk(item, path, false, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(schema, "", true, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({"type":"object","additionalProperties":false,"properties":{
            "url":{"type":"string"},
            "auth":{"type":"object","properties":{"user":{"type":"string"},"password":{"type":"string","x-secret":true}}}}})
    }

    #[test]
    fn secrets_are_taken_out_and_the_rest_stays() {
        let config = json!({"url":"u","auth":{"user":"a","password":"p"}});
        let (open, secret) = split_secrets(&schema(), &config);
        assert_eq!(open, json!({"url":"u","auth":{"user":"a"}}));
        assert_eq!(secret, json!({"auth":{"password":"p"}}));
    }

    #[test]
    fn errors_name_the_field_and_not_its_value() {
        let found = check(&schema(), &json!({"url":5,"auth":{"password":17_171_717}}));
        assert_eq!(found.len(), 2);
        let all: String = found.iter().map(|f| f.message.clone()).collect();
        assert!(
            all.contains("config/auth/password") && !all.contains("17171717"),
            "{all}"
        );
    }

    #[test]
    fn a_schema_that_points_elsewhere_is_refused() {
        for reference in ["https://example.com/schema.json", "file:///etc/passwd"] {
            assert!(
                validator(&json!({"$ref": reference})).is_err(),
                "{reference}"
            );
        }
    }

    #[test]
    fn secrets_where_they_would_be_missed_are_refused() {
        let listed =
            json!({"properties":{"keys":{"items":{"properties":{"key":{"x-secret":true}}}}}});
        assert_eq!(misplaced_secrets(&listed).len(), 1);
        assert!(misplaced_secrets(&schema()).is_empty());
    }
}

//! Violations in the words of the validator that Helm uses.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

/// Why a schema is no JSON.
pub(super) fn bad_json(_schema: &[u8], error: &serde_json::Error) -> String {
    format!("invalid values.schema.json: {error}\n")
}

/// Why a schema is none.
pub(super) fn bad_schema(error: &ValidationError<'_>) -> String {
    format!("\"file:///values.schema.json\" cannot be used as a schema: {error}\n")
}

/// All violations, one a line.
pub(super) fn violations(errors: &[ValidationError<'_>]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut missing: Vec<(String, Vec<String>)> = Vec::new();
    for error in errors {
        let at = error.instance_path().to_string();
        if let Kind::Required { property } = error.kind() {
            let name = property.as_str().unwrap_or_default().to_owned();
            match missing.iter_mut().find(|(place, _)| *place == at) {
                Some((_, names)) => names.push(name),
                None => missing.push((at, vec![name])),
            }
        } else {
            lines.push(format!("- at '{at}': {}", words(error)));
        }
    }
    for (at, names) in missing {
        let text = if let [name] = names.as_slice() {
            format!("missing property '{name}'")
        } else {
            format!("missing properties {}", quoted(&names))
        };
        lines.push(format!("- at '{at}': {text}"));
    }
    lines.join("\n") + "\n"
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    names.join(", ")
}

fn words(error: &ValidationError<'_>) -> String {
    let instance = error.instance();
    let size = || match instance.as_ref() {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.chars().count(),
        _ => 0,
    };
    match error.kind() {
        Kind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(ty) => ty.to_string(),
                TypeKind::Multiple(types) => {
                    let types: Vec<String> = types.iter().map(|ty| ty.to_string()).collect();
                    types.join(" or ")
                }
            };
            format!("got {}, want {wanted}", type_of(instance.as_ref()))
        }
        Kind::Enum { options } => {
            let options: Vec<String> = options.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(shown).collect();
            match options.as_slice() {
                [one] => format!("value must be {one}"),
                _ => format!("value must be one of {}", options.join(", ")),
            }
        }
        Kind::Constant { expected_value } => format!("value must be {}", shown(expected_value)),
        Kind::AdditionalProperties { unexpected } => {
            format!("additional properties {} not allowed", quoted(unexpected))
        }
        Kind::MinLength { limit } => format!("minLength: got {}, want {limit}", size()),
        Kind::MaxLength { limit } => format!("maxLength: got {}, want {limit}", size()),
        Kind::MinItems { limit } => format!("minItems: got {}, want {limit}", size()),
        Kind::MaxItems { limit } => format!("maxItems: got {}, want {limit}", size()),
        Kind::MinProperties { limit } => format!("minProperties: got {}, want {limit}", size()),
        Kind::MaxProperties { limit } => format!("maxProperties: got {}, want {limit}", size()),
        Kind::Minimum { limit } => format!("minimum: got {instance}, want {limit}"),
        Kind::Maximum { limit } => format!("maximum: got {instance}, want {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("exclusiveMinimum: got {instance}, want {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("exclusiveMaximum: got {instance}, want {limit}"),
        Kind::MultipleOf { multiple_of } => format!("multipleOf: got {instance}, want {multiple_of}"),
        Kind::Pattern { pattern } => format!("{} does not match pattern '{pattern}'", shown(instance.as_ref())),
        Kind::Format { format } => format!("{} is not valid {format}", shown(instance.as_ref())),
        Kind::AnyOf { .. } => "'anyOf' failed".to_owned(),
        Kind::OneOfNotValid { .. } => "'oneOf' failed, none matched".to_owned(),
        Kind::OneOfMultipleValid { .. } => "'oneOf' failed, subschemas matched".to_owned(),
        Kind::Not { .. } => "'not' failed".to_owned(),
        Kind::FalseSchema => "false schema".to_owned(),
        Kind::Contains => "no items match contains schema".to_owned(),
        _ => error.to_string(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        Value::Array(_) | Value::Object(_) => "value".to_owned(),
        other => other.to_string(),
    }
}

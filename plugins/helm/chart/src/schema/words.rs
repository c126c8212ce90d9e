//! Violations in the words of the validator that Helm uses.

use std::collections::HashMap;

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

/// Why a schema with such a pattern is none.
pub(super) fn bad_pattern(complaint: &str) -> String {
    format!(
        "\"file:///values.schema.json#\" is not valid against metaschema: jsonschema validation failed\n{complaint}\n"
    )
}

/// All violations, one a line.
pub(super) fn violations(errors: &[ValidationError<'_>]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut missing: Vec<(String, Vec<String>)> = Vec::new();
    let refusals = refusals(errors);
    for error in errors.iter().filter(|error| !is_moot(error, &refusals)) {
        let at = error.instance_path().to_string();
        if let Kind::Required { property } = error.kind() {
            let name = property.as_str().unwrap_or_default().to_owned();
            match missing.iter_mut().find(|(place, _)| *place == at) {
                Some((_, names)) => names.push(name),
                None => missing.push((at, vec![name])),
            }
        } else {
            lines.push(format!("- at '{at}': {}", words(error)));
            lines.extend(nested(error));
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

/// Helm's validator asks for these in this order, and leaves a schema at the first that is not met.
fn place_in_line(error: &ValidationError<'_>) -> Option<usize> {
    match error.kind() {
        Kind::Type { .. } => Some(0),
        Kind::Constant { .. } => Some(1),
        Kind::Enum { .. } => Some(2),
        Kind::Format { .. } => Some(3),
        _ => None,
    }
}

/// By schema and value: the first of these that was not met.
type Refusals<'a> = HashMap<(&'a str, &'a str), usize>;

fn refusals<'a>(errors: &'a [ValidationError<'_>]) -> Refusals<'a> {
    let mut found = Refusals::new();
    for error in errors {
        let schema = error.evaluation_path().as_str().rsplit_once('/');
        if let (Some(place), Some((schema, _))) = (place_in_line(error), schema) {
            let first = found
                .entry((schema, error.instance_path().as_str()))
                .or_insert(place);
            *first = place.min(*first);
        }
    }
    found
}

/// Whether another violation keeps the validator from ever coming to this one.
fn is_moot(error: &ValidationError<'_>, refusals: &Refusals<'_>) -> bool {
    let path = error.evaluation_path().as_str();
    let value = error.instance_path().as_str();
    let own = path.rfind('/');
    let mut schemas = path.match_indices('/').map(|(end, _)| end);
    schemas.any(|end| {
        let schema = path.get(..end).unwrap_or_default();
        if Some(end) == own {
            let first = refusals.get(&(schema, value));
            return first.is_some_and(|first| place_in_line(error).is_none_or(|own| *first < own));
        }
        let mut ends = value.match_indices('/').map(|(end, _)| end);
        refusals.contains_key(&(schema, value))
            || ends
                .any(|end| refusals.contains_key(&(schema, value.get(..end).unwrap_or_default())))
    })
}

/// What each choice of a combination said, indented below it.
fn nested(error: &ValidationError<'_>) -> Vec<String> {
    let (Kind::AnyOf { context } | Kind::OneOfNotValid { context }) = error.kind() else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    for errors in context {
        let mut choice = violations(errors);
        choice.truncate(choice.trim_end().len());
        lines.extend(choice.lines().map(|line| format!("  {line}")));
    }
    lines
}

/// Whole numbers with separators, as the validator's printer writes them.
fn grouped(number: &Value) -> String {
    let text = number.to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text;
    }
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}")
}

/// The first two equal items.
fn duplicates(value: &Value) -> Option<(usize, usize)> {
    let items = value.as_array()?;
    items.iter().enumerate().find_map(|(later, item)| {
        let earlier = items.iter().take(later).position(|other| other == item)?;
        Some((earlier, later))
    })
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
    let bound = |name: &str, limit: &Value| {
        format!(
            "{name}: got {}, want {}",
            grouped(instance.as_ref()),
            grouped(limit)
        )
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
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            if options.iter().any(is_compound) {
                return "'enum' failed".to_owned();
            }
            let options: Vec<String> = options.iter().map(shown).collect();
            match options.as_slice() {
                [one] => format!("value must be {one}"),
                _ => format!("value must be one of {}", options.join(", ")),
            }
        }
        Kind::Constant { expected_value } if is_compound(expected_value) => {
            "'const' failed".to_owned()
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
        Kind::Minimum { limit } => bound("minimum", limit),
        Kind::Maximum { limit } => bound("maximum", limit),
        Kind::ExclusiveMinimum { limit } => bound("exclusiveMinimum", limit),
        Kind::ExclusiveMaximum { limit } => bound("exclusiveMaximum", limit),
        Kind::MultipleOf { multiple_of } => {
            bound("multipleOf", &crate::convert::number_to_json(*multiple_of))
        }
        Kind::UniqueItems => match duplicates(instance.as_ref()) {
            Some((earlier, later)) => format!("items at {earlier} and {later} are equal"),
            None => error.to_string(),
        },
        Kind::Pattern { pattern } => format!(
            "{} does not match pattern '{}'",
            shown(instance.as_ref()),
            pattern.replace('\\', "\\\\")
        ),
        Kind::Format { format } => format!("{} is not valid {format}", shown(instance.as_ref())),
        Kind::AnyOf { .. } => "'anyOf' failed".to_owned(),
        Kind::OneOfNotValid { .. } => "'oneOf' failed, none matched".to_owned(),
        Kind::OneOfMultipleValid { context } => {
            let mut matched = context
                .iter()
                .enumerate()
                .filter(|(_, errors)| errors.is_empty());
            match (matched.next(), matched.next()) {
                (Some((one, _)), Some((other, _))) => {
                    format!("'oneOf' failed, subschemas {one}, {other} matched")
                }
                _ => "'oneOf' failed, several subschemas matched".to_owned(),
            }
        }
        Kind::Not { .. } => "'not' failed".to_owned(),
        Kind::FalseSchema if is_of_additional(error) => {
            let names = instance.as_object().into_iter().flat_map(|map| map.keys());
            let names: Vec<String> = names.cloned().collect();
            format!("additional properties {} not allowed", quoted(&names))
        }
        Kind::FalseSchema => "false schema".to_owned(),
        Kind::Contains => "no items match contains schema".to_owned(),
        _ => error.to_string(),
    }
}

/// Where a schema has no other properties, the library reports the object as a whole.
fn is_of_additional(error: &ValidationError<'_>) -> bool {
    error
        .schema_path()
        .as_str()
        .ends_with("/additionalProperties")
        && error.instance().is_object()
}

fn is_compound(value: &Value) -> bool {
    value.is_array() || value.is_object()
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
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

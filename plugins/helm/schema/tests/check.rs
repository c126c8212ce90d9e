//! Verdicts and words of the validator: what the original prints was recorded from Helm 4.3.1.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use helm_schema::Schema;
use helm_template::Map;
use serde_json::{Value, json};

fn values(value: &Value) -> Map {
    helm_chart::map_to_template(value.as_object().unwrap())
}

fn check(schema: &str, value: &Value) -> Result<(), String> {
    Schema::compile(schema.as_bytes())?.check(&values(value))
}

fn refused(schema: &str, value: &Value) -> String {
    check(schema, value).unwrap_err()
}

#[test]
fn complaints_are_a_tree() {
    let schema = r##"{
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {
            "a": {"type": "object", "required": ["x", "y"], "minProperties": 3},
            "b": {"anyOf": [{"type": "string"}, {"$ref": "#/definitions/port"}]},
            "c": {"$ref": "#/definitions/port"},
            "d": {"propertyNames": {"maxLength": 1}},
            "e": {"oneOf": [{"minimum": 1}, {"type": "number"}]}
        },
        "definitions": {"port": {"maximum": 65535, "multipleOf": 2}}
    }"##;
    let error = refused(
        schema,
        &json!({"a": {}, "b": 70001, "c": 1_000_001, "d": {"it's": 1}, "e": 5}),
    );
    assert_eq!(
        error,
        "- at '/a': validation failed\n  \
           - at '/a': minProperties: got 0, want 3\n  \
           - at '/a': missing properties 'x', 'y'\n\
         - at '/b': 'anyOf' failed\n  \
           - at '/b': got number, want string\n  \
           - at '/b': validation failed\n    \
             - at '/b': maximum: got 70,001, want 65,535\n    \
             - at '/b': multipleOf: got 70,001, want 2\n\
         - at '/c': validation failed\n  \
           - at '/c': maximum: got 1.000001×10⁰⁶, want 65,535\n  \
           - at '/c': multipleOf: got 1.000001×10⁰⁶, want 2\n\
         - at '/d': invalid propertyName 'it\\'s'\n  \
           - at '': maxLength: got 4, want 1\n\
         - at '/e': 'oneOf' failed, subschemas 0, 1 matched"
    );
}

#[test]
fn a_format_says_what_is_wrong_in_the_old_drafts_only() {
    let schema = |draft: &str| {
        format!(
            "{{\"$schema\": \"{draft}\", \"properties\": {{\"v\": {{\"format\": \"semver\"}}}}}}"
        )
    };
    let old = schema("http://json-schema.org/draft-07/schema#");
    assert_eq!(
        refused(&old, &json!({"v": "1.02.3"})),
        "- at '/v': '1.02.3' is not valid semver: minor starts with zero"
    );
    check(&old, &json!({"v": 5})).unwrap();
    let new = schema("https://json-schema.org/draft/2020-12/schema");
    check(&new, &json!({"v": "1.02.3"})).unwrap();
}

#[test]
fn numbers_are_compared_and_shown_as_written() {
    let schema = r#"{"properties": {"a": {"enum": [1.50, "x", null]}, "b": {"const": 1e2}}}"#;
    check(schema, &json!({"a": 1.5, "b": 100})).unwrap();
    assert_eq!(
        refused(schema, &json!({"a": 2, "b": 100})),
        "- at '/a': value must be one of 1.50, 'x', <nil>"
    );
}

#[test]
fn what_is_no_schema_is_refused_by_its_draft() {
    let error = refused(
        r#"{"type": "text", "properties": {"a": {"pattern": "(?!x)"}}}"#,
        &json!({}),
    );
    assert!(
        error.starts_with(
            "\"file:///values.schema.json#\" is not valid against metaschema: jsonschema validation failed with \
             'https://json-schema.org/draft/2020-12/schema#'\n- at "
        ),
        "{error}"
    );
    assert!(
        error.contains("'(?!x)' is not valid regex: error parsing regexp:"),
        "{error}"
    );
    assert_eq!(refused("{", &json!({})), "unexpected EOF");
    assert_eq!(
        refused("{} x", &json!({})),
        "invalid character after top-level value"
    );
}

#[test]
fn definitions_count_when_something_refers_to_them() {
    let far = r##"{"definitions": {"far": {"$ref": "https://example.com/x"}, "loop": {"$ref": "#/definitions/loop"}}}"##;
    check(far, &json!({})).unwrap();
    for (reference, complaint) in [
        (
            "#/definitions/none",
            "json-pointer in \"file:///values.schema.json#/definitions/none\" not found",
        ),
        (
            "#none",
            "anchor in \"file:///values.schema.json#none\" not found in schema \"file:///values.schema.json\"",
        ),
        (
            "https://example.com/x",
            "failing loading \"https://example.com/x\": it lies outside the chart; nothing is fetched",
        ),
        (
            "x.json",
            "failing loading \"file:///x.json\": open /x.json: no such file or directory",
        ),
    ] {
        let schema = json!({"$ref": reference}).to_string();
        assert_eq!(refused(&schema, &json!({})), complaint);
    }
    let beside = r##"{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "urn:x", "if": {"$ref": "#none"}}"##;
    assert!(refused(beside, &json!({})).starts_with("anchor in "));
    check(r#"{"$ref": "urn:not:here"}"#, &json!({})).unwrap();
    check(
        r#"{"$ref": "http://json-schema.org/draft-07/schema#"}"#,
        &json!({"type": "object"}),
    )
    .unwrap();
}

#[test]
fn what_leads_back_to_itself_is_refused() {
    assert_eq!(
        refused(r##"{"$ref": "#"}"##, &json!({})),
        "- at '': both /$ref and  resolve to \"file:///values.schema.json#\" causing reference cycle"
    );
    check(
        r##"{"properties": {"next": {"$ref": "#"}}}"##,
        &json!({"next": {"next": {}}}),
    )
    .unwrap();
}

#[test]
fn work_depth_and_complaints_are_bounded() {
    let chain: serde_json::Map<String, Value> = (0..5_000)
        .map(|at| {
            (
                format!("d{at}"),
                json!({"$ref": format!("#/definitions/d{}", at + 1)}),
            )
        })
        .chain([("d5000".to_owned(), json!(true))])
        .collect();
    let deep = json!({"$ref": "#/definitions/d0", "definitions": chain}).to_string();
    assert!(refused(&deep, &json!({})).contains("400 levels"));

    let doubling: serde_json::Map<String, Value> = (0..40)
        .map(|at| {
            let next = json!({"$ref": format!("#/definitions/d{}", at + 1)});
            (format!("d{at}"), json!({"allOf": [next, next]}))
        })
        .chain([("d40".to_owned(), json!({"minProperties": 0}))])
        .collect();
    let wide = json!({"$ref": "#/definitions/d0", "definitions": doubling}).to_string();
    assert!(refused(&wide, &json!({})).contains("1,000,000 steps"));

    let choices: Vec<String> = (0..10_000).map(|at| format!("choice-{at}")).collect();
    let wordy = json!({"properties": {"l": {"items": {"enum": choices}}}}).to_string();
    let items: Vec<u32> = (0..10_000).collect();
    assert!(refused(&wordy, &json!({"l": items})).contains("32 MiB of complaints"));

    let unique = r#"{"properties": {"l": {"uniqueItems": true}}}"#;
    let items: Vec<u32> = (0..100_000).collect();
    check(unique, &json!({"l": items})).unwrap();
}

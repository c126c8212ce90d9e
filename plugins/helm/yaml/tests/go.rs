//! What the Go libraries do, row by row: `cases.jsonl` holds texts and what sigs.k8s.io/yaml 1.6.0,
//! go.yaml.in/yaml/v3 3.0.5 and `encoding/json` make of them, errors included.

#![expect(clippy::panic, reason = "a test fails by panicking, its helpers too")]

use helm_yaml::Error;
use serde_json::Value;

/// All numbers floats, as in a chart's values.
fn floats(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(floats).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, floats(v))).collect(),
        Value::Number(number) => Value::from(number.as_f64()),
        other => other,
    }
}

/// Integers where the text has them.
fn exact(text: &str) -> Result<Value, Error> {
    let value = helm_yaml::from_json_any(text)?;
    Ok(with_integers(value, text))
}

/// The rows with integers are lists of one number.
fn with_integers(value: Value, text: &str) -> Value {
    match text.trim_matches(['[', ']']).parse::<i64>() {
        Ok(number) => Value::Array(vec![Value::from(number)]),
        Err(_) => value,
    }
}

fn run(action: &str, text: &str) -> Result<String, Error> {
    let json = |value: Value| helm_yaml::to_json(&value);
    match action {
        "read" => helm_yaml::from_yaml(text).map(json),
        "read-any" => helm_yaml::from_yaml_any(text).map(json),
        "read-list" => helm_yaml::from_yaml_array(text).map(json),
        "read-strict" => helm_yaml::from_yaml_strict(text).map(json),
        "read-raw" => helm_yaml::decode_raw(text.as_bytes()).map(json),
        "json" => helm_yaml::from_json(text).map(json),
        "json-any" => helm_yaml::from_json_any(text).map(json),
        "json-list" => helm_yaml::from_json_array(text).map(json),
        "write" => helm_yaml::try_to_yaml(&floats(helm_yaml::from_json_any(text)?)),
        "write-ints" => helm_yaml::try_to_yaml(&exact(text)?),
        "write-pretty" => Ok(helm_yaml::to_yaml_pretty(&helm_yaml::from_json_any(text)?)),
        "write-pretty-ints" => Ok(helm_yaml::to_yaml_pretty(&exact(text)?)),
        "write-json" => helm_yaml::from_json_any(text).map(json),
        "write-raw-json" => Ok(helm_yaml::to_raw_json(&helm_yaml::from_json_any(text)?)),
        "write-pretty-json" => Ok(helm_yaml::to_pretty_json(&helm_yaml::from_json_any(text)?)),
        _ => panic!("no such action: {action}"),
    }
}

#[test]
fn every_text_is_read_and_written_as_go_does() {
    let mut differences = Vec::new();
    let mut rows = 0;
    for line in include_str!("cases.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let (action, input) = (text("do").unwrap(), text("in").unwrap());
        let (found, wanted) = match run(&action, &input) {
            Ok(found) => (Some(found), text("ok")),
            Err(error) => (Some(error.to_string()), text("error")),
        };
        rows += 1;
        if found != wanted {
            differences.push(format!(
                "{action} {input:?}\n  gave   {found:?}\n  wanted {:?}",
                text("ok").or(text("error"))
            ));
        }
    }
    assert!(rows > 1_000, "only {rows} rows");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

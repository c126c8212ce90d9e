//! Every function against rows of template text and what Helm 4.3.1 made of it, errors included.
//!
//! A row is a JSON list: the template, `output` or `error`, and the text. The data is [`data`].

#![allow(clippy::unwrap_used, reason = "a malformed row must fail the test")]

use std::rc::Rc;

use helm_functions::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme, functions};
use helm_template::{Limits, MissingKey, Templates, Value};
use serde_json::{Value as Json, json};

/// 2026-03-04 05:06:07.5 UTC, counted bytes for randomness, no keys, no cluster.
struct Fixed(std::cell::Cell<u8>);

impl Environment for Fixed {
    fn now(&self) -> i128 {
        1_772_600_767_500_000_000
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError> {
        for byte in buffer {
            self.0.set(self.0.get().wrapping_mul(181).wrapping_add(97));
            *byte = self.0.get();
        }
        Ok(())
    }

    fn generate_key(&self, _algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        Err(EnvironmentError("no keys here".to_owned()))
    }

    fn sign(
        &self,
        _key: &[u8],
        _scheme: SignatureScheme,
        _message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError> {
        Err(EnvironmentError("no keys here".to_owned()))
    }

    fn public_key(&self, _key: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        Err(EnvironmentError("no keys here".to_owned()))
    }

    fn lookup(
        &self,
        _api_version: &str,
        _kind: &str,
        _namespace: &str,
        _name: &str,
    ) -> Result<Json, EnvironmentError> {
        Ok(json!({}))
    }
}

fn data() -> Json {
    json!({
        "s": "hello", "e": "", "n": 3.0, "f": 1.5, "big": 1_000_000.0, "t": true, "z": 0.0,
        "nil": null, "l": ["b", "a", "c"], "nums": [3.0, 1.0, 2.0],
        "m": {"a": 1.0, "b": {"c": "d"}}, "em": {}, "el": [],
        "mixed": [1.0, "a", null, true, {"k": "v"}, [1.0, 2.0]]
    })
}

fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Float(number.as_f64().unwrap()),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::list(items.iter().map(to_value).collect()),
        Json::Object(map) => Value::map(map.iter().map(|(k, v)| (k.as_str(), to_value(v)))),
    }
}

fn run(template: &str) -> (&'static str, String) {
    let environment: Rc<dyn Environment> = Rc::new(Fixed(std::cell::Cell::new(1)));
    let templates = Templates::new("gotpl", Rc::new(functions(&environment)), MissingKey::Zero);
    let result = templates
        .parse("t", template)
        .and_then(|_| templates.execute("t", &to_value(&data()), &Limits::default()));
    match result {
        Ok(text) => ("output", text.to_string()),
        Err(error) => ("error", error.text().to_owned()),
    }
}

fn check(file: &str, rows: &str) {
    let mut wrong = Vec::new();
    for line in rows.lines() {
        let row: [String; 3] = serde_json::from_str(line).unwrap();
        let [template, kind, text] = row;
        let (found_kind, found) = run(&template);
        if found_kind != kind || found != text {
            wrong.push(format!(
                "{template}\n  wanted {kind}: {text:?}\n  found  {found_kind}: {found:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{file}: {} rows differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

macro_rules! suite {
    ($($name:ident: $file:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            check($file, include_str!(concat!("rows/", $file)));
        })+

        const FILES: &[&str] = &[$(include_str!(concat!("rows/", $file))),+];
    };
}

suite! {
    text_rows_agree: "text.jsonl",
    list_and_logic_rows_agree: "lists.jsonl",
    map_rows_agree: "maps.jsonl",
    number_rows_agree: "numbers.jsonl",
    code_rows_agree: "codes.jsonl",
    date_rows_agree: "dates.jsonl",
    regex_rows_agree: "regexes.jsonl",
    version_and_path_rows_agree: "versions.jsonl",
    url_rows_agree: "urls.jsonl",
    crypto_rows_agree: "crypto.jsonl",
    helm_rows_agree: "helm.jsonl",
}

/// A call is a name between delimiters; the rows hold several calls each.
#[test]
fn every_function_has_four_calls_in_the_rows() {
    let environment: Rc<dyn Environment> = Rc::new(Fixed(std::cell::Cell::new(1)));
    let all = FILES.concat();
    let mut few = Vec::new();
    for name in functions(&environment).names() {
        let words = all.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let calls = words.filter(|word| *word == name).count();
        if calls < 4 {
            few.push(format!("{name}: {calls}"));
        }
    }
    few.sort();
    assert!(few.is_empty(), "{few:?}");
}

#[test]
fn sprig_and_helm_are_complete() {
    let environment: Rc<dyn Environment> = Rc::new(Fixed(std::cell::Cell::new(1)));
    let functions = functions(&environment);
    let names = include_str!("rows/names.txt");
    let missing: Vec<&str> = names
        .lines()
        .filter(|name| functions.get(name).is_none())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(functions.names().count(), names.lines().count());
}

#[test]
fn huge_results_end_in_an_error() {
    for template in [
        r#"{{ repeat 1000000000 "x" }}"#,
        r#"{{ until 1000000000 }}"#,
        r#"{{ untilStep 0 9223372036854775807 1 }}"#,
        r#"{{ seq 1000000000 }}"#,
        r#"{{ seq 0 9223372036854775806 }}"#,
        r#"{{ indent 1000000000 "x" }}"#,
        r#"{{ nindent 9223372036854775807 "x" }}"#,
        r#"{{ randAlpha 1000000000 }}"#,
        r#"{{ randBytes 1000000000 }}"#,
        r#"{{ regexReplaceAll "" (repeat 100000 "x") (repeat 1000 "y") }}"#,
        r#"{{ replace "x" (repeat 10000 "y") (repeat 10000 "x") }}"#,
        r#"{{ wrapWith 1 (repeat 10000 "y") (repeat 10000 "x") }}"#,
        r#"{{ date (repeat 10000000 "x") 0 }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ deepCopy $d }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ toRawJson $d }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ mustToYaml $d }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ mustToToml $d }}"#,
    ] {
        assert_eq!(run(template).0, "error", "{template}");
    }
}

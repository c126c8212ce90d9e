//! Schemas of all drafts, and values that fit them more or less: every complaint is compared, wherever it stands, as
//! the original follows the random order of its maps.

use serde_json::{Map, Value, json};

use super::Case;
use crate::random::Random;

const NAMES: &[&str] = &["a", "b", "c", "d/e", "f~g"];

const DRAFTS: &[&str] = &[
    "",
    "",
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-06/schema#",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
    "http://json-schema.org/schema#",
];

const FORMATS: &[&str] = &[
    "json-pointer",
    "relative-json-pointer",
    "uuid",
    "duration",
    "period",
    "ipv4",
    "ipv6",
    "hostname",
    "email",
    "date",
    "time",
    "date-time",
    "uri",
    "iri",
    "uri-reference",
    "uri-template",
    "semver",
    "regex",
    "idn-email",
    "unknown",
];

const TEXTS: &[&str] = &[
    "",
    "a",
    "abc",
    "it's",
    "say \"x\"",
    "é\n",
    "1.2.3",
    "01.2.3",
    "1.2.3-alpha.01",
    "1.2.3+",
    "P1D",
    "P1DT",
    "PT1H1D",
    "P1",
    "P2W",
    "2024-02-30",
    "2024-02-29",
    "2024-02-29T10:11:12Z",
    "2024-02-29T10:11:60+01:00",
    "2024-02-29T10:11:12Z/P1D",
    "10:11:12Z",
    "25:00:00Z",
    "10:11:12+1:00",
    "1.2.3.4",
    "1.2.3.400",
    "01.2.3.4",
    "1.2.3.x",
    "::1",
    "fe80::1%eth0",
    "1::2::3",
    "12345::",
    "::ffff:1.2.3.4",
    "1:2:3",
    "host.example.com",
    "-host",
    "a_b",
    "x@example.com",
    ".x@example.com",
    "x@[1.2.3.4]",
    "x@[IPv6:::z]",
    "http://example.com/a?b#c",
    "http://[::1]:80/",
    "http://a b/",
    "//x",
    "a:b:c",
    "/a/{b}/c",
    "/a/{b",
    "/a~1b",
    "/a~2b",
    "1/a",
    "01#",
    "%zz",
    "a\\b",
    "[a",
    "(?!a)",
    "(?P<n>a)\\d",
    "123e4567-e89b-12d3-a456-426614174000",
    "123e4567-e89b-12d3-a456-42661417400g",
];

const NUMBERS: &[&str] = &[
    "0", "1", "2", "3", "1.5", "-1", "10", "1000", "1234.5", "1000000", "1e3", "0.1", "0.3",
    "2.50", "1e21", "0.00001",
];

fn number(random: &mut Random) -> Value {
    let text = random.pick(NUMBERS);
    serde_json::from_str(text).unwrap_or(Value::Null)
}

fn scalar(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Null,
        1 => Value::Bool(random.once_in(2)),
        2 | 3 => number(random),
        _ => random.pick(TEXTS).into(),
    }
}

fn value(random: &mut Random, depth: usize) -> Value {
    if depth > 2 || random.once_in(3) {
        return scalar(random);
    }
    if random.once_in(3) {
        let count = random.below(4);
        return (0..count).map(|_| value(random, depth + 1)).collect();
    }
    let mut map = Map::new();
    for name in NAMES {
        if !random.once_in(3) {
            map.insert((*name).to_owned(), value(random, depth + 1));
        }
    }
    Value::Object(map)
}

fn list(random: &mut Random, depth: usize) -> Value {
    let count = 1 + random.below(3);
    (0..count).map(|_| schema(random, depth + 1)).collect()
}

fn by_name(random: &mut Random, depth: usize) -> Value {
    let mut map = Map::new();
    for name in NAMES {
        if random.once_in(2) {
            map.insert((*name).to_owned(), schema(random, depth + 1));
        }
    }
    Value::Object(map)
}

fn names(random: &mut Random) -> Value {
    let picked = NAMES.iter().filter(|_| random.once_in(3));
    picked.map(|name| Value::from(*name)).collect()
}

fn reference(random: &mut Random) -> &'static str {
    random.pick(&[
        "#/definitions/one",
        "#/definitions/one",
        "#/definitions/two",
        "#/$defs/one",
        "#anchor",
        "values.schema.json#/definitions/one",
        "#",
        "http://example.com/own#/definitions/x",
    ])
}

fn keyword(random: &mut Random, depth: usize, map: &mut Map<String, Value>) {
    let small = json!(random.below(4));
    let (name, value) = match random.below(40) {
        0..=4 if depth < 3 => ("properties", by_name(random, depth)),
        5 | 6 => ("required", names(random)),
        7 => ("additionalProperties", false.into()),
        8 if depth < 3 => ("additionalProperties", schema(random, depth + 1)),
        9 if depth < 3 => (
            "patternProperties",
            json!({"^[ab]": schema(random, depth + 1), "d/": schema(random, depth + 1)}),
        ),
        10 if depth < 3 => ("items", schema(random, depth + 1)),
        11 if depth < 3 => ("anyOf", list(random, depth)),
        12 if depth < 3 => ("oneOf", list(random, depth)),
        13 if depth < 3 => ("allOf", list(random, depth)),
        14 if depth < 3 => ("not", schema(random, depth + 1)),
        15 if depth < 3 => ("if", schema(random, depth + 1)),
        16 if depth < 3 => ("then", schema(random, depth + 1)),
        17 if depth < 3 => ("else", schema(random, depth + 1)),
        18 => (
            "enum",
            (0..=random.below(3)).map(|_| scalar(random)).collect(),
        ),
        19 => ("const", scalar(random)),
        20 | 21 => ("format", random.pick(FORMATS).into()),
        22 => (
            "pattern",
            random
                .pick(&["^a", "\\d+", "b$", "it's", "\"", "[é]"])
                .into(),
        ),
        23 => (random.pick(&["minLength", "maxLength"]), small),
        24 => (random.pick(&["minItems", "maxItems"]), small),
        25 => (random.pick(&["minProperties", "maxProperties"]), small),
        26 => (random.pick(&["minimum", "maximum"]), number(random)),
        27 => (
            random.pick(&["exclusiveMinimum", "exclusiveMaximum"]),
            number(random),
        ),
        28 => (
            "multipleOf",
            json!(
                random
                    .pick(&["0.1", "3", "2.5"])
                    .parse::<f64>()
                    .unwrap_or(1.0)
            ),
        ),
        29 => ("uniqueItems", true.into()),
        30 if depth < 3 => ("contains", schema(random, depth + 1)),
        31 => (random.pick(&["minContains", "maxContains"]), small),
        32 if depth < 3 => ("propertyNames", schema(random, depth + 1)),
        33 if depth < 3 => (
            random.pick(&["dependencies", "dependentSchemas"]),
            json!({"a": schema(random, depth + 1)}),
        ),
        34 => (
            random.pick(&["dependencies", "dependentRequired"]),
            json!({"b": ["c", "zz"]}),
        ),
        35 if depth < 3 => (
            random.pick(&["unevaluatedProperties", "unevaluatedItems"]),
            random
                .pick(&["true", "false"])
                .parse()
                .unwrap_or(Value::Null),
        ),
        36 if depth < 3 => ("prefixItems", list(random, depth)),
        37 => ("$ref", reference(random).into()),
        38 if depth < 3 => ("additionalItems", schema(random, depth + 1)),
        _ => {
            let kind = random.pick(&[
                "object", "object", "array", "string", "number", "integer", "boolean", "null",
            ]);
            let kinds = if random.once_in(3) {
                json!([kind, "null"])
            } else {
                kind.into()
            };
            ("type", kinds)
        }
    };
    map.insert(name.to_owned(), value);
}

fn schema(random: &mut Random, depth: usize) -> Value {
    if depth > 0 && random.once_in(10) {
        return Value::Bool(random.once_in(2));
    }
    let mut map = Map::new();
    for _ in 0..=random.below(3) {
        keyword(random, depth, &mut map);
    }
    Value::Object(map)
}

/// One thing that makes it no schema, or a schema that refers to nowhere.
fn spoil(random: &mut Random, map: &mut Map<String, Value>) {
    let (name, value) = match random.below(12) {
        0 => ("type", "text".into()),
        1 => ("pattern", random.pick(&["[a", "(?!x)", "a**"]).into()),
        2 => ("patternProperties", json!({"(?=x)": true})),
        3 => (
            "$ref",
            random
                .pick(&[
                    "#/nowhere",
                    "#none",
                    "other.json",
                    "#/properties/~2",
                    "#%zz",
                    "x:y",
                ])
                .into(),
        ),
        4 => ("required", "a".into()),
        5 => ("properties", json!({"a": 5})),
        6 => ("minLength", (-1).into()),
        7 => ("enum", json!([])),
        8 => (
            "$schema",
            random
                .pick(&[
                    "nope",
                    "x:y",
                    "file:///no.json",
                    "http://json-schema.org/draft-07/schema#x",
                ])
                .into(),
        ),
        9 => ("items", 5.into()),
        10 => ("allOf", json!([])),
        _ => ("multipleOf", 0.into()),
    };
    map.insert(name.to_owned(), value);
}

pub(super) fn case(random: &mut Random) -> Case {
    let mut root = match schema(random, 0) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    keyword(random, 0, &mut root);
    let draft = random.pick(DRAFTS);
    if !draft.is_empty() {
        root.insert("$schema".into(), draft.into());
    }
    let mut one = schema(random, 1);
    if let (Value::Object(map), true) = (&mut one, random.once_in(3)) {
        map.insert("$anchor".into(), "anchor".into());
    }
    root.insert(
        "definitions".into(),
        json!({"one": one, "two": {"$ref": "#/definitions/one"}}),
    );
    root.insert("$defs".into(), json!({"one": schema(random, 1)}));
    if random.once_in(6) {
        root.insert("$id".into(), "http://example.com/own".into());
    }
    if random.once_in(5) {
        spoil(random, &mut root);
    }
    let mut text = Value::Object(root).to_string();
    if random.once_in(30) {
        let cut = (0..=random.below(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or(0));
    }
    let values = match value(random, 0) {
        values @ Value::Object(_) => values,
        other => json!({"a": other}),
    };
    let mut case = Case::new(&values.to_string(), "a: 1\n".to_owned());
    case.add("values.schema.json", text);
    case
}

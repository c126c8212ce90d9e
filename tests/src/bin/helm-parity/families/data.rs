//! Random texts, values and YAML.

use serde_json::{Map, Value};

use crate::random::Random;

/// Texts that have given YAML writers trouble, and plain ones.
pub(crate) fn text(random: &mut Random) -> String {
    const PIECES: &[&str] = &[
        "a",
        "b",
        "foo",
        "Bar",
        " ",
        "  ",
        "-",
        "_",
        ".",
        ":",
        ": ",
        "#",
        " #",
        "1",
        "0",
        "12",
        "1e3",
        "0x1F",
        "é",
        "ß",
        "😀",
        "\n",
        "\t",
        "'",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "?",
        "true",
        "null",
        "yes",
        "~",
        "=",
        "<",
        "2020-01-01",
        "/",
        "$",
        "longer words here",
        "\u{a0}",
        "\r",
    ];
    let mut text = String::new();
    for _ in 0..random.below(7) {
        text.push_str(random.pick(PIECES));
    }
    if random.once_in(12) {
        text = text.repeat(12);
    }
    text
}

/// Any value that values.yaml can hold.
pub(crate) fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth > 3 { 6 } else { 9 }) {
        0 => Value::Null,
        1 => random.once_in(2).into(),
        2 => random.number().into(),
        3 => Value::from(random.number() as f64 / 1024.0),
        4 | 5 => text(random).into(),
        6 => (0..random.below(4))
            .map(|_| value(random, depth + 1))
            .collect(),
        _ => {
            let mut map = Map::new();
            for _ in 0..random.below(5) {
                let key = if random.once_in(3) {
                    text(random)
                } else {
                    random
                        .pick(&[
                            "a", "b", "a10", "a9", "B", "name", "x.y/z", "_", "1", "true",
                        ])
                        .to_owned()
                };
                map.insert(key, value(random, depth + 1));
            }
            Value::Object(map)
        }
    }
}

/// YAML as people write it, now and then broken.
pub(crate) fn yaml_text(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(4) {
        let indent = random.pick(&["", "", "", "  ", " "]);
        text.push_str(indent);
        let key = random.pick(&[
            "a", "b", "\"q\"", "'s'", "1", "yes", "<<", "? k\n", "- ", "- - ", "- x",
        ]);
        text.push_str(key);
        text.push_str(random.pick(&[": ", ": ", ": ", ":", " : ", ":\n  "]));
        text.push_str(random.pick(&[
            "1",
            "text",
            "\"dq \\n\"",
            "'sq'",
            "[1, 2]",
            "{x: y}",
            "|\n    block\n    more",
            ">-\n    folded\n    more",
            "~",
            "",
            "&anchor v",
            "*anchor",
            "!!str 5",
            "!!int \"5\"",
            "0x1f",
            "012",
            "1_000",
            "1.5e3",
            ".inf",
            "on",
            "2020-01-01",
            "a: b",
            "a #comment",
            "- item",
            "[a, [b, {c: d}]]",
            "plain with: colon",
            "1:20",
            "0b11",
            "-",
            "@bad",
            "%bad",
            "\"unended",
            "é",
            "{a: 1",
            "x\n  continued",
        ]));
        text.push('\n');
    }
    text
}

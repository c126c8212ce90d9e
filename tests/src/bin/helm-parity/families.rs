//! What is generated: a chart for each batch, with one case a line.
//!
//! No expression here fails, as one failure would hide the rest of its chart; errors have goldens of their own.

mod data;
mod program;

use crate::random::Random;
use data::{text, value, yaml_text};

/// A generated chart.
pub(crate) struct Generated {
    pub(crate) values: String,
    pub(crate) template: String,
    pub(crate) cases: usize,
}

/// One sort of generated cases.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) generate: fn(&mut Random) -> Generated,
}

pub(crate) const FAMILIES: &[Family] = &[
    Family {
        name: "printf",
        generate: |random| lines(random, 400, printf),
    },
    Family {
        name: "yaml-out",
        generate: |random| {
            over_values(random, 200, |at, _| {
                format!(
                    "{{{{ toYaml .Values.v{at} | quote }}}} {{{{ .Values.v{at} | toYamlPretty | quote }}}} {{{{ toJson .Values.v{at} }}}} {{{{ .Values.v{at} | toString | quote }}}}"
                )
            })
        },
    },
    Family {
        name: "yaml-in",
        generate: yaml_in,
    },
    Family {
        name: "semver",
        generate: |random| lines(random, 400, semver),
    },
    Family {
        name: "dates",
        generate: |random| lines(random, 400, date),
    },
    Family {
        name: "texts",
        generate: |random| lines(random, 400, texts),
    },
    Family {
        name: "numbers",
        generate: |random| lines(random, 400, numbers),
    },
    Family {
        name: "regex",
        generate: |random| lines(random, 300, regex),
    },
    Family {
        name: "merges",
        generate: merges,
    },
    Family {
        name: "programs",
        generate: program::programs,
    },
];

fn block(lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines
        .enumerate()
        .map(|(at, line)| format!("  {at}: {line}\n"))
        .collect();
    format!("out: |\n{lines}")
}

fn lines(random: &mut Random, count: usize, line: fn(&mut Random) -> String) -> Generated {
    Generated {
        values: "{}\n".into(),
        template: block((0..count).map(|_| format!("{{{{ {} | quote }}}}", line(random)))),
        cases: count,
    }
}

fn over_values(
    random: &mut Random,
    count: usize,
    line: fn(usize, &mut Random) -> String,
) -> Generated {
    let values: serde_json::Map<String, serde_json::Value> = (0..count)
        .map(|at| (format!("v{at}"), value(random, 0)))
        .collect();
    Generated {
        values: serde_json::Value::Object(values).to_string(),
        template: block((0..count).map(|at| line(at, random))),
        cases: count,
    }
}

/// A text as a template's literal.
fn literal(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if (c as u32) < 32 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn yaml_in(random: &mut Random) -> Generated {
    const COUNT: usize = 250;
    let values: serde_json::Map<String, serde_json::Value> = (0..COUNT)
        .map(|at| (format!("v{at}"), yaml_text(random).into()))
        .collect();
    let line = |at: usize| {
        format!(
            "{{{{ fromYaml .Values.v{at} | toJson }}}} {{{{ fromYamlArray .Values.v{at} | toJson }}}}"
        )
    };
    Generated {
        values: serde_json::Value::Object(values).to_string(),
        template: block((0..COUNT).map(line)),
        cases: COUNT,
    }
}

fn printf(random: &mut Random) -> String {
    let mut format = String::new();
    let mut args = String::new();
    for _ in 0..=random.below(2) {
        format.push_str(random.pick(&["", "a", "|", "é ", "100%% "]));
        format.push('%');
        format.push_str(random.pick(&["", "", "", "-", "+", "0", " ", "#", "+-", "-0"]));
        format.push_str(random.pick(&["", "", "", "1", "5", "12"]));
        format.push_str(random.pick(&["", "", "", ".0", ".2", ".5", "."]));
        format.push_str(random.pick(&[
            "s", "v", "d", "q", "x", "X", "f", "g", "e", "t", "T", "b", "o", "c", "U", "G", "z",
        ]));
        let number = random.number();
        args.push(' ');
        args.push_str(&match random.below(9) {
            0 => number.to_string(),
            1 => format!("{}", number as f64 / 1000.0).replace("-0", "0"),
            2 => literal(&text(random)),
            3 => "true".into(),
            4 => "nil".into(),
            5 => "(list 1 \"b\" nil 2.5)".into(),
            6 => "(dict \"b\" 1 \"a\" \"x\")".into(),
            7 => format!("(float64 {number})"),
            _ => "(splitList \",\" \"a,b\")".into(),
        });
    }
    if random.once_in(10) {
        args.push_str(" 1");
    }
    format!("printf {}{args}", literal(&format))
}

fn version(random: &mut Random) -> String {
    let number = |random: &mut Random| random.below(4).to_string();
    let mut version = format!("{}.{}.{}", number(random), number(random), number(random));
    version.push_str(random.pick(&[
        "", "", "", "-0", "-alpha", "-alpha.1", "-beta.2", "-rc.10", "+b1",
    ]));
    format!("{}{version}", random.pick(&["", "", "v"]))
}

fn semver(random: &mut Random) -> String {
    let mut constraint = String::new();
    for at in 0..=random.below(2) {
        if at > 0 {
            constraint.push_str(random.pick(&[" ", ", ", " || ", ","]));
        }
        let part = match random.below(6) {
            0 => format!("{}.x", random.below(3)),
            1 => random.below(3).to_string(),
            2 => format!("{}.{}", random.below(3), random.below(3)),
            3 => "*".into(),
            _ => version(random),
        };
        constraint.push_str(random.pick(&[
            "", "=", "!=", ">", "<", ">=", "<=", "~", "^", "=>", "=<", "~>", ">= ", "^ ",
        ]));
        constraint.push_str(&part);
    }
    if random.once_in(8) {
        constraint = format!("{} - {}", version(random), version(random));
    }
    format!(
        "semverCompare {} {}",
        literal(&constraint),
        literal(&version(random))
    )
}

fn date(random: &mut Random) -> String {
    let mut layout = String::new();
    for _ in 0..=random.below(5) {
        layout.push_str(random.pick(&[
            "2006", "06", "01", "1", "Jan", "January", "02", "2", "_2", "002", "__2", "Mon",
            "Monday", "15", "03", "3", "04", "4", "05", "5", ".000", ".999", ",000000", "PM", "pm",
            "MST", "Z07:00", "-0700", "-07:00", "Z0700", "-07", "T", " ", "/", "-", ":", "x", "é",
        ]));
    }
    let zone = random.pick(&[
        "UTC",
        "America/New_York",
        "Europe/Berlin",
        "Asia/Kolkata",
        "Local",
        "Australia/Lord_Howe",
    ]);
    let second = random.number() % 8_000_000_000;
    format!(
        "dateInZone {} (int64 {second}) {}",
        literal(&layout),
        literal(zone)
    )
}

fn texts(random: &mut Random) -> String {
    let (one, other) = (literal(&text(random)), literal(&text(random)));
    let small = random.below(20);
    match random.below(34) {
        0 => format!("trunc {small} {one}"),
        1 => format!("trunc -{small} {one}"),
        2 => format!("title {one}"),
        3 => format!("camelcase {one}"),
        4 => format!("snakecase {one}"),
        5 => format!("kebabcase {one}"),
        6 => format!("untitle {one}"),
        7 => format!("swapcase {one}"),
        8 => format!("initials {one}"),
        9 => format!("nospace {one}"),
        10 => format!("wrap {small} {one}"),
        11 => format!("wrapWith {small} {other} {one}"),
        12 => format!("abbrev {} {one}", small + 4),
        13 => format!("indent {small} {one}"),
        14 => format!("nindent {small} {one}"),
        15 => format!("replace {other} \"-\" {one}"),
        16 => format!("trimAll {other} {one}"),
        17 => format!("trimPrefix {other} {one}"),
        18 => format!("trimSuffix {other} {one}"),
        19 => format!("contains {other} {one}"),
        20 => format!("splitList {other} {one} | toJson"),
        21 => format!("split \" \" {one} | toJson"),
        22 => format!("b64enc {one}"),
        23 => format!("b32enc {one}"),
        24 => format!("sha256sum {one}"),
        25 => format!("squote {one}"),
        26 => format!("cat {one} {other} 1"),
        27 => format!("html {one}"),
        28 => format!("js {one}"),
        29 => format!("urlquery {one}"),
        30 => format!("toJson {one}"),
        31 => format!("upper {one}"),
        32 => format!("adler32sum {one}"),
        _ => format!("abbrevboth {} {} {one}", small, small + 8),
    }
}

fn numbers(random: &mut Random) -> String {
    let number = |random: &mut Random| match random.below(5) {
        0 => format!("{}", random.number() as f64 / 4096.0).replace("-0", "0"),
        1 => literal(&random.number().to_string()),
        2 => format!("(float64 {})", random.number()),
        _ => random.number().to_string(),
    };
    let (one, other) = (number(random), number(random));
    match random.below(16) {
        0 => format!("add {one} {other}"),
        1 => format!("sub {one} {other}"),
        2 => format!("mul {one} {other}"),
        3 => format!("max {one} {other}"),
        4 => format!("min {one} {other}"),
        5 => format!("addf {one} {other}"),
        6 => format!("subf {one} {other}"),
        7 => format!("mulf {one} {other}"),
        8 => format!("floor {one}"),
        9 => format!("ceil {one}"),
        10 => format!("round {one} {}", random.below(5)),
        11 => format!("int {one}"),
        12 => format!("float64 {one}"),
        13 => format!("div {one} 7"),
        14 => format!("mod {one} 7"),
        _ => format!("toString {one}"),
    }
}

fn regex(random: &mut Random) -> String {
    let mut pattern = String::new();
    for _ in 0..=random.below(3) {
        pattern.push_str(random.pick(&[
            "a", "b+", "[a-c]", "(a|b)", "\\d*", ".", "x?", "^", "$", "\\s", "(?i)A", "[^ ]+",
            "\\w{2}", "(b)*",
        ]));
    }
    let text = literal(&text(random));
    let pattern = literal(&pattern);
    match random.below(7) {
        0 => format!("regexMatch {pattern} {text}"),
        1 => format!("regexFind {pattern} {text}"),
        2 => format!("regexFindAll {pattern} {text} -1 | toJson"),
        3 => format!("regexReplaceAll {pattern} {text} \"<$0>\""),
        4 => format!("regexReplaceAll {pattern} {text} \"${{1}}-\""),
        5 => format!("regexReplaceAllLiteral {pattern} {text} \"$1\""),
        _ => format!("regexSplit {pattern} {text} -1 | toJson"),
    }
}

fn merges(random: &mut Random) -> Generated {
    const COUNT: usize = 150;
    let map = |random: &mut Random| {
        let names = ["a", "b", "c", "d"];
        let entries = names
            .iter()
            .filter(|_| !random.once_in(3))
            .collect::<Vec<_>>();
        let entries = entries
            .into_iter()
            .map(|name| ((*name).to_owned(), value(random, 1)));
        serde_json::Value::Object(entries.collect())
    };
    let values: serde_json::Map<String, serde_json::Value> = (0..COUNT * 2)
        .map(|at| (format!("v{at}"), map(random)))
        .collect();
    let line = |at: usize| {
        let (one, other) = (at * 2, at * 2 + 1);
        format!(
            "{{{{ merge (deepCopy .Values.v{one}) .Values.v{other} | toJson }}}} {{{{ mergeOverwrite (deepCopy .Values.v{one}) .Values.v{other} | toJson }}}} {{{{ omit .Values.v{one} \"a\" | toJson }}}} {{{{ dig \"a\" \"none\" .Values.v{other} | toJson }}}} {{{{ eq (toJson .Values.v{one}) (toJson .Values.v{other}) }}}} {{{{ deepEqual .Values.v{one} .Values.v{other} }}}}"
        )
    };
    Generated {
        values: serde_json::Value::Object(values).to_string(),
        template: block((0..COUNT).map(line)),
        cases: COUNT,
    }
}

//! Random templates over random values: blocks, loops, variables, pipelines and whitespace control.

use super::{Generated, block, literal};
use crate::families::data::{text, value};
use crate::random::Random;

const NAMES: &[&str] = &["a", "b", "c", "d", "e", "f"];

/// Each case is a small template in a text that `tpl` runs, so that its trimming stays its own.
pub(super) fn programs(random: &mut Random) -> Generated {
    const COUNT: usize = 150;
    let mut values = serde_json::Map::new();
    for name in NAMES {
        values.insert((*name).to_owned(), value(random, 1));
    }
    values.insert("list".into(), serde_json::json!(["x", 1, true, null, "y"]));
    values.insert(
        "map".into(),
        serde_json::json!({"k2": 1, "k1": "v", "k10": {"n": 1}}),
    );
    let template = block((0..COUNT).map(|_| {
        let program = statements(random, 0);
        format!("{{{{ tpl {} . | quote }}}}", literal(&program))
    }));
    Generated {
        values: serde_json::Value::Object(values).to_string(),
        template: format!("{template}{{{{ define \"part\" }}}}<{{{{ . }}}}>{{{{ end }}}}"),
        cases: COUNT,
    }
}

fn open(random: &mut Random) -> &'static str {
    random.pick(&["{{ ", "{{ ", "{{- "])
}

fn close(random: &mut Random) -> &'static str {
    random.pick(&[" }}", " }}", " -}}"])
}

fn action(random: &mut Random, body: &str) -> String {
    let (open, close) = (open(random), close(random));
    format!("{open}{body}{close}")
}

fn statements(random: &mut Random, depth: usize) -> String {
    let mut program = String::new();
    for _ in 0..=random.below(3) {
        program.push_str(&plain(random));
        let inner = |random: &mut Random| statements(random, depth + 1);
        let end = |random: &mut Random| action(random, "end");
        match random.below(if depth > 2 { 3 } else { 9 }) {
            0..=2 => {
                let body = pipeline(random);
                program.push_str(&action(random, &body));
            }
            3 => {
                let condition = format!("if {}", pipeline(random));
                program.push_str(&action(random, &condition));
                program.push_str(&inner(random));
                if random.once_in(2) {
                    program.push_str(&action(random, "else"));
                    program.push_str(&inner(random));
                }
                program.push_str(&end(random));
            }
            4 => {
                let source = random.pick(&[
                    "$.Values.list",
                    "$.Values.map",
                    "(until 3)",
                    "(list)",
                    "3",
                    "$.Values.nope",
                ]);
                let head = match random.below(3) {
                    0 => format!("range {source}"),
                    1 => format!("range $v := {source}"),
                    // Two variables over a number would fail.
                    _ if source == "3" => format!("range {source}"),
                    _ => format!("range $k, $v := {source}"),
                };
                program.push_str(&action(random, &head));
                program.push_str("[{{ . }}]");
                if random.once_in(3) {
                    let stop = random.pick(&["break", "continue"]);
                    program.push_str(&format!("{{{{ if . }}}}{{{{ {stop} }}}}{{{{ end }}}}"));
                }
                program.push_str(&plain(random));
                if random.once_in(3) {
                    program.push_str(&action(random, "else"));
                    program.push_str("none");
                }
                program.push_str(&end(random));
            }
            5 => {
                let head = format!("with {}", pipeline(random));
                program.push_str(&action(random, &head));
                program.push_str("({{ . }})");
                program.push_str(&action(random, "else"));
                program.push_str("without");
                program.push_str(&end(random));
            }
            6 => {
                let value = pipeline(random);
                program.push_str(&action(random, &format!("$x := {value}")));
                program.push_str("{{ if true }}{{ $x = list $x 1 }}{{ end }}{{ $x }}");
            }
            7 => {
                let value = pipeline(random);
                program.push_str(&action(random, &format!("template \"part\" ({value})")));
            }
            _ => {
                let value = pipeline(random);
                program.push_str(&action(
                    random,
                    &format!("include \"part\" ({value}) | trim"),
                ));
            }
        }
    }
    program.push_str(&plain(random));
    program
}

fn plain(random: &mut Random) -> String {
    random
        .pick(&[
            "", " ", "\n", "  x ", "\n\n", "text", "a: b\n", "{", "}}", "\t",
        ])
        .to_owned()
}

fn operand(random: &mut Random) -> String {
    match random.below(9) {
        0 => random.below(100).to_string(),
        1 => literal(&text(random)),
        2 => "true".into(),
        3 => format!("$.Values.{}", random.pick(NAMES)),
        4 => "$.Values.nope".into(),
        5 => "$.Release.Name".into(),
        6 => "(list 1 \"two\" nil)".into(),
        7 => "(dict \"b\" 1 \"a\" 2)".into(),
        _ => format!("(index $.Values \"{}\")", random.pick(NAMES)),
    }
}

fn pipeline(random: &mut Random) -> String {
    let one = operand(random);
    let mut pipeline = match random.below(12) {
        0 => format!("default {} {one}", operand(random)),
        1 => format!("and {one} {}", operand(random)),
        2 => format!("or {one} {}", operand(random)),
        3 => format!("not {one}"),
        4 => format!("empty {one}"),
        5 => format!("coalesce {one} {}", operand(random)),
        6 => format!(
            "ternary {one} {} {}",
            operand(random),
            random.pick(&["true", "false"])
        ),
        7 => format!("typeOf {one}"),
        8 => format!("kindOf {one}"),
        9 => format!("list {one} {}", operand(random)),
        10 => format!("dict \"k\" {one}"),
        _ => one,
    };
    if random.once_in(2) {
        pipeline.push_str(random.pick(&[
            " | quote",
            " | toJson",
            " | toYaml",
            " | toString",
            " | typeOf",
            " | squote",
            " | default \"d\"",
            " | print",
            " | printf \"%v\"",
            " | list",
            " | toYaml | nindent 2",
            " | empty",
            " | not",
        ]));
    }
    pipeline
}

//! Templates with a piece too many, too few or in the wrong place: the error and its line and column.

use super::Case;
use crate::random::Random;

const VALUES: &str = "a: 1\nb: {c: [1, 2, 3], d: text}\ne: \"\"\nl: [x, y, z]\nm: {k1: v1, k2: v2}\nt: true\nnone: null\nf: 2.5\n";

const EXPRESSIONS: &[&str] = &[
    ".Values.a",
    ".Values.b.c",
    "$.Values.l",
    "$x",
    ".Values.missing",
    ".Values.missing.deeper",
    "(.Values.b).d",
    "(index .Values.l 1)",
    "\"s\"",
    "`r`",
    "1_000",
    "nil",
    "true",
    "'a'",
    "(list 1 2)",
    "(include \"t\" .)",
    "len .Values.l",
    "not .Values.e",
    "eq .Values.a 1.0",
    "eq 1 2 3",
    ".Values.b.d | upper",
    "printf \"%d-%s\" 1 \"z\"",
    ".Values.l | first",
    "$x.y",
    ".Values.a.b",
    "\"a\".b",
    "(1).x",
    ".Files.Get \"x\"",
    ".Capabilities.KubeVersion.Nope",
    ".Values.t.x",
    "nope",
    ".Chart.Nope",
    ".Release.Nope.x",
    ".Values.none.x",
    "call .Values.a",
    "index .Values.l 9",
    "range",
    "end",
    "break",
    "toYaml .Values.m | nindent 2",
    "tpl \"{{ $.x.y }}\" .",
    "tpl \"{{ include \\\"t\\\" . }}{{ end }}\" .",
    "required \"need it\" .Values.missing",
    "fail \"boom\"",
    "template \"t\" .",
    "template \"nope\"",
    "else",
    "|",
    "a |",
    "(",
    ")",
    "()",
    ".Values..a",
    "\"open",
    "`raw",
    "'c",
    "''",
    "1a",
    "0x",
    "1.2.3",
    "..",
    "@",
    "$x :=",
    "$x, $y := 1",
    "if",
    "with",
    "define",
    "define x",
    "block \"b\"",
    ". .",
    "a.b",
    "$x.y.z",
    "1 | 2",
    "nil | quote",
    "{",
    "\\",
    "a = b",
    "$q = 1",
    "- 1",
    "+1",
    ".5",
    "_x",
    ".Values.é",
    "\"a\nb\"",
    "\"\\q\"",
    "true.x",
    "(1",
    "1)",
    "((.Values).b).c",
    "range $i, $e",
    "break 1",
    "end x",
    "template \"t\" 1 2",
    "}}",
    "|| 1",
    "!",
    "1:2",
    ":=",
    "$z := 1 | $y",
    "if $z := 1",
    "/* c */",
    "nil.x",
];

fn action(random: &mut Random, body: &str) -> String {
    let open = random.pick(&["{{ ", "{{ ", "{{", "{{- ", "{{-"]);
    let close = random.pick(&[" }}", " }}", "}}", " -}}", "-}}"]);
    format!("{open}{body}{close}")
}

fn body(random: &mut Random, depth: usize) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(3) {
        text.push_str(random.pick(&["", "x: 1\n", " y\n", "\t", "  ", "é", "\r\n"]));
        let expression = random.pick(EXPRESSIONS);
        let word = random.pick(&[
            "",
            "",
            "",
            "if ",
            "with ",
            "range ",
            "range $i, $e := ",
            "$x := ",
        ]);
        text.push_str(&action(random, &format!("{word}{expression}")));
        if depth < 2 && matches!(word, "if " | "with " | "range " | "range $i, $e := ") {
            text.push_str(&body(random, depth + 1));
            if random.once_in(3) {
                let word = random.pick(&["else", "else if .Values.a", "else with .Values.b"]);
                text.push_str(&action(random, word));
            }
            if !random.once_in(8) {
                text.push_str(&action(random, "end"));
            }
        }
        text.push_str(random.pick(&["", "", "{{/* c */}}", "{{- /* c\n */ -}}", "{{ /* c */ }}"]));
    }
    text
}

pub(super) fn case(random: &mut Random) -> Case {
    let start = random.pick(&["", "{{ $x := 1 }}{{ $y := list 1 2 }}"]);
    let text = format!("{start}{}", body(random, 0));
    let mut case = Case::new(VALUES, text.clone());
    case.add(
        "templates/_h.tpl",
        "{{- define \"t\" -}}T{{ . | toString | trunc 3 }}{{- end -}}",
    );
    if random.once_in(2) {
        case.add(
            "templates/_b.tpl",
            format!("{{{{ define \"body\" }}}}{text}{{{{ end }}}}"),
        );
        case.files
            .retain(|(path, _)| path != "templates/cases.yaml");
        case.add(
            "templates/cases.yaml",
            "x: {{ include \"body\" . | b64enc }}",
        );
    }
    case
}

//! Any function with any arguments, in any number: what it gives and of which type, or how it fails.

use super::Case;
use crate::random::Random;

/// All that give the same twice and whose text is the same twice.
const FUNCTIONS: &str = "abbrev abbrevboth camelcase cat contains hasPrefix hasSuffix hello indent initials kebabcase lower \
nindent nospace plural quote repeat replace snakecase squote substr swapcase title toString trim trimAll trimPrefix trimSuffix \
trunc untitle upper wrap wrapWith add add1 add1f addf atoi biggest ceil div divf float64 floor int int64 max maxf min minf mod \
mul mulf round seq sub subf toDecimal until untilStep all any append chunk compact concat first has initial join last list \
prepend rest reverse slice sortAlpha split splitList splitn toStrings tuple uniq without mustAppend mustChunk mustCompact \
mustFirst mustHas mustInitial mustLast mustPrepend mustRest mustReverse mustUniq mustWithout deepCopy mustDeepCopy dict dig get \
hasKey merge mustMerge mergeOverwrite mustMergeOverwrite omit pick pluck set unset coalesce deepEqual default empty kindIs \
kindOf ternary typeIs typeIsLike typeOf b32dec b32enc b64dec b64enc mustFromJson toPrettyJson toRawJson regexFind regexFindAll \
regexMatch regexQuoteMeta regexReplaceAll regexReplaceAllLiteral regexSplit mustRegexFind mustRegexFindAll mustRegexMatch \
mustRegexReplaceAll mustRegexSplit durationRound toDate mustToDate adler32sum sha1sum sha256sum sha512sum semver semverCompare \
urlJoin urlParse base clean dir ext isAbs osBase osClean osDir osExt osIsAbs include tpl required toYaml toYamlPretty fromYaml \
fromYamlArray toJson fromJson fromJsonArray mustToDuration durationSeconds durationMilliseconds durationMinutes durationHours \
durationRoundTo durationTruncateTo fail and or not len index call print println printf html js urlquery eq ne lt le gt ge lookup";

const ARGUMENTS: &[&str] = &[
    ".Values.text",
    ".Values.empty",
    ".Values.n",
    ".Values.f",
    ".Values.big",
    ".Values.truth",
    ".Values.none",
    ".Values.missing",
    ".Values.list",
    ".Values.texts",
    ".Values.map",
    ".Values.map.b",
    ".Values.lines",
    ".Values.unicode",
    ".Values.version",
    ".Values.url",
    ".Values.yaml",
    ".Values.date",
    ".Release.Name",
    ".Capabilities.KubeVersion.Minor",
    "\"abc\"",
    "\"\"",
    "\"a,b,c\"",
    "\"-\"",
    "\"%s\"",
    "\"%d|%v\"",
    "\"2006-01-02\"",
    "\"[a-c]+\"",
    "\"(x\"",
    "\"1h30m\"",
    "\"v1.2.3\"",
    "\">=1.0.0\"",
    "\"$1\"",
    "\"{{ .n }}\"",
    "\"{{ bad\"",
    "\"part\"",
    "\"a b\\tc\\n\"",
    "`raw`",
    "0",
    "1",
    "2",
    "-1",
    "3",
    "10",
    "1.5",
    "-2.5",
    "1e3",
    "0x10",
    "'a'",
    "true",
    "false",
    "nil",
    "(list)",
    "(list 1 2 3)",
    "(list \"a\" \"b\" nil)",
    "(dict)",
    "(dict \"a\" 1)",
    "(dict \"a\" (dict \"b\" 2))",
    "(splitList \",\" \"a,b\")",
    "(int64 5)",
    "(float64 5)",
    "(until 3)",
    "(semver \"1.2.3\")",
    "(toDate \"2006-01-02\" \"2024-02-29\")",
    "(atoi \"7\")",
    "(urlParse .Values.url)",
];

const VALUES: &str = "text: hello world\nempty: \"\"\nn: 5\nf: 2.5\nbig: 12345678901234567890\ntruth: true\nnone: null\n\
list: [1, two, 3.5, null, true, [4], {k: v}]\ntexts: [b, a, c, a]\nmap: {a: 1, b: {c: d, e: [1, 2]}, z: null}\n\
lines: \"one\\ntwo  \\n\\n  indented\\n\"\nunicode: \"h\\u00e9llo \\u65e5\\u672c \\U0001F600\"\nversion: v1.2.3-beta.1+meta\n\
url: \"https://user:p%20w@example.com:8080/a/b?x=1&y=2#frag\"\nyaml: \"a: 1\\nb: [x, y]\\n\"\ndate: \"2024-02-29\"\n";

fn call(random: &mut Random, depth: usize) -> String {
    let functions: Vec<&str> = FUNCTIONS.split_whitespace().collect();
    let name = random.pick(&functions);
    let mut arguments: Vec<String> = (0..random.below(5))
        .map(|_| {
            if depth == 0 && random.once_in(6) {
                format!("({})", call(random, 1))
            } else {
                random.pick(ARGUMENTS).to_owned()
            }
        })
        .collect();
    let piped = if random.once_in(4) {
        arguments.pop()
    } else {
        None
    };
    let mut text = piped
        .filter(|piped| piped != "nil")
        .map_or_else(String::new, |piped| format!("{piped} | "));
    text.push_str(name);
    for argument in arguments {
        text.push(' ');
        text.push_str(&argument);
    }
    text
}

pub(super) fn case(random: &mut Random) -> Case {
    let call = call(random, 0);
    let template = match random.below(8) {
        0 => format!("x: {{{{ if {call} }}}}yes{{{{ else }}}}no{{{{ end }}}}"),
        1 => format!(
            "x: {{{{ with {call} }}}}{{{{ . | toString | b64enc }}}}{{{{ else }}}}no{{{{ end }}}}"
        ),
        2 => format!(
            "x:\n{{{{ range $i, $e := {call} }}}}- {{{{ $i }}}} {{{{ $e | quote }}}}\n{{{{ else }}}}none{{{{ end }}}}"
        ),
        _ => format!("{{{{ $r := {call} }}}}x: {{{{ printf \"%T|%v|\" $r $r | b64enc }}}}"),
    };
    let mut case = Case::new(VALUES, template);
    case.add(
        "templates/_part.tpl",
        "{{ define \"part\" }}<{{ . | toString }}>{{ end }}",
    );
    case
}

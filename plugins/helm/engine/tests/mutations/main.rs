//! Every target over a corpus and 20,000 mutations of it, always the same ones.
//!
//! A panic, an endless loop or too much memory fails the test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod targets;

use targets::Target;

const MUTATIONS: u64 = 20_000;
/// Longer inputs cost time, and show nothing that shorter ones do not.
const MAX_BYTES: usize = 1_024;

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % bound.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(32) + 1)
    }
}

/// A few random edits: bits, bytes, cuts, copies, words, and the tail of another input.
fn mutate(random: &mut Random, corpus: &[&[u8]], words: &[&str]) -> Vec<u8> {
    let mut bytes = random.pick(corpus).to_vec();
    for _ in 0..=random.below(4) {
        let range = random.range(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            1 => {
                let byte = u8::try_from(random.below(256)).unwrap();
                bytes.splice(range.start..range.start, [byte]);
            }
            2 => drop(bytes.drain(range)),
            3 => {
                let copy = bytes[range.clone()].repeat(1 + random.below(4));
                bytes.splice(range.end..range.end, copy);
            }
            4 => {
                let other = random.pick(corpus);
                let from = random.below(other.len());
                bytes.truncate(range.start);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let word = random.pick(words).bytes();
                let end = if random.below(2) == 0 {
                    range.start
                } else {
                    range.end
                };
                bytes.splice(range.start..end, word);
            }
        }
    }
    bytes
}

fn run(target: Target, corpus: &[&[u8]], words: &[&str], max_bytes: usize) {
    for input in corpus {
        target(input);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..MUTATIONS {
        let mut input = mutate(&mut random, corpus, words);
        input.truncate(max_bytes);
        target(&input);
    }
}

fn run_texts(target: Target, corpus: &[&str], words: &[&str]) {
    let corpus: Vec<&[u8]> = corpus.iter().map(|text| text.as_bytes()).collect();
    run(target, &corpus, words, MAX_BYTES);
}

const WORDS: &[&str] = &[
    "0",
    "-1",
    "9223372036854775807",
    "1e999",
    "0x",
    "_",
    ".",
    "..",
    "\"",
    "'",
    "\n",
    "\r\n",
    "\t",
    "  ",
    "\0",
    "é",
    "\u{1F600}",
    "\u{feff}",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "-",
    "null",
    "true",
    "~",
    "*",
    "&a",
    "\\",
];

#[test]
fn templates() {
    let words: Vec<&str> = WORDS
        .iter()
        .copied()
        .chain([
            "{{",
            "}}",
            "{{-",
            "-}}",
            "(",
            ")",
            "|",
            "$",
            "$x",
            ":=",
            "=",
            ".s",
            ".m.k",
            "nil",
            "end",
            "else",
            "if",
            "range",
            "with",
            "define",
            "block",
            "template",
            "break",
            "continue",
            "/*",
            "*/",
            "`",
            "include \"x\"",
            "tpl",
            "printf \"%v\"",
            "%08.3f",
            "%[2]*d",
            "until",
            "regexReplaceAll",
            "toYaml",
            "fromYaml",
            "splitList",
            "merge",
            "dict",
            "list",
            "slice",
            "index",
            "substr",
            "trunc",
            "nindent",
            "semverCompare",
            "date",
            "dig",
            "urlParse",
            "wrap",
            "b64dec",
            "repeat",
            "seq",
            "round",
            "toDate",
            "fromJson",
            "toToml",
            "fromToml",
            "chunk",
            "splitn",
            "abbrevboth",
            "decryptAES",
            "b32dec",
            "duration",
        ])
        .collect();
    run_texts(
        targets::template,
        &[
            "a {{- /* c */ -}} {{ if eq .s \"x\" }}y{{ else if .n }}{{ .n }}{{ else }}z{{ end }}",
            "{{ define \"x\" }}{{ . | quote }}{{ end }}{{ include \"x\" .s | nindent 2 }}{{ template \"x\" .m }}",
            "{{ range $i, $v := .l }}{{ if $i }}{{ continue }}{{ end }}{{ $v }}{{ else }}none{{ end }}",
            "{{ with $d := dict \"a\" (list 1 2.5 nil) }}{{ toYaml $d }}{{ toJson $d }}{{ dig \"a\" 1 $d }}{{ end }}",
            "{{ printf \"%-5s|%05d|%+.3e|%q|%x|%v\" .s 42 1.5 \"q\" .s .m }}{{ tpl \"{{ .s }}\" . }}",
            "{{ regexReplaceAll \"(a)(b*)\" .s \"${2}$1\" }}{{ regexSplit \"x+\" .s -1 }}{{ regexFindAll \"t\" .s 2 }}",
            "{{ date \"2006-01-02\" (toDate \"2006\" \"2020\") }}{{ semverCompare \"^1.2\" \"1.3.0-a\" }}{{ duration 90 }}",
            "{{ substr 0 2 .s }}{{ trunc -2 .s }}{{ slice .l 0 1 }}{{ splitn \"e\" 2 .s }}{{ wrapWith 2 \"-\" .s }}",
            "{{ fromYaml \"a: [1, {b: c}]\" }}{{ fromJson \"{}\" }}{{ fromToml \"a = 1\" }}{{ urlParse \"http://u@h:1/p?q#f\" }}",
            "{{ $x := 0 }}{{ range until 5 }}{{ $x = add $x . }}{{ end }}{{ $x }}{{ index .l 1 }}{{ (index .m \"k\") }}",
            "{{ merge (dict \"a\" (dict)) (deepCopy .m) .m }}{{ without .l \"a\" }}{{ chunk 1 .l }}{{ toToml .m }}",
        ],
        &words,
    );
}

#[test]
fn yaml_and_json() {
    let words: Vec<&str> = WORDS
        .iter()
        .copied()
        .chain([
            "- ",
            ": ",
            "? ",
            "|",
            ">",
            "|2-",
            ">+",
            "!!str ",
            "!!binary ",
            "<<: ",
            "&a ",
            "*a",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "# c\n",
            "0777",
            "0b1",
            "1:20",
            "2020-01-01",
            "yes",
            "\\u00e9",
            "\\x",
            "@",
            "`",
            "\u{85}",
        ])
        .collect();
    run_texts(
        targets::yaml,
        &[
            "a: 1\nb: [x, 'y', \"z\\n\"]\nc: {d: e, f: ~}\n",
            "base: &base\n  k: v\nuse:\n  <<: *base\n  list: [*base, *base]\n",
            "text: |\n  line\n   more\n\nfold: >-\n  a\n  b\n\n  c\nkeep: |2+\n    x\n\n",
            "? complex\n: value\n? [a]\n- x\n",
            "%YAML 1.1\n---\n!!map {a: !!int \"1\", b: !!binary aGk=}\n...\n---\nb\n",
            "n: [0x1F, 0o17, 017, 1_000, .5, -.inf, .nan, 1e3, 2020-01-01, 1:20, yes, off]\n",
            "{\"a\": [1, 2.5e3, true, null, \"\\u00e9\\ud83d\\ude00\"], \"b\": {}}",
            "# only\n- - - a\n    - b\n  - c: d\n    e: f\n",
        ],
        &words,
    );
}

/// A head of 512 bytes and the content in whole blocks.
fn entry(name: &str, sort: u8, data: &[u8]) -> Vec<u8> {
    let mut head = [0_u8; 512];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[100..107].copy_from_slice(b"0000644");
    head[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
    head[148..156].fill(b' ');
    head[156] = sort;
    head[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut out = head.to_vec();
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

#[test]
fn archives() {
    use std::io::Write;
    let chart =
        b"apiVersion: v2\nname: c\nversion: 0.1.0\ndependencies: [{name: d, version: '*'}]\n";
    let plain = [
        entry("c/Chart.yaml", b'0', chart),
        entry("c/values.yaml", b'0', b"a: {b: 1}\n"),
        entry("c/templates/a.yaml", b'0', b"a: {{ .Values.a }}\n"),
        entry("c/charts/d/Chart.yaml", b'0', b"name: d\nversion: 1.0.0\n"),
    ]
    .concat();
    let long = [
        entry("x", b'x', b"26 path=c/templates/b.txt\n14 size=99999\n"),
        entry("c/y", b'0', b"y"),
        entry("c/Chart.yaml", b'0', chart),
        entry("././@LongLink", b'L', b"c/templates/long\0"),
        entry("c/link", b'2', b""),
    ]
    .concat();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&plain).unwrap();
    let packed = packed.finish().unwrap();
    run(targets::archive, &[&plain, &long, &packed], WORDS, 4_096);
}

#[test]
fn schemas() {
    let words: Vec<&str> = WORDS
        .iter()
        .copied()
        .chain([
            "\"$ref\":\"#\"",
            "\"$ref\":\"http://h/s\"",
            "\"pattern\":\"(a+)+$\"",
            "\"not\":{}",
            "\"type\":\"object\"",
            "\"minimum\":1e308",
            "\"multipleOf\":0",
            "\"maxLength\":-1",
            "\"format\":\"regex\"",
            "\"allOf\":[{}]",
            "\"$id\":\"x\"",
            "\"$anchor\":\"a\"",
            "\"$dynamicRef\":\"#a\"",
            "draft-04",
            "draft-07",
            "2020-12",
        ])
        .collect();
    run_texts(
        targets::schema,
        &[
            r#"{"type":"object","required":["a"],"properties":{"a":{"type":"string"},"b":{"pattern":"^x+$"}}}"#,
            r##"{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"d":{"$ref":"#/definitions/e"},"e":{"minimum":5}},"properties":{"a":{"$ref":"#/definitions/d"}}}"##,
            r##"{"$defs":{"t":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/t"}]}},"properties":{"m":{"$ref":"#/$defs/t"}}}"##,
            r#"{"properties":{"l":{"items":{"enum":[1,"x"]},"uniqueItems":true,"maxItems":2}},"additionalProperties":false}"#,
            r#"{"if":{"properties":{"a":{"const":1}}},"then":{"required":["z"]},"patternProperties":{"^.$":{"oneOf":[true,false]}}}"#,
        ],
        &words,
    );
}

#[test]
fn set_values() {
    run_texts(
        targets::set_values,
        &[
            "a=1,b.c=x,d[0].e={1,two,true}",
            "a\\.b=c\\,d,e[65536]=1,f=null",
            "x={\"a\":[1,2]},y=[1,{\"b\":2}]",
            "a[0][1][2]=x,a[1]=,b=",
        ],
        &[
            "=",
            ",",
            ".",
            "[",
            "]",
            "[99999999999]",
            "[-1]",
            "{",
            "}",
            "\\",
            "null",
            "0x1",
            "é",
            "\"",
            "[0]",
            "a.a.a.a.",
        ],
    );
}

#[test]
fn versions() {
    run_texts(
        targets::version,
        &[
            ">=1.2.3 <2 || ^3.x\n1.9.0",
            "~1.2-0, !=1.2.5\nv1.2.6-rc.1+b.2",
            "1.2 - 2.3.4\n2.0",
            "*\n0.0.0-0",
        ],
        &[
            "<",
            ">",
            "=",
            "~",
            "^",
            "!",
            "||",
            " - ",
            ",",
            ".",
            "x",
            "*",
            "-",
            "+",
            "v",
            "0",
            "18446744073709551616",
            "\n",
            "é",
        ],
    );
}

#[test]
fn dates() {
    run_texts(
        targets::date,
        &[
            "2006-01-02T15:04:05.000Z07:00\n2026-03-04T05:06:07.123+02:00",
            "Mon Jan _2 15:04:05 MST 2006\nTue Feb  3 04:05:06 CET 2026",
            "__2 002 .999999999 PM -07 Z0700\n 32 032 .5 AM +01 Z",
            "January Monday 3:4:5pm 06\nMay Friday 1:2:3am 99",
        ],
        &[
            "2006",
            "01",
            "1",
            "_2",
            "__2",
            "Jan",
            "MST",
            "-07:00:00",
            "Z07",
            ".000",
            ",999",
            "PM",
            "99",
            "-",
            "\n",
            "é",
            "GMT+24",
        ],
    );
}

//! Charts with charts inside: conditions, tags, aliases, imported values, globals, nulls, and what users set.

use super::Case;
use crate::random::Random;

const PROBE: &str = "kind: ConfigMap\ndata:\n  values: {{ toJson .Values | quote }}\n  name: {{ .Chart.Name }} {{ .Chart.IsRoot }} {{ .Template.Name }}\n  below: {{ keys .Subcharts | sortAlpha | join \",\" }}\n";

fn values(random: &mut Random, depth: usize) -> String {
    let mut text = String::new();
    for key in ["a", "b", "c", "enabled", "global", "x"] {
        if random.once_in(2) {
            continue;
        }
        let indent = "  ".repeat(depth);
        if depth < 3 && random.once_in(3) {
            let below = values(random, depth + 1);
            let below = if below.is_empty() {
                " {}\n".to_owned()
            } else {
                format!("\n{below}")
            };
            text.push_str(&format!("{indent}{key}:{below}"));
            continue;
        }
        let scalar = random.pick(&[
            "1",
            "\"s\"",
            "true",
            "false",
            "null",
            "~",
            "2.5",
            "\"\"",
            "[]",
            "{}",
            "[1, 2]",
            "1e3",
            "012",
            "{a: null}",
            "[null]",
            "yes",
        ]);
        text.push_str(&format!("{indent}{key}: {scalar}\n"));
    }
    text
}

fn dependency(random: &mut Random, name: &str) -> String {
    let version = random.pick(&["0.1.0", "*", "^0.1", ">=0.0.1", "~0.1.0", "0.x", "1.x", ""]);
    let mut text = format!("- name: {name}\n  version: \"{version}\"\n");
    if random.once_in(2) {
        let path = random.pick(&[
            "enabled",
            "x.enabled",
            "global.enabled",
            "a.b",
            "one.enabled,global.enabled",
            "two.enabled",
        ]);
        text.push_str(&format!("  condition: {path}\n"));
    }
    if random.once_in(3) {
        text.push_str(&format!(
            "  tags: [{}]\n",
            random.pick(&["t1", "t2", "t1, t2", "t3"])
        ));
    }
    if random.once_in(4) {
        text.push_str(&format!(
            "  alias: {}\n",
            random.pick(&["other", "two", "third"])
        ));
    }
    if random.once_in(2) {
        let import = random.pick(&[
            "data",
            "{child: a, parent: imported}",
            "{child: x, parent: a}",
            "{child: global, parent: .}",
            "{child: exports.data, parent: deep.er}",
            "{child: ., parent: x}",
            "{child: missing, parent: b}",
        ]);
        text.push_str(&format!("  import-values:\n  - {import}\n"));
    }
    text
}

fn chart(random: &mut Random, path: &str, name: &str, depth: usize, case: &mut Case) {
    let names = ["one", "two", "three"];
    let below: Vec<&str> = names
        .into_iter()
        .filter(|_| depth < 2 && !random.once_in(2 + depth))
        .collect();
    let mut head = format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n");
    if depth > 0 && random.once_in(12) {
        head.push_str("type: library\n");
    }
    if !below.is_empty() && !random.once_in(6) {
        head.push_str("dependencies:\n");
        for name in below
            .iter()
            .filter(|_| !random.once_in(5))
            .collect::<Vec<_>>()
        {
            head.push_str(&dependency(random, name));
        }
    }
    let mut text = values(random, 0);
    if random.once_in(2) {
        let truth = random.pick(&["true", "false", "null"]);
        text.push_str(&format!("tags: {{t1: {truth}, t2: false}}\n"));
    }
    if random.once_in(2) {
        text.push_str("exports:\n  data:\n    a: exported\n    n: null\n");
    }
    for name in &below {
        let inner = values(random, 1);
        if !inner.is_empty() && random.once_in(2) {
            text.push_str(&format!("{name}:\n{inner}"));
        }
    }
    case.add(format!("{path}Chart.yaml"), head);
    case.add(format!("{path}values.yaml"), text);
    case.add(format!("{path}templates/probe.yaml"), PROBE);
    for name in below {
        chart(
            random,
            &format!("{path}charts/{name}/"),
            name,
            depth + 1,
            case,
        );
    }
}

pub(super) fn case(random: &mut Random) -> Case {
    let mut case = Case::default();
    chart(random, "", "generated", 0, &mut case);
    for _ in 0..random.below(3) {
        let set = random.pick(&[
            "one.enabled=true",
            "one.enabled=false",
            "two.a=null",
            "global.a=5",
            "tags.t1=true",
            "tags.t1=false",
            "a.b=1",
            "one=null",
            "x={1,2}",
            "one.global.x=9",
            "global.enabled=false",
            "other.enabled=true",
            "c=",
            "b[1]=2",
            "global=null",
            "one.two.enabled=true",
            "imported.b=null",
        ]);
        case.words.extend(["--set".to_owned(), set.to_owned()]);
    }
    case
}

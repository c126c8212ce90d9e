//! What templates give: documents, separators, hooks, and what is no object at all.

use super::Case;
use crate::random::Random;

const KINDS: &[&str] = &[
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "Secret",
    "ConfigMap",
    "Service",
    "Deployment",
    "Job",
    "Ingress",
    "APIService",
    "Own",
    "own",
    "CustomResourceDefinition",
    "Role",
    "StatefulSet",
];

const ODD: &[&str] = &[
    "# a comment\n",
    "",
    "   \n",
    "\t\n",
    "null\n",
    "{}\n",
    "[]\n",
    "5\n",
    "text\n",
    "- a\n",
    "a: b: c\n",
    "%YAML 1.1\n",
    "...\n",
    "kind: 5\n",
    "kind: [a]\n",
    "kind: null\n",
    "apiVersion: 1\n",
    "metadata: 5\n",
    "metadata: {name: 5}\n",
    "metadata: {annotations: {a: 5}}\n",
    "metadata: {annotations: [a]}\n",
    "metadata: {annotations: {a: null}}\n",
    "KIND: Up\nKind: Other\n",
    "kind: a\nkind: b\n",
    "a: &x 1\nb: *x\nkind: K\n",
    "a: *nope\n",
    "kind: K\n\tx: y\n",
    "kind: K\n\"a\n",
    "kind: !!str 5\n",
    "? a\n: b\n",
    "<<: {kind: M}\n",
    "a: @b\n",
    "a: `b`\n",
    "- - a\n -b\n",
    "a:\n- b\n c: d\n",
    "a: \"\\q\"\n",
    "a: 'b\n",
    "a: |\n  x\n y\n",
    "kind: 0x10\n",
    "kind: yes\n",
    "kind: 2020-01-01\n",
    "kind: Pod\r\nx: y\r\n",
];

fn document(random: &mut Random) -> String {
    if random.once_in(14) {
        return random.pick(ODD).to_owned();
    }
    let (kind, name) = (random.pick(KINDS), random.pick(&["a", "b", "c", "z-1"]));
    let mut text = format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n");
    if random.once_in(3) {
        let hook = random.pick(&[
            "pre-install",
            "post-install,post-upgrade",
            "\"pre-install, test\"",
            "test-success",
            "PRE-INSTALL",
            "crd-install",
            "\"\"",
            "pre-install,",
            "post-delete",
        ]);
        text.push_str(&format!("  annotations:\n    \"helm.sh/hook\": {hook}\n"));
        if random.once_in(2) {
            let weight = random.pick(&[
                "\"1\"", "\"-5\"", "\"x\"", "\"+3\"", "\" 2\"", "\"0x1\"", "\"2.5\"",
            ]);
            text.push_str(&format!("    \"helm.sh/hook-weight\": {weight}\n"));
        }
    }
    text.push_str(random.pick(&[
        "",
        "",
        "# tail\n",
        "\n\n",
        "data: |\n  ---\n  x\n",
        "data: |\n  a\n\n\n",
        "x: \"---\"\n",
    ]));
    format!(
        "{}{text}",
        random.pick(&["", "", "# head\n", "\n\n", "  \n"])
    )
}

pub(super) fn case(random: &mut Random) -> Case {
    let mut case = Case::new("{}\n", "kind: First\n".to_owned());
    for name in ["a.yaml", "b.txt", "_c.yaml", "d/e.yml", "NOTES.txt"] {
        if random.once_in(2) {
            continue;
        }
        let mut text = random
            .pick(&[
                "",
                "",
                "---\n",
                "\n---\n",
                "--- \n",
                "---\t\n",
                "--- # c\n",
                "----\n",
                " ---\n",
                "\r\n",
            ])
            .to_owned();
        for _ in 0..=random.below(3) {
            text.push_str(&document(random));
            text.push_str(random.pick(&[
                "---\n", "---\n", "\n---\n", "--- \n", "---", "---\r\n", "----\n",
            ]));
        }
        if random.once_in(8) {
            text = text.replace('\n', "\r\n");
        }
        case.add(format!("templates/{name}"), text);
    }
    case
}

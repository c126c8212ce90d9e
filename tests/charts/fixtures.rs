//! Our own charts, which together use every part of the language, every function and every feature of charts.
//!
//! `tests/fixtures/charts/cases.json` lists the cases; `cargo xtask parity -- --write-goldens` records what the real
//! Helm makes of them.

use std::fs;
use std::path::{Path, PathBuf};

use optikon_tests::charts::render;
use serde_json::Value;

use crate::cases::{difference, error_of, run_all};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/charts")
}

/// The words after `helm template NAME CHART`. A flag that names a file of the fixtures does so relative to their folder.
pub(crate) fn words(root: &Path, case: &Value) -> Vec<String> {
    let flags = case["args"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    flags
        .map(|flag| flag.replace("@/", &format!("{}/", root.display())))
        .collect()
}

fn check(root: &Path, case: &Value) -> Option<String> {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let output = render("rel", &root.join(text("chart")), &words(root, case)).unwrap();
    let golden = root.join("../../golden/charts").join(text("golden"));
    let wanted = fs::read_to_string(&golden).unwrap();
    let got = if output.exit_code == 0 {
        output.stdout.as_str()
    } else {
        error_of(&output.stderr)
    };
    let wanted = wanted.replace("@/", &format!("{}/", root.display()));
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let compared = if case["first_line"] == true {
        difference(&first(got), &first(&wanted), &[])
    } else {
        difference(got, &wanted, &[])
    };
    compared.map(|complaint| format!("{} {}: {complaint}", text("chart"), text("case")))
}

#[test]
fn our_own_charts_render_byte_for_byte() {
    let root = folder();
    let index = fs::read_to_string(root.join("cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&index).unwrap();
    let complaints = run_all(&cases, |case| check(&root, case));
    println!(
        "charts: {} cases of our own ran, {} differ",
        cases.len(),
        complaints.len()
    );
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

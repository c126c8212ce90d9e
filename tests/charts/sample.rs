//! The public sample: some 150 charts with about 300 outputs of the real Helm.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use optikon_tests::charts::render;
use serde_json::Value;

use crate::cases::{difference, error_of, run_all};

/// Where the sample lies: `OPTIKON_CHART_SAMPLES`, or beside the project.
pub(crate) fn folder() -> PathBuf {
    match env::var_os("OPTIKON_CHART_SAMPLES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/charts"),
    }
}

/// The words after `helm template NAME CHART`.
pub(crate) fn words(root: &Path, case: &Value) -> Vec<String> {
    let mut words = vec!["-n".to_owned(), "ns".to_owned()];
    if let Some(values) = case["values"].as_str() {
        let file = root.join("golden").join(values);
        words.extend(["-f".to_owned(), file.display().to_string()]);
    }
    let flags = case["args"].as_array().into_iter().flatten();
    words.extend(flags.filter_map(|flag| flag.as_str().map(str::to_owned)));
    words
}

/// Numbers of the lines that differ between two runs of the real Helm.
pub(crate) fn varying(case: &Value) -> Vec<u64> {
    let numbers = case["varying_lines"].as_array().into_iter().flatten();
    numbers.filter_map(Value::as_u64).collect()
}

fn check(root: &Path, case: &Value) -> Option<String> {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let output = render("rel", &root.join(text("chart")), &words(root, case)).unwrap();
    let wanted = fs::read_to_string(root.join("golden").join(text("golden"))).unwrap();
    let varying = varying(case);
    let complaint = if case["ok"] == true {
        if output.exit_code == 0 {
            // The recorded outputs have plain line ends, whatever the templates had.
            difference(&output.stdout.replace("\r\n", "\n"), &wanted, &varying)
        } else {
            Some(error_of(&output.stderr).to_owned())
        }
    } else {
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        difference(&first(error_of(&output.stderr)), &first(&wanted), &[])
    };
    complaint.map(|complaint| format!("{} {}: {complaint}", text("chart"), text("case")))
}

#[test]
fn the_public_sample_renders_byte_for_byte() {
    let root = folder();
    let index = root.join("golden/cases.json");
    let Ok(index) = fs::read_to_string(&index) else {
        println!(
            "charts: 0 cases of the public sample ran, {} does not exist",
            index.display()
        );
        return;
    };
    let cases: Vec<Value> = serde_json::from_str(&index).unwrap();
    assert!(!cases.is_empty());
    let complaints = run_all(&cases, |case| check(&root, case));
    println!(
        "charts: {} cases of the public sample ran, {} differ",
        cases.len(),
        complaints.len()
    );
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

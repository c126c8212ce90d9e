//! The committed goldens of our own charts against the real Helm.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// Compares every golden with what Helm prints now, or records it; gives the number that differ.
pub(crate) fn check(binary: &Path, is_recording: bool) -> Result<usize> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = tests.join("fixtures/charts");
    let index = fixtures.join("cases.json");
    let index = fs::read_to_string(&index).with_context(|| format!("read {}", index.display()))?;
    let cases: Vec<Value> = serde_json::from_str(&index)?;
    let place = format!("{}/", fixtures.display());
    let mut differing = 0;
    for case in &cases {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let flags = case["args"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let words: Vec<String> = flags.map(|flag| flag.replace("@/", &place)).collect();
        let printed =
            crate::helm(binary, &fixtures.join(text("chart")), &words)?.replace(&place, "@/");
        let golden = tests.join("golden/charts").join(text("golden"));
        if is_recording {
            fs::create_dir_all(golden.parent().unwrap_or(tests))?;
            fs::write(&golden, printed)?;
        } else if fs::read_to_string(&golden).ok().as_deref() != Some(&printed) {
            println!("  {} is no longer what Helm prints", golden.display());
            differing += 1;
        }
    }
    let done = if is_recording {
        "recorded".to_owned()
    } else {
        format!("{differing} differences")
    };
    println!("{:<12} {:>6} cases, {done}", "goldens", cases.len());
    Ok(differing)
}

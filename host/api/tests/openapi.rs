//! The OpenAPI document is what clients build on: a change of it is seen, and wanted.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

use std::{collections::BTreeSet, fs, path::Path};

use optikon_api::{ENDPOINTS, openapi_document};

const GOLDEN: &str = "../../tests/golden/openapi.json";

/// Set it to anything to write the golden file anew.
const BLESS: &str = "OPTIKON_BLESS";

#[test]
fn the_document_is_the_golden_one() {
    let mut made = serde_json::to_string_pretty(&openapi_document()).unwrap();
    made.push('\n');
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os(BLESS).is_some() {
        fs::write(&file, &made).unwrap();
        return;
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    if made != golden {
        let line = made
            .lines()
            .zip(golden.lines())
            .position(|(made, golden)| made != golden)
            .unwrap_or_else(|| made.lines().count().min(golden.lines().count()));
        panic!(
            "the document differs from tests/golden/openapi.json at line {}: {}\nif that is wanted, run \
             `{BLESS}=1 cargo test -p optikon-api --test openapi`",
            line + 1,
            made.lines().nth(line).unwrap_or("(ends)")
        );
    }
}

#[test]
fn the_document_has_every_endpoint_and_no_other() {
    let document = serde_json::to_value(openapi_document()).unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    // The pages that show the document are not in it.
    let served: BTreeSet<String> = ENDPOINTS
        .iter()
        .filter(|(_, path, _)| !path.starts_with("/docs") && *path != "/openapi.json")
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(described, served);
}

//! The public sample of charts, on a current API server: what it takes, and what it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use optikon_xtask::folders::Folders;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{Bed, bed, change, finished, merged, request, upload};

/// Charts at work at once.
const AT_ONCE: usize = 4;

fn root() -> PathBuf {
    match std::env::var_os("OPTIKON_CHART_SAMPLES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/charts"),
    }
}

/// Every archive of the sample, by a name that is a release's; none where there is no sample.
fn all() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for folder in ["argo", "ingress", "podinfo", "stable"] {
        for entry in fs::read_dir(root().join(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "tgz") {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                found.push((name, path));
            }
        }
    }
    found.sort();
    found
}

fn golden_file() -> PathBuf {
    Folders::here()
        .root
        .join("tests/golden/charts-refused.json")
}

/// Charts of the sample that are not taken, and why: mostly kinds that current API servers have dropped.
fn golden() -> BTreeMap<String, String> {
    serde_json::from_str(&fs::read_to_string(golden_file()).unwrap()).unwrap()
}

/// The first charts of the sample that a current API server takes.
pub(crate) fn some(count: usize) -> Vec<(String, PathBuf)> {
    let refused = golden();
    let taken = all()
        .into_iter()
        .filter(|(name, _)| !refused.contains_key(name));
    taken.take(count).collect()
}

/// The same, without those whose templates roll dice or look at the clock: two renderings of them differ.
pub(crate) fn steady(count: usize) -> Vec<(String, PathBuf)> {
    let cases =
        fs::read_to_string(root().join("golden/cases.json")).unwrap_or_else(|_| "[]".into());
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    let is_steady = |path: &Path| {
        let mut cases = cases.iter().filter(|case| {
            case["chart"]
                .as_str()
                .is_some_and(|chart| path.ends_with(chart))
        });
        cases.all(|case| case["varying_lines"].as_array().is_none_or(Vec::is_empty))
    };
    let steady = some(usize::MAX)
        .into_iter()
        .filter(|(_, path)| is_steady(path));
    steady.take(count).collect()
}

/// Installs, upgrades, rolls back and removes a chart. The reason when the server or the engine refuses it at once.
async fn live(bed: &Bed, name: &str, file: &Path) -> Result<(), String> {
    let cluster = "bare-2";
    let archive = fs::read(file).unwrap();
    let digest = upload(&bed.gateway, archive)
        .await
        .map_err(|e| format!("{e:#}"))?;
    let namespace = format!("sample-{name}");
    let more = json!({"options": {"wait": false, "noHooks": true}});
    let body = merged(request(&digest, name, &namespace, &[cluster]), more);
    let client = bed.gateway.client().unwrap();
    let begun = client.json(Method::POST, "/charts", &body).await.unwrap();
    if begun.status == 422 {
        let problem = begun.json().unwrap();
        return Err(problem["detail"].as_str().unwrap().to_owned());
    }
    let begun = begun.success().unwrap();
    let installed = finished(&bed.gateway, &begun).await.unwrap();
    if installed["state"] != "succeeded" {
        return Err(installed["targets"][0]["message"]
            .as_str()
            .unwrap()
            .to_owned());
    }
    let path = format!("/charts/{name}");
    let again = merged(body, json!({"options": {"force": true}}));
    let upgraded = change(&bed.gateway, Method::PUT, &path, &again)
        .await
        .unwrap_or_else(|e| panic!("upgrade of {name}: {e:#}"));
    assert_eq!(
        upgraded["state"], "succeeded",
        "upgrade of {name}: {upgraded:#}"
    );
    let act = json!({"namespace": namespace, "targets": {"names": [cluster]}, "options": {"noHooks": true}});
    let back = change(
        &bed.gateway,
        Method::POST,
        &format!("{path}/rollback"),
        &act,
    )
    .await
    .unwrap_or_else(|e| panic!("rollback of {name}: {e:#}"));
    assert_eq!(back["state"], "succeeded", "rollback of {name}: {back:#}");
    // No Job of a hook would ever end on a server without controllers.
    let gone = format!("{path}?namespace={namespace}&clusters={cluster}&noHooks=true");
    let gone = change(&bed.gateway, Method::DELETE, &gone, &Value::Null)
        .await
        .unwrap_or_else(|e| panic!("removal of {name}: {e:#}"));
    assert_eq!(gone["state"], "succeeded", "removal of {name}: {gone:#}");
    Ok(())
}

async fn run(charts: Vec<(String, PathBuf)>) -> BTreeMap<String, String> {
    let bed = bed().await;
    bed.bare().await;
    let count = charts.len();
    let lived = futures::stream::iter(charts)
        .map(|(name, file)| async move {
            let outcome = live(bed, &name, &file).await;
            (name, outcome)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let refused: BTreeMap<_, _> = lived
        .into_iter()
        .filter_map(|(name, outcome)| Some((name, outcome.err()?)))
        .collect();
    println!("{count} charts of the sample, {} refused", refused.len());
    refused
}

/// What is refused here, the real Helm does not get in either.
async fn helm_refuses(charts: &[(String, PathBuf)]) {
    let bed = bed().await;
    let cluster = &bed.bare().await[2];
    let taken = futures::stream::iter(charts)
        .map(|(name, file)| async move {
            let namespace = format!("helms-{name}");
            let install = ["install", name, file.to_str().unwrap(), "-n", &namespace];
            let install = [&install[..], &["--create-namespace", "--no-hooks"]].concat();
            bed.helm(cluster, &install).await.ok().map(|_| name)
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |taken| taken);
    let taken: Vec<_> = taken.collect().await;
    assert!(taken.is_empty(), "helm installs {taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_the_sample_are_installed_upgraded_rolled_back_and_removed() {
    let refused = golden();
    let mut charts = all();
    let is_full = std::env::var_os("OPTIKON_TEST_FULL").is_some();
    if !is_full {
        let taken = some(20);
        charts.retain(|chart| refused.contains_key(&chart.0) || taken.contains(chart));
    }
    if charts.is_empty() {
        println!("0 charts of the sample ran, {} is empty", root().display());
        return;
    }
    assert_eq!(run(charts.clone()).await, refused);
    if is_full {
        charts.retain(|(name, _)| refused.contains_key(name));
        helm_refuses(&charts).await;
    }
}

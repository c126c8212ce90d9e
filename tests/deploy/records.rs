//! What is written down of a release, beside what the real Helm writes of the same chart.

use std::fs;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{Bed, bed, change, merged, object, only, request, upload};
use crate::sample;

/// The record in a release's Secret.
pub(crate) fn decode(secret: &Value) -> Value {
    let outer = STANDARD
        .decode(secret["data"]["release"].as_str().unwrap())
        .unwrap();
    let packed = STANDARD.decode(outer).unwrap();
    let mut json = Vec::new();
    GzDecoder::new(packed.as_slice())
        .read_to_end(&mut json)
        .unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// The other way round; Helm reads it without gzip too.
pub(crate) fn encode(record: &Value) -> String {
    STANDARD.encode(STANDARD.encode(record.to_string()))
}

/// What differs between two installations of the same chart by its nature: when it was.
fn settled(mut record: Value) -> Value {
    for key in ["first_deployed", "last_deployed"] {
        let time = record["info"][key].take();
        assert!(
            time.as_str().is_some_and(|t| t.starts_with("20")),
            "{key}: {time}"
        );
    }
    let chart = record["chart"].as_object_mut().unwrap();
    // The times of the chart's files in its archive, which an archive need not carry.
    chart.remove("modtime");
    chart.remove("schemamodtime");
    for list in ["templates", "files"] {
        for file in chart
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            file.as_object_mut().unwrap().remove("modtime");
        }
    }
    for hook in record["hooks"].as_array_mut().into_iter().flatten() {
        hook["last_run"] = Value::Null;
    }
    record
}

/// The first paths at which two values differ.
fn differences(path: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    if a == b || found.len() >= 5 {
        return;
    }
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            for key in x.keys().chain(y.keys().filter(|k| !x.contains_key(*k))) {
                differences(&format!("{path}/{key}"), &a[key], &b[key], found);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (index, (a, b)) in x.iter().zip(y).enumerate() {
                differences(&format!("{path}/{index}"), a, b, found);
            }
        }
        _ => {
            found.push(format!("{path}: {}", difference(a, b)));
        }
    }
}

/// Two values in a line: texts from where they differ.
fn difference(a: &Value, b: &Value) -> String {
    let (a, b) = match (a, b) {
        (Value::String(a), Value::String(b)) => (a.clone(), b.clone()),
        (a, b) => (a.to_string(), b.to_string()),
    };
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| {
        text.chars()
            .skip(same.saturating_sub(30))
            .take(120)
            .collect::<String>()
    };
    format!("helm {:?} and we {:?}", from(&a), from(&b))
}

/// What a comparison came to.
#[derive(Debug, PartialEq, Eq)]
enum Compared {
    Same,
    /// By Helm and by us: the server does not take it.
    Refused,
    Differs(String),
}

/// Installs the chart by Helm on one server and by us on another, and compares what is written down.
async fn compare(bed: &Bed, name: &str, file: &Path) -> Compared {
    let bare = bed.bare().await;
    let (theirs, ours) = (&bare[0], &bare[1]);
    let namespace = format!("records-{name}");
    let path = file.to_str().unwrap();
    let line = [
        "install",
        name,
        path,
        "-n",
        &namespace,
        "--create-namespace",
        "--no-hooks",
    ];
    let by_helm = bed.helm(theirs, &line).await;
    let digest = upload(&bed.gateway, fs::read(file).unwrap()).await.unwrap();
    let more = json!({"options": {"wait": false, "noHooks": true}});
    let body = merged(request(&digest, name, &namespace, &["bare-1"]), more);
    let done = change(&bed.gateway, Method::POST, "/charts", &body).await;
    let done =
        done.unwrap_or_else(|error| json!({"state": "refused", "why": format!("{error:#}")}));
    match (&by_helm, done["state"] == "succeeded") {
        (Ok(_), true) => {}
        (Err(_), false) => return Compared::Refused,
        (Ok(_), false) => return Compared::Differs(format!("{name}: only helm took it: {done:#}")),
        (Err(why), true) => return Compared::Differs(format!("{name}: only we took it: {why:#}")),
    }
    only(&done, "succeeded");
    let secret = format!("/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.{name}.v1");
    let a = object(theirs, &secret).await.unwrap();
    let b = object(ours, &secret).await.unwrap();
    let mut found = Vec::new();
    differences("", &settled(decode(&a)), &settled(decode(&b)), &mut found);
    for label in ["name", "owner", "status", "version"] {
        let (x, y) = (
            &a["metadata"]["labels"][label],
            &b["metadata"]["labels"][label],
        );
        differences(&format!("/labels/{label}"), x, y, &mut found);
    }
    differences("/type", &a["type"], &b["type"], &mut found);
    if found.is_empty() {
        Compared::Same
    } else {
        Compared::Differs(format!("{name}: {}", found.join("\n  ")))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_those_of_helm_field_by_field() {
    let bed = bed().await;
    bed.bare().await;
    let own = bed.file("records-web.tgz", &crate::bed::web("1.0.0"));
    let mut charts = vec![("web".to_owned(), own)];
    charts.extend(sample::steady(20));
    let compared = futures::stream::iter(&charts)
        .map(|(name, file)| compare(bed, name, file))
        .buffer_unordered(4)
        .collect::<Vec<_>>()
        .await;
    let count = |wanted: &Compared| compared.iter().filter(|c| *c == wanted).count();
    println!(
        "{} records are the same, {} charts are refused by helm and by us",
        count(&Compared::Same),
        count(&Compared::Refused)
    );
    let complaints: Vec<&str> = compared
        .iter()
        .filter_map(|compared| match compared {
            Compared::Differs(how) => Some(how.as_str()),
            Compared::Same | Compared::Refused => None,
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

//! Tiller's records, as they lie in ConfigMaps: made again with other contents.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures::StreamExt as _;
use optikon_tests::Cluster;
use serde_json::{Value, json};

pub(crate) const PATH: &str = "/api/v1/namespaces/kube-system/configmaps";
/// The label of what [`copies`] writes.
pub(crate) const COPIED: &str = "tests.optikon.io/copied=true";

fn unpacked(record: &Value) -> Vec<u8> {
    let packed = STANDARD
        .decode(record["data"]["release"].as_str().unwrap())
        .unwrap();
    let mut plain = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
    plain
}

fn packed(plain: &[u8]) -> String {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(plain).unwrap();
    STANDARD.encode(gzip.finish().unwrap())
}

/// Changes a record's bytes, and the label with its status.
pub(crate) async fn rewrite(
    cluster: &Cluster,
    name: &str,
    status: &str,
    change: impl FnOnce(&mut Vec<u8>),
) {
    let path = format!("{PATH}/{name}");
    let record = cluster.admin().read(&path).await.unwrap();
    let mut plain = unpacked(&record);
    change(&mut plain);
    let patch = json!({
        "metadata": { "labels": { "STATUS": status } }, "data": { "release": packed(&plain) },
    });
    let patch = patch.to_string();
    cluster
        .kubectl(&[
            "-n",
            "kube-system",
            "patch",
            "configmap",
            name,
            "--type",
            "merge",
            "-p",
            &patch,
        ])
        .await
        .unwrap();
}

/// Writes records like that of `many-000`, whose name is in it in clear.
pub(crate) async fn copies(cluster: &Cluster, count: usize) {
    let first = cluster
        .admin()
        .read(&format!("{PATH}/many-000.v1"))
        .await
        .unwrap();
    let plain = unpacked(&first);
    let writes = (1..count).map(|i| {
        let name = format!("many-{i:03}");
        let mut bytes = plain.clone();
        for at in 0..bytes.len().saturating_sub(7) {
            if &bytes[at..at + 8] == b"many-000" {
                bytes[at..at + 8].copy_from_slice(name.as_bytes());
            }
        }
        let mut labels = first["metadata"]["labels"].clone();
        labels["NAME"] = json!(name);
        let (key, value) = COPIED.split_once('=').unwrap();
        labels[key] = value.into();
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": format!("{name}.v1"), "labels": labels },
            "data": { "release": packed(&bytes) },
        });
        async move { cluster.admin().create(PATH, &object).await.unwrap() }
    });
    let writes: Vec<_> = writes.collect();
    futures::stream::iter(writes)
        .buffer_unordered(32)
        .count()
        .await;
}

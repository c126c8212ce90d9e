//! What dies in the middle of a change, and what is left behind.

use optikon_tests::{Cluster, Testbed, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{
    PATIENCE, act, apply, archive, bed, no_tunnel_is_open, on, register, target, uninstall, upload,
};

const DEPLOYMENT: &str = "{{- if .Values.waits }}\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n  \
     selector: {matchLabels: {app: x}}\n  template:\n    metadata: {labels: {app: x}}\n    \
     spec: {containers: [{name: x, image: registry.example/x:1}]}\n{{- end }}\n";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-settings\ndata: {version: {{ .Chart.Version }}}\n";

/// With `waits`, a Deployment that nobody makes pods of, so that waiting lasts as long as it may.
fn slow(version: &str) -> Vec<u8> {
    let metadata = format!("apiVersion: v1\nname: slow\nversion: {version}\n");
    archive(
        "slow",
        &[
            ("Chart.yaml", &metadata),
            ("values.yaml", "waits: false\n"),
            ("templates/deployment.yaml", DEPLOYMENT),
            ("templates/map.yaml", MAP),
        ],
    )
}

/// Begins an install that waits on `dying` and not on `tiller-1`; back when Tiller is at it.
async fn begun(cluster: &Cluster, release: &str, digest: &str) -> String {
    let gateway = &bed().await.gateway;
    let body = json!({
        "chart": { "digest": digest }, "release": { "name": release },
        "targets": { "names": ["dying", "tiller-1"] }, "backend": "tiller",
        "overrides": [{ "names": ["dying"], "values": { "waits": true } }],
        "options": { "wait": true, "timeoutSeconds": 12 }, "strategy": { "onFailure": "continue" },
    });
    let begun = gateway
        .client()
        .unwrap()
        .create("/charts", &body)
        .await
        .unwrap();
    let filter = format!("^{release}$");
    wait_for("Tiller to be at it", PATIENCE, || async {
        let seen = cluster
            .helm2(&["list", "--pending", "--short", &filter])
            .await?;
        Ok((seen.trim() == release).then_some(()))
    })
    .await
    .unwrap();
    begun["id"].as_str().unwrap().to_owned()
}

async fn finished(id: &str) -> Value {
    let gateway = &bed().await.gateway;
    wait_for("the operation to end", PATIENCE, || async {
        let operation = gateway.client()?.read(&format!("/operations/{id}")).await?;
        Ok(operation["finishedMs"].is_u64().then_some(operation))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiller_or_an_api_server_that_dies_in_an_install_is_one_failed_row() {
    let bed = bed().await;
    let gateway = &bed.gateway;
    let testbed = Testbed::start().await.unwrap();
    let mut cluster = testbed.cluster("dying").tiller().start().await.unwrap();
    register(gateway, &cluster, json!({})).await.unwrap();
    let digest = upload(gateway, slow("1.0.0")).await.unwrap();

    let id = begun(&cluster, "orphan", &digest).await;
    cluster.kill_tiller();
    cluster.start_tiller().await.unwrap();
    let done = finished(&id).await;
    assert_eq!(done["state"], "partial", "{done}");
    assert_eq!(target(&done, "tiller-1")["state"], "succeeded", "{done}");
    let row = target(&done, "dying");
    assert_eq!(
        (&row["state"], &row["reason"]),
        (&json!("failed"), &json!("Interrupted")),
        "{done}"
    );
    assert!(
        row["message"].as_str().unwrap().contains("pending-install"),
        "{done}"
    );
    no_tunnel_is_open(gateway).await;

    // What it left is shown as it is, and locked.
    let read = gateway.client().unwrap();
    let list = read.read("/charts?clusters=dying").await.unwrap();
    assert_eq!(
        on(&list, "dying", "orphan")["status"],
        "pending-install",
        "{list}"
    );
    let second = upload(gateway, slow("2.0.0")).await.unwrap();
    let both = ["dying", "tiller-1"];
    let more = json!({ "backend": "tiller", "options": { "timeoutSeconds": 5 } });
    let done = apply(gateway, Method::PUT, "orphan", &second, &both, more)
        .await
        .unwrap();
    assert_eq!(target(&done, "dying")["reason"], "ReleaseLocked", "{done}");
    assert_eq!(target(&done, "tiller-1")["state"], "succeeded", "{done}");
    let gone = uninstall(gateway, "orphan", &both).await.unwrap();
    assert_eq!(gone["state"], "succeeded", "{gone}");

    // A pending upgrade is cleared by force; then it can go back.
    let one = ["dying"];
    let tiller = json!({ "backend": "tiller" });
    apply(gateway, Method::POST, "stuck", &digest, &one, tiller)
        .await
        .unwrap();
    pending(&cluster, "stuck").await;
    let more = json!({ "backend": "tiller", "options": { "timeoutSeconds": 5 } });
    let done = apply(gateway, Method::PUT, "stuck", &second, &one, more)
        .await
        .unwrap();
    assert_eq!(target(&done, "dying")["reason"], "ReleaseLocked", "{done}");
    let more = json!({ "backend": "tiller", "options": { "timeoutSeconds": 5, "force": true } });
    let done = apply(gateway, Method::PUT, "stuck", &second, &one, more)
        .await
        .unwrap();
    assert_eq!(target(&done, "dying")["state"], "succeeded", "{done}");
    let back = act(
        gateway,
        "stuck",
        "rollback",
        &one,
        json!({ "toRevision": 1 }),
    )
    .await
    .unwrap();
    assert_eq!(target(&back, "dying")["state"], "succeeded", "{back}");

    // Going back clears it by itself once whoever worked on it had his time, as it does with helm: the next upgrade needs
    // no force.
    let tiller = json!({ "backend": "tiller" });
    apply(gateway, Method::POST, "turned", &digest, &one, tiller)
        .await
        .unwrap();
    pending(&cluster, "turned").await;
    let first = json!({ "toRevision": 1, "options": { "timeoutSeconds": 5 } });
    let back = act(gateway, "turned", "rollback", &one, first)
        .await
        .unwrap();
    assert_eq!(target(&back, "dying")["state"], "succeeded", "{back}");
    let more = json!({ "backend": "tiller", "options": { "timeoutSeconds": 30 } });
    let done = apply(gateway, Method::PUT, "turned", &second, &one, more)
        .await
        .unwrap();
    assert_eq!(target(&done, "dying")["state"], "succeeded", "{done}");

    let id = begun(&cluster, "cut", &digest).await;
    cluster.kill_api_server().unwrap();
    cluster.start_api_server().await.unwrap();
    let done = finished(&id).await;
    assert_eq!(target(&done, "tiller-1")["state"], "succeeded", "{done}");
    let row = target(&done, "dying");
    assert_eq!(row["state"], "failed", "{done}");
    assert!(row["reason"].is_string(), "{done}");
    no_tunnel_is_open(gateway).await;
    read.delete("/cluster/dying").await.unwrap();
    uninstall(gateway, "cut", &["tiller-1"]).await.unwrap();
}

/// Leaves an upgrade pending, as a Tiller does that dies in one.
async fn pending(cluster: &Cluster, release: &str) {
    let file = crate::bed::chart_file(cluster, "pending.tgz", &slow("1.5.0")).unwrap();
    let upgrade = [
        "upgrade",
        release,
        &file,
        "--set",
        "waits=true",
        "--wait",
        "--timeout",
        "3",
    ];
    // It fails in time; its record is put back to what it was in the middle.
    assert!(cluster.helm2(&upgrade).await.is_err());
    let seen = cluster
        .helm2(&["history", release, "--output", "json"])
        .await
        .unwrap();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen[1]["status"], "FAILED", "{seen}");
    crate::records::rewrite(
        cluster,
        &format!("{release}.v2"),
        "PENDING_UPGRADE",
        |bytes| {
            // Field 1 of Status, in field 1 of Info: FAILED (4) becomes PENDING_UPGRADE (7).
            let at = bytes.windows(2).position(|pair| pair == [8, 4]).unwrap();
            bytes[at + 1] = 7;
        },
    )
    .await;
}

//! What it is all for: register a cluster, see it, see that it is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use optikon_tests::{Cluster, Gateway, Testbed, manifests, wait_for};
use serde_json::{Value, json};

use crate::bed::{assert_absent, assert_absent_in_files, condition, forms, names};

/// A stopped server shows in the list within this.
const NOTICE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_seen_through_the_gateway_and_a_stopped_one_is_a_row_with_a_reason() {
    let testbed = Testbed::start().await.unwrap();
    let (edge_1, edge_2, gateway) = tokio::try_join!(
        testbed.cluster("edge-1").controllers().nodes(2).start(),
        testbed.cluster("edge-2").nodes(1).start(),
        Gateway::builder().variable("OPTIKON_LOG", "debug").start(),
    )
    .unwrap();
    let mut edge_1 = edge_1;
    edge_1.create_namespace("shop").await.unwrap();
    for object in manifests::one_of_each("shop") {
        edge_1.create(&object).await.unwrap();
    }
    edge_1
        .wait_for_workload(&manifests::deployment("shop", "web", 3))
        .await
        .unwrap();

    let token = registered(&gateway, &edge_1, &edge_2).await;
    let seen = seen_as_kubectl_sees_it(&gateway, &edge_1).await;
    let listed = wait_for("both to be ready", NOTICE, || async {
        let list = gateway.client()?.read("/cluster").await?;
        let is_ready = |name| condition(row(&list, name), "Ready")["status"] == "True";
        Ok((is_ready("edge-1") && is_ready("edge-2")).then_some(list))
    })
    .await
    .unwrap();

    edge_1.kill_api_server().unwrap();
    let after = wait_for("the stopped one's reason in the list", NOTICE, || async {
        let list = gateway.client()?.read("/cluster").await?;
        let has_reason = row(&list, "edge-1")["status"]["reason"].is_string();
        Ok(has_reason.then_some(list))
    })
    .await
    .unwrap();
    assert_eq!(row(&after, "edge-1")["status"]["reason"], "Connect");
    let (before, other) = (row(&listed, "edge-2"), row(&after, "edge-2"));
    assert_eq!(condition(other, "Ready"), condition(before, "Ready"));
    assert_eq!(other["status"]["reason"], Value::Null);

    let reply = gateway
        .client()
        .unwrap()
        .get("/cluster/edge-1")
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let gone = reply.json().unwrap();
    assert_eq!(gone["status"]["reason"], "Connect", "{gone:#}");
    assert_eq!(
        gone["status"]["nodes"],
        Value::Null,
        "not as if it were now"
    );
    let last = &gone["status"]["lastKnown"];
    assert_eq!(last["nodeCounts"], json!({"total": 2, "ready": 2}));
    assert_eq!(last["kubernetes"], seen["status"]["kubernetes"]);
    assert_eq!(last["workloadCounts"], seen["status"]["workloadCounts"]);
    assert!(last["observedAt"]["time"].is_string(), "{gone:#}");

    let forms = forms(&token);
    for reply in [&seen, &listed, &after, &gone] {
        assert_absent(&forms, "a reply", reply.to_string().as_bytes());
    }
    assert_absent(&forms, "the log", gateway.log().as_bytes());
    assert!(assert_absent_in_files(&forms, gateway.data_folder()) > 2);
}

/// Registers both by the command line; the token of the first.
async fn registered(gateway: &Gateway, edge_1: &Cluster, edge_2: &Cluster) -> String {
    let rules = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]);
    let token = edge_1.account("default", "optikon", &rules).await.unwrap();
    let token_file = edge_1.write_file("token", &token).unwrap();
    let ca_file = edge_1.ca_file();
    let said = gateway
        .run_ok(&[
            "cluster",
            "add",
            "edge-1",
            "--server",
            edge_1.server(),
            "--ca",
            ca_file.to_str().unwrap(),
            "--token-file",
            token_file.to_str().unwrap(),
            "--label",
            "env=demo",
        ])
        .await
        .unwrap();
    assert!(said.contains("edge-1"), "{said}");
    let kubeconfig = edge_2.kubeconfig_file();
    gateway
        .run_ok(&[
            "cluster",
            "add",
            "edge-2",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
        ])
        .await
        .unwrap();
    token
}

async fn seen_as_kubectl_sees_it(gateway: &Gateway, cluster: &Cluster) -> Value {
    let printed = gateway
        .run_ok(&["cluster", "get", "edge-1", "-o", "json"])
        .await
        .unwrap();
    let seen: Value = serde_json::from_str(&printed).unwrap();
    let status = &seen["status"];
    assert_eq!(condition(&seen, "Ready")["status"], "True", "{seen:#}");
    assert_eq!(names(&status["nodes"]), ["n0", "n1"]);
    for node in status["nodes"].as_array().unwrap() {
        assert_eq!(node["ready"], "True", "{node}");
    }
    let version: Value =
        serde_json::from_str(&cluster.kubectl(&["version", "-o", "json"]).await.unwrap()).unwrap();
    assert_eq!(
        status["kubernetes"]["version"],
        version["serverVersion"]["gitVersion"]
    );
    let kinds = "deployments,statefulsets,daemonsets,jobs,cronjobs";
    let shown = cluster
        .kubectl(&["get", kinds, "-A", "-o", "json"])
        .await
        .unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let theirs: BTreeSet<_> = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| key(&o["kind"], &o["metadata"]))
        .collect();
    let ours: BTreeSet<_> = status["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| key(&w["kind"], w))
        .collect();
    assert_eq!(theirs.len(), 5, "one of each kind");
    assert_eq!(ours, theirs);
    let web = status["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .find(|w| w["name"] == "web")
        .unwrap();
    assert_eq!((&web["desired"], &web["ready"]), (&json!(3), &json!(3)));

    let by_rest = gateway
        .client()
        .unwrap()
        .read("/cluster/edge-1")
        .await
        .unwrap();
    assert_eq!(by_rest["metadata"]["uid"], seen["metadata"]["uid"]);
    assert_eq!(names(&by_rest["status"]["nodes"]), ["n0", "n1"]);
    seen
}

fn key(kind: &Value, names: &Value) -> (String, String, String) {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    (text(kind), text(&names["namespace"]), text(&names["name"]))
}

fn row<'a>(list: &'a Value, name: &str) -> &'a Value {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("no row {name} in {list:#}"))
}

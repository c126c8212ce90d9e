//! What a member's own answer to our credential means, and a server that dies while it is asked.

use optikon_tests::{Cluster, Gateway, Testbed, manifests, wait_for};
use serde_json::{Value, json};

use crate::bed::{PATIENCE, condition, gateway, names};

async fn register(gateway: &Gateway, cluster: &Cluster, name: &str, token: &str) {
    let body = json!({
        "name": name, "server": cluster.server(), "ca": cluster.ca(), "token": token,
    });
    let client = gateway.client().unwrap();
    client.create("/cluster", &body).await.unwrap();
}

/// Live looks until this reason is given.
async fn wait_for_reason(gateway: &Gateway, name: &str, reason: &str) -> Value {
    let path = format!("/cluster/{name}");
    wait_for(&format!("{name}: {reason}"), PATIENCE, || async {
        let seen = gateway.client()?.read(&path).await?;
        if seen["status"]["reason"] == reason {
            return Ok(Some(seen));
        }
        anyhow::bail!("the status is {:#}", seen["status"])
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_with_few_rights_shows_what_it_may_and_a_revoked_one_its_reason() {
    let testbed = Testbed::start().await.unwrap();
    let mut cluster = testbed.cluster("rights").nodes(1).start().await.unwrap();
    let gateway = gateway().await;
    cluster.create_namespace("shop").await.unwrap();
    let web = manifests::deployment("shop", "web", 1);
    cluster.create(&web).await.unwrap();
    // The built-in role `view` is put together by a controller, which this cluster does without.
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps", "batch"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
    ]);
    let token = cluster.account("default", "viewer", &rules).await.unwrap();
    register(gateway, &cluster, "rights", &token).await;
    let client = gateway.client().unwrap();

    // Rights take a moment to reach the server's authorizer, and may arrive between two requests of one look.
    let seen = wait_for("the rights", PATIENCE, || async {
        let seen = client.read("/cluster/rights").await?;
        let is_ready = condition(&seen, "Ready")["status"] == "True";
        let status = &seen["status"];
        let is_whole = status["workloads"].is_array() && status["parts"]["workloads"].is_null();
        Ok((is_ready && is_whole).then_some(seen))
    })
    .await
    .unwrap();
    let status = &seen["status"];
    assert_eq!(condition(&seen, "Ready")["status"], "True", "{seen:#}");
    assert_eq!(status["parts"]["nodes"]["reason"], "Forbidden", "{seen:#}");
    assert_eq!(status["nodes"], Value::Null);
    assert_eq!(names(&status["workloads"]), ["web"]);
    let nodes = client.read("/cluster/rights/nodes").await.unwrap();
    assert_eq!(nodes["reason"], "Forbidden", "{nodes}");
    assert_eq!(nodes["items"], json!([]));
    let workloads = client.read("/cluster/rights/workloads").await.unwrap();
    assert_eq!(names(&workloads["items"]), ["web"]);

    cluster
        .admin()
        .delete("/api/v1/namespaces/default/serviceaccounts/viewer")
        .await
        .unwrap();
    let seen = wait_for_reason(gateway, "rights", "Unauthorized").await;
    assert_eq!(condition(&seen, "Ready")["status"], "False");
    let last_known = &seen["status"]["lastKnown"];
    assert_eq!(names(&last_known["workloads"]), ["web"], "{seen:#}");

    // The same server, now with all rights: killed while it is asked, and started again.
    register(gateway, &cluster, "killed", cluster.admin_token()).await;
    let seen = client.read("/cluster/killed").await.unwrap();
    assert_eq!(names(&seen["status"]["nodes"]), ["n0"]);
    assert_eq!(condition(&seen, "Ready")["status"], "True", "{seen:#}");
    cluster.freeze_api_server().unwrap();
    let asking = client.clone();
    let asked = tokio::spawn(async move { asking.get("/cluster/killed?deadline=20s").await });
    wait_for("the look to be under way", PATIENCE, || async {
        let list = client.read("/cluster/killed?probe=cached").await?;
        Ok(list["status"]["reason"].is_string().then_some(()))
    })
    .await
    .unwrap();
    cluster.kill_api_server().unwrap();
    let reply = asked.await.unwrap().unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    let seen = reply.json().unwrap();
    let reason = seen["status"]["reason"].as_str().unwrap();
    assert!(["Connect", "Timeout"].contains(&reason), "{seen:#}");
    assert_eq!(
        seen["status"]["lastKnown"]["nodeCounts"],
        json!({"total": 1, "ready": 1})
    );
    wait_for_reason(gateway, "killed", "Connect").await;

    cluster.start_api_server().await.unwrap();
    let seen = wait_for("the nodes to be seen again", PATIENCE, || async {
        let seen = client.read("/cluster/killed").await?;
        Ok((names(&seen["status"]["nodes"]) == ["n0"]).then_some(seen))
    })
    .await
    .unwrap();
    assert_eq!(seen["status"]["reason"], Value::Null);
}

//! What is refused because of what a chart says of its values and of the cluster, and of clusters that are one.

use helm_chart::File;
use optikon_tests::{Answer, archive, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{PATIENCE, bed, change, request, upload};
use crate::fleet::{Fleet, states};

fn chart(more: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let head = format!("apiVersion: v2\nname: fussy\nversion: 1.0.0\n{more}");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fussy}\n";
    let mut all = vec![
        File::new("Chart.yaml", head.into_bytes()),
        File::new("templates/map.yaml", map.as_bytes().to_vec()),
    ];
    let files = files.iter();
    all.extend(files.map(|(name, text)| File::new(*name, text.as_bytes().to_vec())));
    archive::pack("fussy", &all).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_that_breaks_a_schema_is_named_with_its_path() {
    let bed = bed().await;
    let schema = json!({
        "type": "object", "required": ["image"],
        "properties": {
            "replicas": {"type": "integer", "minimum": 1},
            "service": {"type": "object", "properties": {"port": {"type": "integer"}}},
        },
    });
    let files = [
        ("values.schema.json", schema.to_string()),
        ("values.yaml", "replicas: 1\n".to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
    let digest = upload(&bed.gateway, chart("", &files)).await.unwrap();
    let mut body = request(&digest, "fussy", "fussy", &["full"]);
    body["values"] = json!({"replicas": 0, "service": {"port": "http"}});
    let client = bed.gateway.client().unwrap();
    for dry_run in ["none", "render"] {
        body["dryRun"] = json!(dry_run);
        let reply = client.json(Method::POST, "/charts", &body).await.unwrap();
        assert_eq!(reply.status, 422, "{}", reply.text);
        let problem = reply.json().unwrap();
        let said: String = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["message"].as_str().unwrap())
            .collect();
        for words in ["/replicas", "/service/port", "image"] {
            assert!(said.contains(words), "{words} is not in {problem:#}");
        }
        assert_eq!(problem["errors"][0]["field"], "values", "{problem:#}");
    }
    let namespace = bed.full.admin().get("/api/v1/namespaces/fussy").await;
    assert_eq!(namespace.unwrap().status, 404, "no cluster was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_too_old_for_a_chart_is_a_row() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "ages", 3).await;
    let old = json!({"major": "1", "minor": "19", "gitVersion": "v1.19.3"});
    fleet.members[1].answer("/version", Answer::json(200, &old));
    let needs = chart("kubeVersion: '>=1.25.0-0'\n", &[]);
    let digest = upload(gateway, needs).await.unwrap();
    let body = fleet.request(&digest, "fussy", json!({}));
    let done = change(gateway, Method::POST, "/charts", &body)
        .await
        .unwrap();
    assert_eq!(done["state"], "partial", "{done:#}");
    assert_eq!(states(&done)["succeeded"], 2, "{done:#}");
    let row = &done["targets"][1];
    assert_eq!(
        (&row["state"], &row["reason"]),
        (&json!("failed"), &json!("Invalid"))
    );
    let message = row["message"].as_str().unwrap();
    assert!(
        message.contains(">=1.25.0-0") && message.contains("v1.19.3"),
        "{message}"
    );
    assert!(row["startedMs"].is_null(), "it was never begun: {row}");
    let writes = fleet.members[1].seen();
    assert!(writes.iter().all(|seen| seen.method == "GET"));

    // All of them too old is the request's own fault.
    let needs = chart("kubeVersion: '>=9.0.0-0'\n", &[]);
    let digest = upload(gateway, needs).await.unwrap();
    let body = fleet.request(&digest, "fussy2", json!({}));
    let reply = gateway.client().unwrap();
    let reply = reply.json(Method::POST, "/charts", &body).await.unwrap();
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert_eq!(reply.json().unwrap()["errors"][0]["field"], "kubeVersion");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_under_two_names_is_changed_by_one_of_them() {
    let bed = bed().await;
    let client = bed.gateway.client().unwrap();
    let full = &bed.full;
    let alias = json!({
        "name": "full-alias", "server": full.server(), "ca": full.ca(), "token": full.admin_token(),
    });
    client.create("/cluster", &alias).await.unwrap();
    let digest = upload(&bed.gateway, chart("", &[])).await.unwrap();
    let both = request(&digest, "fussy", "twins", &["full", "full-alias"]);
    // Who a cluster is is known once it was looked at.
    let refused = wait_for("the alias to be recognised", PATIENCE, || async {
        let mut body = both.clone();
        body["dryRun"] = json!("render");
        let reply = client.json(Method::POST, "/charts", &body).await?;
        Ok((reply.status == 422).then_some(reply))
    });
    let refused = refused.await.unwrap();
    assert!(
        refused.text.contains("are the same cluster"),
        "{}",
        refused.text
    );
    let reply = client.json(Method::POST, "/charts", &both).await.unwrap();
    assert_eq!(reply.status, 422, "{}", reply.text);

    // One name holds the release for the other.
    let mut waves = request(&digest, "held", "twins", &["full", "bare-0"]);
    bed.bare().await;
    waves["strategy"] = json!({"waves": [{"count": 1, "manual": true}]});
    let begun = client.create("/charts", &waves).await.unwrap();
    let alias = request(&digest, "held", "twins", &["full-alias"]);
    let reply = client.json(Method::POST, "/charts", &alias).await.unwrap();
    assert_eq!(reply.status, 409, "{}", reply.text);
    let id = begun["id"].as_str().unwrap();
    assert!(reply.text.contains(id), "{}", reply.text);
    let path = format!("/operations/{id}/cancel");
    client.create(&path, &json!({})).await.unwrap();
    let ended = crate::bed::finished(&bed.gateway, &begun).await.unwrap();
    assert_eq!(ended["state"], "cancelled", "{ended:#}");
    let gone: Value = client.delete("/cluster/full-alias").await.unwrap();
    assert!(gone["metadata"]["uid"].is_string() || gone.is_object());
}

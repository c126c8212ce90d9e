//! One release on one cluster, from its installation to its end.

use optikon_tests::cluster::items;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{bed, change, object, only, request, upload, web};

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_installed_upgraded_rolled_back_and_removed() {
    let bed = bed().await;
    let (name, cluster) = ("life", &bed.full);
    let first = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    let second = upload(&bed.gateway, web("2.0.0")).await.unwrap();

    let values = json!({"values": {"message": "first"}});
    let installed = bed.install(&first, name, values.clone()).await;
    assert_eq!(installed["state"], "succeeded", "{installed:#}");
    assert_eq!(installed["plans"], 1);
    assert_eq!(only(&installed, "succeeded")["revision"], 1);
    // Waited for: every replica is there.
    let path = format!("/apis/apps/v1/namespaces/{name}/deployments/{name}");
    let deployment = object(cluster, &path).await.unwrap();
    assert_eq!(deployment["status"]["readyReplicas"], 2, "{deployment:#}");
    assert_eq!(
        deployment["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "Helm"
    );

    // The same again is no new revision, and the name is in use for an install.
    let again = bed.upgrade(&first, name, values.clone()).await;
    assert_eq!(only(&again, "unchanged")["revision"], 1);
    let taken = bed.install(&first, name, values).await;
    let row = only(&taken, "failed");
    assert_eq!(row["reason"], "AlreadyExists", "{taken:#}");

    let upgraded = bed
        .upgrade(
            &second,
            name,
            json!({"values": {"message": "second", "extra": true}}),
        )
        .await;
    assert_eq!(only(&upgraded, "succeeded")["revision"], 2, "{upgraded:#}");
    let settings = format!("/api/v1/namespaces/{name}/configmaps/{name}-settings");
    let extra = format!("/api/v1/namespaces/{name}/configmaps/{name}-extra");
    assert_eq!(
        object(cluster, &settings).await.unwrap()["data"]["message"],
        "second"
    );
    assert!(object(cluster, &extra).await.is_some());

    let tested = bed.act(name, "test", json!({})).await;
    assert_eq!(tested["state"], "succeeded", "{tested:#}");

    let back = bed
        .act(name, "rollback", json!({"options": {"wait": true}}))
        .await;
    assert_eq!(only(&back, "succeeded")["revision"], 3, "{back:#}");
    assert_eq!(
        object(cluster, &settings).await.unwrap()["data"]["message"],
        "first"
    );
    assert!(
        object(cluster, &extra).await.is_none(),
        "what was dropped is gone"
    );

    let release = bed.item(name, "").await;
    assert_eq!(release["cluster"], "full");
    assert_eq!(
        (&release["revision"], &release["status"], &release["chart"]),
        (&json!(3), &json!("deployed"), &json!("web-1.0.0")),
        "{release:#}"
    );
    let history = bed.item(name, "/history").await;
    let revisions: Vec<_> = history["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (
                r["revision"].as_u64().unwrap(),
                r["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        revisions,
        [(3, "deployed"), (2, "superseded"), (1, "superseded")]
    );
    assert_eq!(
        bed.item(name, "/values").await["values"],
        json!({"message": "first"})
    );
    assert_eq!(
        bed.item(name, "/notes").await["notes"]
            .as_str()
            .unwrap()
            .trim(),
        "life says first."
    );
    let manifest = bed.item(name, "/manifest").await;
    assert!(
        manifest["manifest"]
            .as_str()
            .unwrap()
            .contains("kind: Deployment")
    );
    let all = bed
        .gateway
        .client()
        .unwrap()
        .read("/charts?clusters=full")
        .await
        .unwrap();
    let row = items(&all).find(|row| row["name"] == name).unwrap();
    assert_eq!(row["namespace"], name);

    let removed = bed.uninstall(name).await;
    assert_eq!(removed["state"], "succeeded", "{removed:#}");
    assert!(object(cluster, &path).await.is_none());
    let secrets = format!("/api/v1/namespaces/{name}/secrets?labelSelector=owner%3Dhelm");
    assert_eq!(items(&object(cluster, &secrets).await.unwrap()).count(), 0);
    let twice = bed.uninstall(name).await;
    only(&twice, "unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_said_before_a_cluster_is_touched() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    let client = bed.gateway.client().unwrap();
    let good = || request(&digest, "never", "never", &["full"]);
    let with = |pointer: &str, value: Value| {
        let mut body = good();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        body
    };
    let cases = [
        (
            with("/targets/names", json!(["full", "nowhere"])),
            "targets.names[1]",
        ),
        (with("/targets/names", json!([])), "targets"),
        (
            with("/targets", json!({"selector": "size=none"})),
            "targets",
        ),
        (with("/release/name", json!("x".repeat(54))), "release.name"),
        (with("/release/name", json!("Upper")), "release.name"),
        (
            with("/strategy", json!({"maxFailures": "101%"})),
            "strategy.maxFailures",
        ),
        (
            with("/strategy", json!({"waves": [{"count": 1, "percent": 5}]})),
            "strategy.waves[0]",
        ),
    ];
    for (body, field) in cases {
        let reply = client.json(Method::POST, "/charts", &body).await.unwrap();
        assert_eq!(reply.status, 422, "{body}: {}", reply.text);
        let problem = reply.json().unwrap();
        assert_eq!(problem["errors"][0]["field"], field, "{problem:#}");
    }
    for body in [
        with("/values", json!([1])),
        with("/options/unheard", json!(true)),
        with("/chart/url", json!("https://example.com/a.tgz")),
    ] {
        let reply = client.json(Method::POST, "/charts", &body).await.unwrap();
        assert_eq!(reply.status, 422, "{body}: {}", reply.text);
    }
    let path = format!("/api/v1/namespaces/{}", "never");
    assert!(
        object(&bed.full, &path).await.is_none(),
        "no cluster was touched"
    );
    let unknown = with("/chart/digest", json!(format!("sha256:{}", "0".repeat(64))));
    let reply = client
        .json(Method::POST, "/charts", &unknown)
        .await
        .unwrap();
    assert_eq!(reply.status, 404, "{}", reply.text);
    let missing = change(
        &bed.gateway,
        Method::PUT,
        "/charts/never",
        &request(&digest, "never", "never", &["full"]),
    )
    .await
    .unwrap();
    assert_eq!(
        only(&missing, "failed")["reason"],
        "NotFound",
        "{missing:#}"
    );
}

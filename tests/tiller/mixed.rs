//! One operation over clusters of both kinds.

use reqwest::Method;
use serde_json::json;

use crate::bed::{apply, bed, chart, on, setting, target, uninstall, upload};

#[tokio::test(flavor = "multi_thread")]
async fn one_install_is_tillers_here_and_helms_there() {
    let bed = bed().await;
    let gateway = &bed.gateway;
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let clusters = ["plain", "tiller-2"];
    let more = json!({ "backend": "auto", "values": { "color": "red" } });
    let done = apply(gateway, Method::POST, "both", &digest, &clusters, more)
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(done["plans"], 2, "one a backend");
    for (cluster, service) in [(&bed.tillers[1], "Tiller"), (&bed.plain, "Helm")] {
        assert_eq!(target(&done, cluster.name())["revision"], 1, "{done}");
        assert_eq!(setting(cluster, "both", "service").await.unwrap(), service);
    }
    // Each sees its own.
    let seen = bed.tillers[1]
        .helm2(&["list", "--short", "^both$"])
        .await
        .unwrap();
    assert_eq!(seen.trim(), "both");
    let seen = bed
        .plain
        .helm(&["list", "--short", "--filter", "^both$"])
        .await
        .unwrap();
    assert_eq!(seen.trim(), "both");
    let none = bed.tillers[1].helm(&["list", "--short"]).await.unwrap();
    assert_eq!(none.trim(), "");

    // Shown alike.
    let list = gateway.client().unwrap();
    let list = list
        .read("/charts?clusters=plain,tiller-2&filter=both")
        .await
        .unwrap();
    for cluster in clusters {
        let row = on(&list, cluster, "both");
        let shown = (&row["status"], &row["chart"], &row["operation"]);
        assert_eq!(
            shown,
            (&json!("deployed"), &json!("settings-1.0.0"), &done["id"]),
            "{list}"
        );
    }
    let second = upload(gateway, chart("2.0.0")).await.unwrap();
    let done = apply(gateway, Method::PUT, "both", &second, &clusters, json!({}))
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done}");
    let gone = uninstall(gateway, "both", &clusters).await.unwrap();
    assert_eq!(gone["state"], "succeeded", "{gone}");
    for cluster in [&bed.tillers[1], &bed.plain] {
        assert_eq!(setting(cluster, "both", "color").await.unwrap(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_decides_for_a_cluster() {
    let bed = bed().await;
    let gateway = &bed.gateway;
    let labels = json!({ "optikon.io/charts-backend": "tiller" });
    let cluster = &bed.plain;
    let token = cluster.admin_token();
    crate::bed::register_as(gateway, cluster, "told", token, labels)
        .await
        .unwrap();
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let done = apply(gateway, Method::POST, "told", &digest, &["told"], json!({}))
        .await
        .unwrap();
    assert_eq!(target(&done, "told")["reason"], "NoPod", "{done}");
    // A request's own word goes before the label.
    let more = json!({ "backend": "helm" });
    let done = apply(gateway, Method::POST, "told", &digest, &["told"], more)
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(setting(cluster, "told", "service").await.unwrap(), "Helm");
    gateway
        .client()
        .unwrap()
        .delete("/cluster/told")
        .await
        .unwrap();
}

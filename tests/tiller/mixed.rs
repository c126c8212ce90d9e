//! One operation over clusters of both kinds.

use reqwest::Method;
use serde_json::json;

use crate::bed::{apply, bed, chart, on, setting, target, uninstall, upload};

#[tokio::test(flavor = "multi_thread")]
async fn one_install_is_tillers_here_and_helms_there() {
    let bed = bed().await;
    let gateway = &bed.gateway;
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let clusters = ["plain", "plain-2", "tiller-1", "tiller-2"];
    let more = json!({ "backend": "auto", "values": { "color": "red" } });
    let done = apply(gateway, Method::POST, "both", &digest, &clusters, more)
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(done["plans"], 2, "one a backend");
    let all = [
        (&bed.tillers[0], "Tiller"),
        (&bed.tillers[1], "Tiller"),
        (&bed.plain, "Helm"),
        (&bed.other, "Helm"),
    ];
    for (cluster, service) in all {
        assert_eq!(target(&done, cluster.name())["revision"], 1, "{done}");
        assert_eq!(setting(cluster, "both", "service").await.unwrap(), service);
    }
    // Each sees its own.
    for (cluster, service) in all {
        let helm = cluster
            .helm(&["list", "--short", "--filter", "^both$"])
            .await;
        let helm = helm.unwrap();
        if service == "Helm" {
            assert_eq!(helm.trim(), "both");
        } else {
            assert_eq!(helm.trim(), "");
            let helm2 = cluster.helm2(&["list", "--short", "^both$"]).await;
            assert_eq!(helm2.unwrap().trim(), "both");
        }
    }

    // Shown alike.
    let list = gateway.client().unwrap();
    let list = list
        .read("/charts?clusters=plain,plain-2,tiller-1,tiller-2&filter=both")
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
    for (cluster, _) in all {
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

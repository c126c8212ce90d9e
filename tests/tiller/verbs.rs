//! Every verb in both directions: what we make, the real Helm 2 works on, and the other way round.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{act, apply, bed, chart, chart_file, on, setting, target, uninstall, upload};

const ONE: [&str; 1] = ["tiller-1"];

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_ours_is_tillers_and_helm2_takes_it_over() {
    let bed = bed().await;
    let (gateway, cluster) = (&bed.gateway, &bed.tillers[0]);
    let first = upload(gateway, chart("1.0.0")).await.unwrap();
    let values = json!({ "values": { "color": "red" } });
    let done = apply(gateway, Method::POST, "ours", &first, &ONE, values)
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(target(&done, "tiller-1")["revision"], 1);
    assert_eq!(setting(cluster, "ours", "color").await.unwrap(), "red");
    assert_eq!(setting(cluster, "ours", "service").await.unwrap(), "Tiller");

    // Helm 2 sees it, reads it, changes it, and we see what it did.
    let listed = cluster
        .helm2(&["list", "^ours$", "--output", "json"])
        .await
        .unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["Releases"][0]["Chart"], "settings-1.0.0");
    assert_eq!(listed["Releases"][0]["Status"], "DEPLOYED");
    let values = cluster.helm2(&["get", "values", "ours"]).await.unwrap();
    assert!(values.contains("color"), "{values}");
    let file = chart_file(cluster, "ours-2.tgz", &chart("2.0.0")).unwrap();
    cluster
        .helm2(&["upgrade", "ours", &file, "--set", "color=green"])
        .await
        .unwrap();
    let read = gateway.client().unwrap();
    let list = read
        .read("/charts?clusters=tiller-1&filter=ours")
        .await
        .unwrap();
    let row = on(&list, "tiller-1", "ours");
    assert_eq!(
        (&row["revision"], &row["chart"]),
        (&json!(2), &json!("settings-2.0.0"))
    );
    assert_eq!(row["operation"], Value::Null, "Helm's revision is not ours");

    cluster.helm2(&["rollback", "ours", "1"]).await.unwrap();
    assert_eq!(setting(cluster, "ours", "color").await.unwrap(), "red");
    cluster.helm2(&["delete", "--purge", "ours"]).await.unwrap();
    let list = read
        .read("/charts?clusters=tiller-1&filter=ours")
        .await
        .unwrap();
    assert_eq!(on(&list, "tiller-1", "ours"), &Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn we_take_over_a_release_of_helm2_with_every_verb() {
    let bed = bed().await;
    let (gateway, cluster) = (&bed.gateway, &bed.tillers[0]);
    let file = chart_file(cluster, "theirs-1.tgz", &chart("1.0.0")).unwrap();
    let install = [
        "install",
        &file,
        "--name",
        "theirs",
        "--namespace",
        "default",
        "--set",
        "color=red",
    ];
    cluster.helm2(&install).await.unwrap();

    // Without values those of before stay; the same again is no new revision.
    let second = upload(gateway, chart("2.0.0")).await.unwrap();
    let upgrade = || apply(gateway, Method::PUT, "theirs", &second, &ONE, json!({}));
    let done = upgrade().await.unwrap();
    assert_eq!(target(&done, "tiller-1")["state"], "succeeded", "{done}");
    assert_eq!(setting(cluster, "theirs", "color").await.unwrap(), "red");
    let again = upgrade().await.unwrap();
    assert_eq!(target(&again, "tiller-1")["state"], "unchanged", "{again}");

    let read = gateway.client().unwrap();
    let path = |part: &str| format!("/charts/theirs/{part}?clusters=tiller-1");
    let history = read.read(&path("history")).await.unwrap();
    let revisions = history["items"][0]["revisions"].as_array().unwrap();
    let states: Vec<_> = revisions
        .iter()
        .map(|r| r["status"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["deployed", "superseded"]);
    assert_eq!(revisions[0]["operation"], done["id"]);
    let values = read.read(&path("values")).await.unwrap();
    assert_eq!(values["items"][0]["values"], json!({ "color": "red" }));
    let notes = read.read(&path("notes")).await.unwrap();
    assert!(
        notes["items"][0]["notes"]
            .as_str()
            .unwrap()
            .contains("The color is red.")
    );
    let manifest = read.read(&path("manifest")).await.unwrap();
    let text = manifest["items"][0]["manifest"].as_str().unwrap();
    assert!(
        text.contains("theirs-settings") && !text.contains("theirs-test"),
        "{text}"
    );

    let back = act(
        gateway,
        "theirs",
        "rollback",
        &ONE,
        json!({ "toRevision": 1 }),
    )
    .await
    .unwrap();
    assert_eq!(target(&back, "tiller-1")["revision"], 3, "{back}");
    assert_eq!(
        setting(cluster, "theirs", "chart").await.unwrap(),
        "settings-1.0.0"
    );
    let tested = act(gateway, "theirs", "test", &ONE, json!({}))
        .await
        .unwrap();
    assert_eq!(tested["state"], "succeeded", "{tested}");

    let gone = uninstall(gateway, "theirs", &ONE).await.unwrap();
    assert_eq!(gone["state"], "succeeded", "{gone}");
    assert_eq!(setting(cluster, "theirs", "color").await.unwrap(), "");
    let listed = cluster
        .helm2(&["list", "--all", "^theirs$", "--short"])
        .await
        .unwrap();
    assert_eq!(listed.trim(), "", "its history is gone, too");
    let again = uninstall(gateway, "theirs", &ONE).await.unwrap();
    assert_eq!(target(&again, "tiller-1")["state"], "unchanged", "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_test_is_a_failed_row_with_tillers_words() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, chart("1.0.0")).await.unwrap();
    let values = json!({ "values": { "fails": true } });
    apply(&bed.gateway, Method::POST, "tested", &digest, &ONE, values)
        .await
        .unwrap();
    let tested = act(&bed.gateway, "tested", "test", &ONE, json!({}))
        .await
        .unwrap();
    let row = target(&tested, "tiller-1");
    assert_eq!(
        (&row["state"], &row["reason"]),
        (&json!("failed"), &json!("TestsFailed")),
        "{tested}"
    );
    uninstall(&bed.gateway, "tested", &ONE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_tillers_dry_run_and_changes_nothing() {
    let bed = bed().await;
    let (gateway, cluster) = (&bed.gateway, &bed.tillers[0]);
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let look = |method: Method, color: &'static str| {
        let more = json!({ "dryRun": "server", "values": { "color": color } });
        apply(gateway, method, "looked", &digest, &ONE, more)
    };
    let what = |preview: &Value| {
        let objects = preview["items"][0]["objects"].as_array().unwrap().iter();
        let mut map = objects.filter(|object| object["name"] == "looked-settings");
        map.next().cloned().unwrap_or_default()
    };
    let preview = look(Method::POST, "red").await.unwrap();
    assert_eq!(what(&preview)["what"], "created", "{preview}");
    assert_eq!(setting(cluster, "looked", "color").await.unwrap(), "");
    let listed = cluster
        .helm2(&["list", "--all", "--short", "^looked$"])
        .await;
    assert_eq!(listed.unwrap().trim(), "");

    let values = json!({ "values": { "color": "red" } });
    apply(gateway, Method::POST, "looked", &digest, &ONE, values)
        .await
        .unwrap();
    let preview = look(Method::PUT, "green").await.unwrap();
    let changed = what(&preview);
    assert_eq!(changed["what"], "changed", "{preview}");
    let wanted = json!([{ "path": "/data/color", "old": "red", "new": "green" }]);
    assert_eq!(changed["patch"], wanted, "{preview}");
    assert_eq!(setting(cluster, "looked", "color").await.unwrap(), "red");
    uninstall(gateway, "looked", &ONE).await.unwrap();
}

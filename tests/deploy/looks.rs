//! What a change would do, and what has changed since.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{Bed, bed, merged, object, only, request, upload, web};

async fn preview(bed: &Bed, method: Method, path: &str, body: &Value) -> Value {
    let reply = bed
        .gateway
        .client()
        .unwrap()
        .json(method, path, body)
        .await
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json().unwrap()
}

fn change_of<'a>(preview: &'a Value, list: &str, name: &str) -> &'a Value {
    let changes = preview["items"][0][list].as_array().unwrap();
    changes
        .iter()
        .find(|change| change["name"] == name)
        .unwrap_or_else(|| panic!("nothing about {name}: {preview:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_what_would_change_and_changes_nothing() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    let body = |more: Value| merged(request(&digest, "looked", "looked", &["full"]), more);

    let rendered = preview(
        bed,
        Method::POST,
        "/charts",
        &body(json!({"dryRun": "render"})),
    )
    .await;
    assert_eq!(rendered["plans"], 1);
    let manifest = rendered["items"][0]["manifest"].as_str().unwrap();
    assert!(manifest.contains("name: looked-settings"), "{manifest}");
    assert_eq!(rendered["items"][0]["action"], "install");

    let server = preview(
        bed,
        Method::POST,
        "/charts",
        &body(json!({"dryRun": "server"})),
    )
    .await;
    assert_eq!(server["errors"], json!([]));
    assert_eq!(
        change_of(&server, "objects", "looked-settings")["what"],
        "created"
    );
    assert!(
        object(&bed.full, "/api/v1/namespaces/looked")
            .await
            .is_none()
    );

    only(
        &bed.install(&digest, "looked", json!({"values": {"extra": true}}))
            .await,
        "succeeded",
    );
    let more = json!({
        "dryRun": "server", "values": {"message": "new", "password": "an0ther-secret"},
    });
    let server = preview(bed, Method::PUT, "/charts/looked", &body(more)).await;
    assert_eq!(server["items"][0]["action"], "upgrade");
    let settings = change_of(&server, "objects", "looked-settings");
    assert_eq!(settings["what"], "changed");
    assert_eq!(
        settings["patch"],
        json!([{"path": "/data/message", "old": "hello", "new": "new"}])
    );
    let login = change_of(&server, "objects", "looked-login");
    assert_eq!(login["what"], "changed");
    assert_eq!(login["patch"][0]["path"], "/data/password");
    assert_eq!(
        change_of(&server, "objects", "looked-extra")["what"],
        "deleted"
    );
    assert_eq!(change_of(&server, "objects", "looked")["what"], "unchanged");
    let text = server.to_string();
    for secret in [
        "an0ther-secret",
        "s3cret-of-the-chart",
        "YW4wdGhlci1zZWNyZXQ",
        "czNjcmV0LW9mLXRoZS1jaGFydA",
    ] {
        assert!(
            !text.contains(secret),
            "a Secret's content is shown: {text}"
        );
    }
    assert_eq!(
        bed.item("looked", "").await["revision"],
        1,
        "nothing was changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_and_an_uninstall_can_be_previewed() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    let first = json!({"values": {"extra": true, "kept": true}});
    only(&bed.install(&digest, "back", first).await, "succeeded");
    let second = json!({"values": {"message": "new", "kept": true}});
    only(&bed.upgrade(&digest, "back", second).await, "succeeded");

    let body = json!({"namespace": "back", "targets": {"names": ["full"]}, "dryRun": "server"});
    let path = "/charts/back/rollback";
    let back = preview(bed, Method::POST, path, &body).await;
    assert_eq!(back["items"][0]["action"], "rollback", "{back:#}");
    let settings = change_of(&back, "objects", "back-settings");
    assert_eq!(
        settings["patch"],
        json!([{"path": "/data/message", "old": "new", "new": "hello"}])
    );
    assert_eq!(change_of(&back, "objects", "back-extra")["what"], "created");
    let missing = merged(body.clone(), json!({"toRevision": 9}));
    let missing = preview(bed, Method::POST, path, &missing).await;
    assert_eq!(missing["errors"][0]["reason"], "NotFound", "{missing:#}");

    let gone = "/charts/back?namespace=back&clusters=full&dryRun=server";
    let gone = preview(bed, Method::DELETE, gone, &Value::Null).await;
    for (name, what) in [
        ("back-settings", "deleted"),
        ("back-login", "deleted"),
        ("back-kept", "kept"),
    ] {
        assert_eq!(change_of(&gone, "objects", name)["what"], what, "{gone:#}");
    }
    let said = [
        "chart",
        "delete",
        "back",
        "--clusters",
        "full",
        "-n",
        "back",
        "--dry-run",
    ];
    let said = bed.gateway.run_ok(&said).await.unwrap();
    assert!(
        said.contains("deleted") && said.contains("back-settings"),
        "{said}"
    );
    let said = [
        "chart",
        "rollback",
        "back",
        "--clusters",
        "full",
        "-n",
        "back",
        "--dry-run",
    ];
    let said = bed.gateway.run_ok(&said).await.unwrap();
    assert!(said.contains("/data/message"), "{said}");

    let client = bed.gateway.client().unwrap();
    for body in [
        json!({"namespace": "back", "targets": {"names": ["full"]}, "dryRun": "render"}),
        json!({"namespace": "back", "targets": {"names": ["full"]}, "dryRun": "perhaps"}),
    ] {
        let reply = client.json(Method::POST, path, &body).await.unwrap();
        assert_eq!(reply.status, 422, "{}", reply.text);
    }
    let item = bed.item("back", "").await;
    assert_eq!(
        (&item["revision"], &item["status"]),
        (&json!(2), &json!("deployed"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_names_what_is_not_as_the_release_says() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    only(
        &bed.install(&digest, "drifting", json!({})).await,
        "succeeded",
    );
    let calm = bed.item("drifting", "/drift").await;
    assert_eq!(calm["drifted"], false, "{calm:#}");
    assert_eq!(calm["checked"], 4);

    let folder = "/api/v1/namespaces/drifting";
    let settings = format!("{folder}/configmaps/drifting-settings");
    let patch = json!({"data": {"message": "by hand"}});
    bed.full.admin().merge(&settings, &patch).await.unwrap();
    let login = json!({"stringData": {"password": "found-out"}});
    bed.full
        .admin()
        .merge(&format!("{folder}/secrets/drifting-login"), &login)
        .await
        .unwrap();
    bed.full
        .admin()
        .delete(&format!("{folder}/services/drifting"))
        .await
        .unwrap();

    let drift = bed.item("drifting", "/drift").await;
    assert_eq!(drift["drifted"], true);
    let of = |name: &str, kind: &str| {
        let objects = drift["objects"].as_array().unwrap();
        let found = objects
            .iter()
            .find(|o| o["name"] == name && o["kind"] == kind);
        found
            .unwrap_or_else(|| panic!("nothing about {name}: {drift:#}"))
            .clone()
    };
    assert_eq!(
        of("drifting-settings", "v1/ConfigMap")["patch"],
        json!([{"path": "/data/message", "old": "by hand", "new": "hello"}])
    );
    assert_eq!(of("drifting", "v1/Service")["what"], "created");
    assert_eq!(of("drifting-login", "v1/Secret")["what"], "changed");
    assert_eq!(drift["objects"].as_array().unwrap().len(), 3);
    assert!(!drift.to_string().contains("Zm91bmQtb3V0"));
    assert_eq!(
        object(&bed.full, &settings).await.unwrap()["data"]["message"],
        "by hand"
    );

    // An upgrade with the same chart and values makes no revision; with force it mends.
    let mended = bed
        .upgrade(&digest, "drifting", json!({"options": {"force": true}}))
        .await;
    only(&mended, "succeeded");
    assert_eq!(bed.item("drifting", "/drift").await["drifted"], false);
}

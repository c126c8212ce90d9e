//! What happens within a change: hooks, failures, undoing, what stays.

use serde_json::json;

use crate::bed::{bed, object, only, upload, web};

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_are_awaited_and_fail_a_change() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    let done = bed
        .install(&digest, "hooked", json!({"values": {"hook": "job"}}))
        .await;
    only(&done, "succeeded");
    let job = object(
        &bed.full,
        "/apis/batch/v1/namespaces/hooked/jobs/hooked-before",
    )
    .await;
    assert_eq!(job.unwrap()["status"]["succeeded"], 1);

    let failed = bed
        .upgrade(
            &digest,
            "hooked",
            json!({"values": {"hook": "fail", "message": "new"}}),
        )
        .await;
    let row = only(&failed, "failed");
    assert!(
        row["message"]
            .as_str()
            .unwrap()
            .contains("failed pre-upgrade"),
        "{failed:#}"
    );
    let settings = "/api/v1/namespaces/hooked/configmaps/hooked-settings";
    assert_eq!(
        object(&bed.full, settings).await.unwrap()["data"]["message"],
        "hello",
        "nothing was applied"
    );
    let history = bed.item("hooked", "/history").await;
    assert_eq!(history["revisions"][0]["status"], "failed");
    assert_eq!(history["revisions"][1]["status"], "deployed");

    // A failed revision is no lock.
    let fixed = bed
        .upgrade(&digest, "hooked", json!({"values": {"message": "new"}}))
        .await;
    only(&fixed, "succeeded");

    let failing = bed
        .upgrade(&digest, "hooked", json!({"values": {"failing": true}}))
        .await;
    only(&failing, "succeeded");
    let tested = bed.act("hooked", "test", json!({})).await;
    assert_eq!(tested["state"], "failed", "{tested:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_change_that_fails_is_undone() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    let atomic = json!({"options": {"atomic": true}, "values": {"broken": true}});
    let failed = bed.install(&digest, "atom", atomic.clone()).await;
    let row = only(&failed, "failed");
    assert!(
        row["message"].as_str().unwrap().contains("uninstalled"),
        "{failed:#}"
    );
    let settings = "/api/v1/namespaces/atom/configmaps/atom-settings";
    assert!(object(&bed.full, settings).await.is_none());

    only(
        &bed.install(&digest, "atom", json!({"values": {"message": "good"}}))
            .await,
        "succeeded",
    );
    let values = json!({"values": {"message": "bad"}});
    let failed = bed
        .upgrade(&digest, "atom", crate::bed::merged(atomic, values))
        .await;
    let row = only(&failed, "failed");
    assert!(
        row["message"].as_str().unwrap().contains("rolled back"),
        "{failed:#}"
    );
    assert_eq!(
        object(&bed.full, settings).await.unwrap()["data"]["message"],
        "good"
    );
    assert_eq!(bed.item("atom", "").await["revision"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_so_outlives_its_release_and_what_is_anothers_is_left_alone() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    only(
        &bed.install(&digest, "keeper", json!({"values": {"kept": true}}))
            .await,
        "succeeded",
    );
    only(&bed.uninstall("keeper").await, "succeeded");
    let kept = "/api/v1/namespaces/keeper/configmaps/keeper-kept";
    assert!(object(&bed.full, kept).await.is_some());

    // Somebody else's object is not taken over unless that was asked for.
    let foreign = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "owned-settings", "namespace": "owned"}, "data": {"message": "theirs"},
    });
    bed.full.create_namespace("owned").await.unwrap();
    bed.full.create(&foreign).await.unwrap();
    let refused = bed.install(&digest, "owned", json!({})).await;
    let row = only(&refused, "failed");
    assert_eq!(row["reason"], "Conflict", "{refused:#}");
    assert!(
        row["message"]
            .as_str()
            .unwrap()
            .contains("invalid ownership metadata")
    );
    assert!(
        object(&bed.full, "/api/v1/namespaces/owned/services/owned")
            .await
            .is_none()
    );
    let taken = json!({"options": {"takeOwnership": true, "force": true}});
    only(&bed.install(&digest, "owned", taken).await, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_what_was_not_ready() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    let more = json!({"values": {"stuck": true}, "options": {"timeoutSeconds": 2}});
    let failed = bed.install(&digest, "stuck", more).await;
    let row = only(&failed, "failed");
    assert_eq!(row["reason"], "Timeout", "{failed:#}");
    assert!(
        row["message"]
            .as_str()
            .unwrap()
            .contains("Deployment \"stuck\""),
        "{failed:#}"
    );
    assert_eq!(bed.item("stuck", "").await["status"], "failed");
}

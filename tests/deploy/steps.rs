//! What happens within a change: hooks, failures, undoing, what stays.

use helm_chart::File;
use optikon_tests::archive;
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

/// A chart with one Job, whose pods are as these lines say.
fn with_job(pod: &str) -> Vec<u8> {
    let job = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: load}}\nspec:\n  backoffLimit: 0\n  template:\n{pod}"
    );
    let head = b"apiVersion: v2\nname: loads\nversion: 1.0.0\n".to_vec();
    let files = [
        File::new("Chart.yaml", head),
        File::new("templates/job.yaml", job.into_bytes()),
    ];
    archive::pack("loads", &files).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_waited_for_to_their_end_when_that_is_asked_for() {
    const SPEC: &str =
        "    spec: {restartPolicy: Never, containers: [{name: a, image: a}], nodeSelector: {at: ";
    let bed = bed().await;
    // No node is like that: its Job starts and never ends.
    let endless = with_job(&format!("{SPEC}nowhere}}}}\n"));
    let endless = upload(&bed.gateway, endless).await.unwrap();
    let started = json!({"options": {"wait": true}});
    only(&bed.install(&endless, "begins", started).await, "succeeded");
    let more = json!({"options": {"waitForJobs": true, "timeoutSeconds": 2}});
    let failed = bed.install(&endless, "never-ends", more).await;
    let row = only(&failed, "failed");
    assert_eq!(row["reason"], "Timeout", "{failed:#}");
    let message = row["message"].as_str().unwrap();
    assert!(message.contains("the job is not complete"), "{message}");

    let plain = "    spec: {restartPolicy: Never, containers: [{name: a, image: a}]}\n";
    let file = bed.file("loads.tgz", &with_job(plain));
    let (file, namespace) = (file.to_str().unwrap(), "ends");
    let mut install = vec!["chart", "install", "ends", file, "--clusters", "full"];
    install.extend(["-n", namespace, "--create-namespace", "--wait"]);
    install.push("--wait-for-jobs");
    bed.gateway.run_ok(&install).await.unwrap();
    let path = "/apis/batch/v1/namespaces/ends/jobs/load";
    let job = object(&bed.full, path).await.unwrap();
    assert_eq!(job["status"]["succeeded"], 1, "{job:#}");

    let fails = "    metadata: {annotations: {testbed.optikon.io/fail: \"true\"}}\n";
    let digest = with_job(&format!("{fails}{plain}"));
    let digest = upload(&bed.gateway, digest).await.unwrap();
    let more = json!({"options": {"waitForJobs": true}});
    let failed = bed.install(&digest, "fails", more).await;
    let message = only(&failed, "failed")["message"].as_str().unwrap();
    assert!(message.contains("the job failed"), "{failed:#}");
}

//! What a change of a release does, step by step.

use futures::executor::block_on;
use optikon_plugin_sdk::ErrorCode;
use serde_json::{Value, json};

use super::bed::*;
use crate::view;

#[test]
fn a_release_lives_and_dies_as_with_helm() {
    let bed = Bed::default();
    let made = bed
        .install(&[A, B], &json!({"createNamespace": true}))
        .unwrap();
    assert_eq!(
        (
            made.changed,
            made.release.revision,
            made.release.status.as_str()
        ),
        (true, 1, "deployed")
    );
    assert_eq!(
        bed.server.get("/api/v1/namespaces/demo").unwrap()["metadata"]["labels"]["name"],
        "demo"
    );
    let a = bed.server.get(&format!("{MAPS}/a")).unwrap();
    assert_eq!(
        a["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "Helm"
    );
    assert_eq!(
        a["metadata"]["annotations"]["meta.helm.sh/release-name"],
        "rel"
    );
    assert!(
        !bed.record(1).manifest.contains("managed-by"),
        "marks stay out of the manifest"
    );
    assert_eq!(bed.record(1).apply_method, "ssa");

    let error = bed.install(&[A], &json!({})).unwrap_err();
    assert_eq!(error.code, ErrorCode::AlreadyExists);

    let same = bed.upgrade(&[A, B], "{}", &json!({})).unwrap();
    assert_eq!((same.changed, same.release.revision), (false, 1));
    let changed = bed.upgrade(&[A], "v: \"2\"", &json!({})).unwrap();
    assert_eq!((changed.changed, changed.release.revision), (true, 2));
    assert!(bed.has("a") && !bed.has("b"));
    assert_eq!(bed.statuses(), ["1 superseded", "2 deployed"]);

    let back = block_on(bed.flow(&json!({})).rollback(0)).unwrap();
    assert_eq!(back.release.revision, 3);
    assert!(bed.has("b"));
    let third = bed.record(3);
    assert_eq!(
        (
            third.info.description.as_str(),
            third.info.rollback_revision
        ),
        ("Rollback to 1", 1)
    );
    assert_eq!(
        bed.statuses(),
        ["1 superseded", "2 superseded", "3 deployed"]
    );
    let missing = block_on(bed.flow(&json!({})).rollback(9)).unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);

    let history = block_on(view::history(&bed.server, "demo", "rel", 2)).unwrap();
    assert_eq!(
        history.iter().map(|r| r.revision).collect::<Vec<_>>(),
        [3, 2]
    );
    let list = block_on(view::list(&bed.server, None, "re")).unwrap();
    assert_eq!((list.len(), list[0].revision), (1, 3));
    let details: Value = serde_json::from_str(&list[0].details).unwrap();
    assert_eq!(
        (&details["chart"], &details["appVersion"]),
        (&json!("c-1.0.0"), &json!("7"))
    );
    assert!(
        block_on(view::list(&bed.server, None, "other"))
            .unwrap()
            .is_empty()
    );
    let content = block_on(view::content(&bed.server, "demo", "rel", 2)).unwrap();
    assert_eq!(content.values, r#"{"v":"2"}"#);

    let gone = block_on(bed.flow(&json!({"keepHistory": true})).uninstall()).unwrap();
    assert_eq!(gone.release.status, "uninstalled");
    assert!(!bed.has("a") && !bed.has("b"));
    assert_eq!(
        bed.statuses(),
        ["1 superseded", "2 superseded", "3 uninstalled"]
    );
    let again = bed.upgrade(&[A], "{}", &json!({"install": true})).unwrap();
    assert_eq!(again.release.revision, 4);
    block_on(bed.flow(&json!({})).uninstall()).unwrap();
    assert_eq!(bed.statuses(), [] as [&str; 0]);
    let nothing = block_on(bed.flow(&json!({})).uninstall()).unwrap();
    assert!(!nothing.changed);
}

#[test]
fn objects_of_others_are_left_alone() {
    let bed = Bed::default();
    bed.server
        .put(&format!("{MAPS}/a"), json!({"metadata": {"name": "a"}}));
    let error = bed.install(&[A], &json!({})).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(
        error
            .message
            .contains("ConfigMap \"a\" in namespace \"demo\" exists and cannot be imported"),
        "{}",
        error.message
    );
    assert_eq!(bed.statuses(), [] as [&str; 0]);
    assert!(
        bed.install(&[A], &json!({"takeOwnership": true}))
            .unwrap()
            .changed
    );
    bed.server
        .objects
        .borrow_mut()
        .get_mut(&format!("{MAPS}/a"))
        .unwrap()["metadata"]["annotations"]["meta.helm.sh/release-name"] = json!("other");
    block_on(bed.flow(&json!({})).uninstall()).unwrap();
    assert!(bed.has("a"), "it belongs to another release now");
}

/// Helm's rule: what a rollback applies the chart has rendered before, so it is marked as the release's own without a look
/// at whose it is by now.
#[test]
fn a_rollback_takes_back_what_became_anothers_and_leaves_alone_what_it_drops() {
    let bed = Bed::default();
    bed.install(&[A], &json!({})).unwrap();
    bed.upgrade(&[B], "{}", &json!({})).unwrap();
    assert!(bed.has("b") && !bed.has("a"));
    let others = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "annotations": {"meta.helm.sh/release-name": "other"}},
        })
    };
    for name in ["a", "b"] {
        bed.server.put(&format!("{MAPS}/{name}"), others(name));
    }
    let again = bed.upgrade(&[A], "{}", &json!({})).unwrap_err();
    assert_eq!(again.code, ErrorCode::Conflict, "an upgrade does look");
    block_on(bed.flow(&json!({})).rollback(1)).unwrap();
    let owner = |name: &str| {
        let object = bed.server.get(&format!("{MAPS}/{name}")).unwrap();
        object["metadata"]["annotations"]["meta.helm.sh/release-name"].clone()
    };
    assert_eq!((owner("a"), owner("b")), (json!("rel"), json!("other")));
}

#[test]
fn in_a_namespace_that_is_made_nothing_has_to_be_looked_for() {
    let asked = |bed: &Bed| {
        let asked = bed.server.asked.borrow();
        let looks = asked
            .iter()
            .filter(|a| a.starts_with(&format!("GET {MAPS}/")));
        looks.count()
    };
    let options = json!({"createNamespace": true});
    let bed = Bed::default();
    bed.install(&[A, B], &options).unwrap();
    assert_eq!(asked(&bed), 0);

    let bed = Bed::default();
    bed.server.put(
        "/api/v1/namespaces/demo",
        json!({"metadata": {"name": "demo"}}),
    );
    bed.server
        .put(&format!("{MAPS}/a"), json!({"metadata": {"name": "a"}}));
    let error = bed.install(&[A, B], &options).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict, "it is another's");
    assert_eq!(bed.statuses(), [] as [&str; 0]);
}

#[test]
fn what_says_that_it_stays_stays() {
    let bed = Bed::default();
    bed.install(&[A, KEPT], &json!({})).unwrap();
    bed.upgrade(&[A], "{}", &json!({})).unwrap();
    assert!(bed.has("b"));
    block_on(bed.flow(&json!({})).uninstall()).unwrap();
    assert!(bed.has("b") && !bed.has("a"));
}

#[test]
fn hooks_run_before_and_are_removed_as_they_say() {
    let bed = Bed::default();
    *bed.server.touch.borrow_mut() = Some(Box::new(job_done));
    bed.install(&[A, HOOK], &json!({})).unwrap();
    let writes = bed.server.writes();
    let job = "/apis/batch/v1/namespaces/demo/jobs/h";
    assert_eq!(
        writes,
        [
            format!("PATCH {job}"),
            format!("DELETE {job}"),
            format!("PATCH {MAPS}/a")
        ]
    );
    assert_eq!(bed.record(1).hooks[0].last_run.phase, "Succeeded");
    bed.upgrade(&[A, HOOK], "v: x", &json!({"noHooks": true}))
        .unwrap();
    assert_eq!(bed.server.writes().len(), 4);
}

#[test]
fn a_failing_hook_fails_the_release_before_anything_is_applied() {
    let bed = Bed::default();
    *bed.server.touch.borrow_mut() = Some(Box::new(|object| {
        object["status"] = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]});
    }));
    let error = bed.install(&[A, HOOK], &json!({})).unwrap_err();
    assert!(
        error
            .message
            .starts_with("failed pre-install: hook Job \"h\""),
        "{}",
        error.message
    );
    assert!(!bed.has("a"));
    assert_eq!(bed.statuses(), ["1 failed"]);
    assert!(
        bed.record(1)
            .info
            .description
            .starts_with("Release \"rel\" failed: failed pre-install")
    );
}

#[test]
fn atomic_undoes_what_never_becomes_ready() {
    let bed = Bed::default();
    let options = json!({"atomic": true, "timeoutMs": 5000});
    let error = bed.install(&[A, DEPLOYMENT], &options).unwrap_err();
    assert_eq!(error.code, ErrorCode::Timeout);
    assert!(
        error.message.contains("uninstalled due to atomic")
            && error.message.contains("Deployment \"d\""),
        "{}",
        error.message
    );
    assert_eq!((bed.has("a"), bed.statuses().len()), (false, 0));

    bed.install(&[A, B], &json!({})).unwrap();
    let error = bed.upgrade(&[A, DEPLOYMENT], "{}", &options).unwrap_err();
    assert!(
        error.message.contains("rolled back due to atomic"),
        "{}",
        error.message
    );
    assert_eq!(bed.statuses(), ["1 superseded", "2 failed", "3 deployed"]);
    assert!(bed.has("b"));
    assert!(
        bed.server
            .get("/apis/apps/v1/namespaces/demo/deployments/d")
            .is_none()
    );
}

#[test]
fn waiting_ends_when_everything_is_ready() {
    let bed = Bed::default();
    *bed.server.touch.borrow_mut() = Some(Box::new(|object| {
        if object["kind"] == "Deployment" {
            object["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
                "conditions": [{"type": "Available", "status": "True"}]});
        }
    }));
    bed.install(&[DEPLOYMENT], &json!({"wait": true})).unwrap();
    assert!(bed.clock.reports.borrow().contains(&"wait".to_owned()));
}

#[test]
fn a_change_cut_off_anywhere_goes_on_and_happens_once() {
    for dies_after in 0..12 {
        let bed = Bed::default();
        *bed.server.touch.borrow_mut() = Some(Box::new(job_done));
        bed.operation("op1");
        bed.server.writes_left.set(Some(dies_after));
        let first = bed.install(&[A, B, HOOK], &json!({}));
        bed.server.writes_left.set(None);
        let second = bed.install(&[A, B, HOOK], &json!({})).unwrap();
        assert_eq!(
            (
                second.changed,
                second.release.revision,
                second.release.status.as_str()
            ),
            (true, 1, "deployed"),
            "died after {dies_after} writes: {first:?}"
        );
        assert_eq!(second.release.operation.as_deref(), Some("op1"));
        assert_eq!(bed.statuses(), ["1 deployed"]);
        assert!(bed.has("a") && bed.has("b"));

        bed.operation("op2");
        bed.server.writes_left.set(Some(dies_after));
        let first = bed.upgrade(&[A, HOOK], "v: z", &json!({}));
        bed.server.writes_left.set(None);
        let second = bed.upgrade(&[A, HOOK], "v: z", &json!({})).unwrap();
        assert_eq!(
            (second.changed, second.release.revision),
            (true, 2),
            "died after {dies_after} writes: {first:?}"
        );
        assert_eq!(bed.statuses(), ["1 superseded", "2 deployed"]);
        assert!(!bed.has("b"));

        bed.operation("op3");
        bed.server.writes_left.set(Some(dies_after));
        let first = block_on(bed.flow(&json!({})).rollback(0));
        bed.server.writes_left.set(None);
        let second = block_on(bed.flow(&json!({})).rollback(0)).unwrap();
        assert_eq!(
            second.release.revision, 3,
            "died after {dies_after} writes: {first:?}"
        );
        assert_eq!(
            bed.statuses(),
            ["1 superseded", "2 superseded", "3 deployed"]
        );

        bed.operation("op4");
        bed.server.writes_left.set(Some(dies_after));
        let first = block_on(bed.flow(&json!({})).uninstall());
        bed.server.writes_left.set(None);
        block_on(bed.flow(&json!({})).uninstall()).unwrap();
        assert_eq!(
            bed.statuses(),
            [] as [&str; 0],
            "died after {dies_after} writes: {first:?}"
        );
        assert!(!bed.has("a"));
    }
}

#[test]
fn the_mark_of_an_operation_counts_only_on_its_own_revision() {
    let bed = Bed::default();
    bed.operation("op1");
    bed.install(&[A], &json!({})).unwrap();
    // Another tool made revision 2 and copied the labels, as Helm does.
    let mut copy = bed
        .server
        .get(&format!("{SECRETS}/sh.helm.release.v1.rel.v1"))
        .unwrap();
    let mut record = bed.record(1);
    record.version = 2;
    let encoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(record.encode().unwrap())
    };
    copy["data"]["release"] = json!(encoded);
    copy["metadata"]["labels"]["version"] = json!("2");
    copy["metadata"]["name"] = json!("sh.helm.release.v1.rel.v2");
    bed.server
        .put(&format!("{SECRETS}/sh.helm.release.v1.rel.v2"), copy);
    let history = block_on(view::history(&bed.server, "demo", "rel", 0)).unwrap();
    assert_eq!(history[0].operation, None);
    assert_eq!(history[1].operation.as_deref(), Some("op1"));
}

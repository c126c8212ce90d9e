//! Locks, values, history, definitions, previews and tests of a release.

use futures::executor::block_on;
use optikon_plugin_sdk::ErrorCode;
use serde_json::{Value, json};

use super::bed::*;

#[test]
fn a_change_under_way_is_a_lock_that_force_clears() {
    let bed = Bed::default();
    bed.install(&[A], &json!({})).unwrap();
    bed.operation("dead");
    // The Secret of the new revision, and then nothing more.
    bed.server.writes_left.set(Some(1));
    bed.upgrade(&[A], "v: x", &json!({})).unwrap_err();
    bed.server.writes_left.set(None);
    assert_eq!(bed.statuses(), ["1 deployed", "2 pending-upgrade"]);
    bed.operation("other");
    let error = bed.upgrade(&[A], "v: y", &json!({})).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(
        error
            .message
            .contains("another operation (install/upgrade/rollback) is in progress")
    );
    bed.upgrade(&[A], "v: y", &json!({"force": true})).unwrap();
    assert_eq!(bed.statuses(), ["1 superseded", "2 failed", "3 deployed"]);
}

#[test]
fn values_of_the_revision_before_are_used_as_asked() {
    let config = |values: &str, options: &Value| {
        let bed = Bed::default();
        let plan = bed.plan(&[A, ("values.yaml", "old: 1\n")], "{v: \"1\", w: 1}");
        block_on(bed.flow(&json!({})).install(plan)).unwrap();
        let outcome = bed.upgrade(&[A, ("values.yaml", "new: 1\n"), ("templates/e.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: e}\ndata: {all: {{ toJson .Values | quote }}}\n")], values, options).unwrap();
        assert_eq!(outcome.release.revision, 2);
        let all = bed.server.get(&format!("{MAPS}/e")).unwrap()["data"]["all"]
            .as_str()
            .unwrap()
            .to_owned();
        (Value::Object(bed.record(2).config).to_string(), all)
    };
    let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        config("{}", &json!({})),
        text(r#"{"v":"1","w":1}"#, r#"{"new":1,"v":"1","w":1}"#)
    );
    assert_eq!(
        config("v: \"2\"", &json!({})),
        text(r#"{"v":"2"}"#, r#"{"new":1,"v":"2"}"#)
    );
    assert_eq!(
        config("{}", &json!({"resetValues": true})),
        text("{}", r#"{"new":1}"#)
    );
    assert_eq!(
        config("v: \"2\"", &json!({"reuseValues": true})),
        text(r#"{"v":"2","w":1}"#, r#"{"old":1,"v":"2","w":1}"#)
    );
    assert_eq!(
        config("v: \"2\"", &json!({"resetThenReuseValues": true})),
        text(r#"{"v":"2","w":1}"#, r#"{"new":1,"v":"2","w":1}"#)
    );
}

#[test]
fn a_plan_whose_templates_asked_for_the_revision_is_made_for_it() {
    let bed = Bed::default();
    let template = (
        "templates/r.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: r}\ndata: {r: \"{{ .Release.Revision }} {{ .Release.IsUpgrade }}\"}\n",
    );
    let told = || bed.server.get(&format!("{MAPS}/r")).unwrap()["data"]["r"].clone();
    bed.install(&[template], &json!({})).unwrap();
    assert_eq!(told(), "1 false");
    bed.upgrade(&[template], "{}", &json!({})).unwrap();
    assert_eq!(told(), "2 true");
}

#[test]
fn old_revisions_are_forgotten_but_never_the_deployed_one() {
    let bed = Bed::default();
    bed.install(&[A], &json!({})).unwrap();
    for v in 2..6 {
        bed.upgrade(&[A], &format!("v: \"{v}\""), &json!({"historyMax": 3}))
            .unwrap();
    }
    assert_eq!(
        bed.statuses(),
        ["3 superseded", "4 superseded", "5 deployed"]
    );
    bed.server
        .refusals
        .borrow_mut()
        .push(("PATCH", "configmaps/a".into(), 422));
    for v in 6..9 {
        bed.upgrade(&[A], &format!("v: \"{v}\""), &json!({"historyMax": 2}))
            .unwrap_err();
    }
    assert_eq!(bed.statuses(), ["5 deployed", "7 failed", "8 failed"]);
}

#[test]
fn a_release_of_helm_3_is_moved_to_server_side_apply_once() {
    let bed = Bed::default();
    bed.install(&[A], &json!({})).unwrap();
    let path = format!("{SECRETS}/sh.helm.release.v1.rel.v1");
    let mut record = bed.record(1);
    record.apply_method.clear();
    let encoded = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(record.encode().unwrap())
    };
    bed.server.objects.borrow_mut().get_mut(&path).unwrap()["data"]["release"] = json!(encoded);
    bed.server
        .objects
        .borrow_mut()
        .get_mut(&format!("{MAPS}/a"))
        .unwrap()["metadata"]["managedFields"] =
        json!([{"manager": "helm", "operation": "Update", "fieldsV1": {"f:data": {"f:v": {}}}}]);
    bed.upgrade(&[A], "v: \"2\"", &json!({})).unwrap();
    let fields = bed.server.get(&format!("{MAPS}/a")).unwrap()["metadata"]["managedFields"].clone();
    assert_eq!(
        fields,
        json!([{"apiVersion": "v1", "manager": "helm", "operation": "Apply", "fieldsV1": {"f:data": {"f:v": {}}}}])
    );
    assert_eq!(bed.record(2).apply_method, "ssa");
}

#[test]
fn definitions_are_created_when_missing_and_left_alone_otherwise() {
    let bed = Bed::default();
    let crd = (
        "crds/w.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: w}\nspec: {new: true}\n",
    );
    *bed.server.touch.borrow_mut() = Some(Box::new(|object| {
        object["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
    }));
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/w";
    bed.install(&[A, crd], &json!({})).unwrap();
    assert_eq!(bed.server.get(path).unwrap()["spec"]["new"], true);
    block_on(bed.flow(&json!({})).uninstall()).unwrap();
    bed.server.put(
        path,
        json!({"metadata": {"name": "w"}, "spec": {"new": false}}),
    );
    bed.install(&[A, crd], &json!({})).unwrap();
    assert_eq!(bed.server.get(path).unwrap()["spec"]["new"], false);
}

#[test]
fn a_definition_that_the_cluster_does_not_serve_ends_the_install() {
    let bed = Bed::default();
    let old = (
        "crds/w.yaml",
        "apiVersion: x.io/v1\nkind: Gone\nmetadata: {name: w}\n",
    );
    let error = bed.install(&[A, old], &json!({})).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(
        error.message.contains("no matches for kind \"Gone\""),
        "{}",
        error.message
    );
    assert!(!bed.has("a"));
    assert!(bed.install(&[A, old], &json!({"skipCrds": true})).is_ok());
}

#[test]
fn a_preview_says_what_would_change_and_changes_nothing() {
    let bed = Bed::default();
    let preview = |files: &[(&str, &str)], values: &str| {
        let mut changes: Vec<String> =
            block_on(bed.flow(&json!({})).preview(bed.plan(files, values)))
                .unwrap()
                .into_iter()
                .map(|c| format!("{} {} {} {}", c.kind, c.name, c.what, c.patch))
                .collect();
        changes.sort();
        changes
    };
    assert_eq!(preview(&[A], "{}"), ["v1/ConfigMap a created []"]);
    assert!(bed.server.objects.borrow().is_empty());
    bed.install(&[A, B], &json!({})).unwrap();
    let before = bed.server.objects.borrow().clone();
    assert_eq!(
        preview(&[A, B], "{}"),
        ["v1/ConfigMap a unchanged []", "v1/ConfigMap b unchanged []"]
    );
    assert_eq!(
        preview(&[A, DEPLOYMENT], "v: \"5\""),
        [
            "apps/v1/Deployment d created []",
            r#"v1/ConfigMap a changed [{"new":"5","old":"0","path":"/data/v"}]"#,
            "v1/ConfigMap b deleted []",
        ]
    );
    assert_eq!(*bed.server.objects.borrow(), before);
}

/// Where the newest revision failed, what the deployed one has goes as well.
#[test]
fn a_rollbacks_preview_is_what_the_rollback_does() {
    let bed = Bed::default();
    bed.install(&[A], &json!({})).unwrap();
    bed.upgrade(&[A, B], "{}", &json!({})).unwrap();
    let refusal = ("PATCH", "deployments/d".to_owned(), 500);
    bed.server.refusals.borrow_mut().push(refusal);
    bed.upgrade(&[A, DEPLOYMENT], "{}", &json!({})).unwrap_err();
    bed.server.refusals.borrow_mut().clear();
    assert!(bed.has("b"), "the failed upgrade did not come to it");
    let options = json!({"preview": "rollback", "toRevision": 1});
    let said = block_on(bed.flow(&options).preview_without_plan()).unwrap();
    let said = said.into_iter().map(|c| format!("{} {}", c.name, c.what));
    let said: Vec<String> = said.collect();
    assert_eq!(said, ["a unchanged", "b deleted"]);
    block_on(bed.flow(&json!({})).rollback(1)).unwrap();
    assert!(bed.has("a") && !bed.has("b"));
}

#[test]
fn tests_run_again_each_time_and_change_no_revision() {
    let bed = Bed::default();
    *bed.server.touch.borrow_mut() = Some(Box::new(|object| {
        if object["kind"] == "Pod" {
            object["status"] = json!({"phase": "Succeeded"});
        }
    }));
    let test = (
        "templates/t.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\n",
    );
    bed.install(&[A, test], &json!({})).unwrap();
    assert!(bed.server.get("/api/v1/namespaces/demo/pods/t").is_none());
    for _ in 0..2 {
        let outcome = block_on(bed.flow(&json!({})).run_tests()).unwrap();
        assert_eq!((outcome.changed, outcome.release.revision), (false, 1));
    }
    assert_eq!(bed.record(1).hooks[0].last_run.phase, "Succeeded");
    *bed.server.touch.borrow_mut() = Some(Box::new(|object| {
        object["status"] = json!({"phase": "Failed"})
    }));
    let error = block_on(bed.flow(&json!({})).run_tests()).unwrap_err();
    assert!(
        error.message.starts_with("failed test: hook Pod \"t\""),
        "{}",
        error.message
    );
    assert_eq!(bed.statuses(), ["1 deployed"]);
}

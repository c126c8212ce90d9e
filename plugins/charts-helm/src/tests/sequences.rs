//! Installs, upgrades, rollbacks and removals, whole and cut off.

use std::rc::Rc;

use futures::executor::block_on;
use helm_functions::NativeEnvironment;
use optikon_plugin_sdk::{Error, ErrorCode, charts::Outcome};
use serde_json::{Value, json};

use super::server::{Clock, Fixed, Server, archive};
use crate::{
    flow::Flow,
    plan::{Plan, prepare},
    record::Record,
    store::stored_of,
    view,
};

const CHART: (&str, &str) = (
    "Chart.yaml",
    "apiVersion: v2\nname: c\nversion: 1.0.0\nappVersion: \"7\"\n",
);
const A: (&str, &str) = (
    "templates/a.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {v: {{ .Values.v | default \"0\" | quote }}}\n",
);
const B: (&str, &str) = (
    "templates/b.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n",
);
const KEPT: (&str, &str) = (
    "templates/b.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, annotations: {helm.sh/resource-policy: keep}}\n",
);
const DEPLOYMENT: (&str, &str) = (
    "templates/d.yaml",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: 1}\n",
);
const HOOK: (&str, &str) = (
    "templates/h.yaml",
    "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: \"pre-install,pre-upgrade\", helm.sh/hook-delete-policy: \"before-hook-creation,hook-succeeded\"}}\n",
);
const MAPS: &str = "/api/v1/namespaces/demo/configmaps";
const SECRETS: &str = "/api/v1/namespaces/demo/secrets";

#[derive(Default)]
struct Bed {
    server: Server,
    clock: Clock,
}

impl Bed {
    fn flow(&self, options: &Value) -> Flow<'_, Server, Clock, Fixed> {
        let target = Rc::new(Fixed::default());
        Flow::new(
            &self.server,
            &self.clock,
            target,
            Rc::new(NativeEnvironment),
            &options.to_string(),
        )
        .unwrap()
    }

    fn plan(&self, files: &[(&str, &str)], values: &str) -> Plan {
        let mut all = vec![CHART];
        all.extend_from_slice(files);
        let target = Rc::new(Fixed {
            action: "install".into(),
            revision: 1,
            ..Fixed::default()
        });
        block_on(prepare(
            &archive(&all),
            &[values.to_owned()],
            target,
            Rc::new(NativeEnvironment),
            Some(&self.server),
        ))
        .unwrap()
    }

    fn install(&self, files: &[(&str, &str)], options: &Value) -> Result<Outcome, Error> {
        block_on(self.flow(options).install(self.plan(files, "{}")))
    }

    fn upgrade(
        &self,
        files: &[(&str, &str)],
        values: &str,
        options: &Value,
    ) -> Result<Outcome, Error> {
        block_on(self.flow(options).upgrade(self.plan(files, values)))
    }

    fn record(&self, version: u32) -> Record {
        let path = format!("{SECRETS}/sh.helm.release.v1.rel.v{version}");
        stored_of(&self.server.get(&path).unwrap(), None)
            .unwrap()
            .record
    }

    fn statuses(&self) -> Vec<String> {
        let objects = self.server.objects.borrow();
        let mut found: Vec<_> = objects
            .iter()
            .filter(|(p, _)| p.contains("/sh.helm.release"))
            .map(|(p, v)| {
                let record = stored_of(v, None).unwrap().record;
                assert_eq!(v["metadata"]["labels"]["status"], record.info.status);
                assert!(p.ends_with(&format!("v{}", record.version)));
                (
                    record.version,
                    format!("{} {}", record.version, record.info.status),
                )
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, text)| text).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.server.get(&format!("{MAPS}/{name}")).is_some()
    }

    fn operation(&self, id: &str) {
        *self.clock.operation.borrow_mut() = Some(id.to_owned());
    }
}

fn job_done(object: &mut Value) {
    if object["kind"] == "Job" {
        object["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    }
}

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
            object["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1});
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

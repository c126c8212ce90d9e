//! Several real API servers at once, hooks as the real Helm runs them, and releases that were made client-side.

use helm_chart::File;
use optikon_tests::cluster::items;
use optikon_tests::{Cluster, Testbed, archive};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{Bed, bed, change, merged, object, only, request, run_helm, upload, web};
use crate::fleet::states;

#[tokio::test(flavor = "multi_thread")]
async fn one_operation_changes_six_real_servers() {
    let bed = bed().await;
    let bare = bed.bare().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    // The workloads of those without controllers never get ready; what is applied is there all the same.
    let more = json!({
        "options": {"wait": false},
        "targets": {"names": [], "selector": "size in (full,bare)"},
        "overrides": [{"selector": "region=a", "values": {"message": "of region a"}}],
        "strategy": {"waves": [{"selector": "size=full"}, {"percent": 40}], "maxParallel": 6},
    });
    let body = merged(request(&digest, "six", "six", &[]), more);
    let done = change(&bed.gateway, Method::POST, "/charts", &body)
        .await
        .unwrap();
    assert_eq!(states(&done)["succeeded"], 6, "{done:#}");
    assert_eq!(done["plans"], 2, "{done:#}");
    let servers: Vec<&Cluster> = std::iter::once(&bed.full).chain(bare).collect();
    for (number, server) in servers.iter().enumerate() {
        let listed = bed
            .helm_json(server, &["list", "-A", "--filter", "^six$"])
            .await;
        assert_eq!(listed[0]["status"], "deployed", "{listed}");
        let settings = "/api/v1/namespaces/six/configmaps/six-settings";
        let message = &object(server, settings).await.unwrap()["data"]["message"];
        let is_of_a = number == 1 || number == 2;
        let wanted = if is_of_a { "of region a" } else { "hello" };
        assert_eq!(message, wanted, "{}", server.name());
    }
    let path = "/charts/six?namespace=six&labelSelector=size%20in%20(full,bare)";
    let done = change(&bed.gateway, Method::DELETE, path, &Value::Null)
        .await
        .unwrap();
    assert_eq!(states(&done)["succeeded"], 6, "{done:#}");
}

/// A chart whose hooks are ConfigMaps and Jobs with weights and policies.
fn hooked(fails: bool) -> Vec<u8> {
    let hook = |kind: &str, name: &str, weight: i32, event: &str, policy: &str| {
        let annotations = format!(
            "metadata:\n  name: {name}\n  annotations:\n    helm.sh/hook: {event}\n    helm.sh/hook-weight: \"{weight}\"\n    helm.sh/hook-delete-policy: {policy}\n"
        );
        if kind == "ConfigMap" {
            return format!("apiVersion: v1\nkind: ConfigMap\n{annotations}");
        }
        let fail = if name == "failing" {
            "metadata: {annotations: {testbed.optikon.io/fail: \"true\"}}, "
        } else {
            ""
        };
        format!(
            "apiVersion: batch/v1\nkind: Job\n{annotations}spec:\n  backoffLimit: 0\n  template: {{{fail}spec: {{restartPolicy: Never, containers: [{{name: a, image: a}}]}}}}\n"
        )
    };
    let mut texts = vec![
        hook(
            "ConfigMap",
            "third",
            3,
            "pre-install,pre-upgrade",
            "before-hook-creation",
        ),
        hook(
            "ConfigMap",
            "first",
            -5,
            "pre-install,pre-upgrade",
            "before-hook-creation",
        ),
        hook(
            "Job",
            "second",
            0,
            "pre-install,pre-upgrade",
            "before-hook-creation",
        ),
        hook("Job", "second-b", 0, "pre-install", "hook-succeeded"),
        hook(
            "ConfigMap",
            "after",
            0,
            "post-install",
            "before-hook-creation",
        ),
        hook("ConfigMap", "removed", 9, "post-install", "hook-succeeded"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n".to_owned(),
    ];
    if fails {
        texts.push(hook("Job", "failing", 1, "pre-install", "hook-failed"));
        texts.push(hook(
            "ConfigMap",
            "never",
            2,
            "pre-install",
            "before-hook-creation",
        ));
    }
    let head = b"apiVersion: v2\nname: hooked\nversion: 1.0.0\n".to_vec();
    let mut files = vec![File::new("Chart.yaml", head)];
    for (number, text) in texts.into_iter().enumerate() {
        files.push(File::new(
            format!("templates/{number}.yaml"),
            text.into_bytes(),
        ));
    }
    archive::pack("hooked", &files).unwrap()
}

/// ConfigMaps and Jobs of a namespace by name, with their uids.
async fn made(bed: &Bed, namespace: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in [
        format!("/api/v1/namespaces/{namespace}/configmaps"),
        format!("/apis/batch/v1/namespaces/{namespace}/jobs"),
    ] {
        let list = object(&bed.full, &path).await.unwrap();
        for item in items(&list) {
            let text = |key: &str| item["metadata"][key].as_str().unwrap().to_owned();
            found.push((text("name"), text("uid")));
        }
    }
    // Every namespace gets that one.
    found.retain(|(name, _)| name != "kube-root-ca.crt");
    found.sort();
    found
}

fn names(made: &[(String, String)]) -> Vec<&str> {
    made.iter().map(|(name, _)| name.as_str()).collect()
}

/// The hooks of a record, with when they ran and how that ended.
async fn ran(bed: &Bed, namespace: &str) -> Vec<(String, String)> {
    let secret = format!("/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.hooked.v1");
    let record = crate::records::decode(&object(&bed.full, &secret).await.unwrap());
    let mut hooks: Vec<(String, String, String)> = Vec::new();
    for hook in record["hooks"].as_array().unwrap() {
        let text = |key: &str| {
            hook["last_run"][key]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        // Fractions without their last zeros: what follows them would count.
        let started = text("started_at").trim_end_matches('Z').to_owned();
        if !started.is_empty() {
            let name = hook["name"].as_str().unwrap().to_owned();
            hooks.push((started, name, text("phase")));
        }
    }
    hooks.sort();
    hooks
        .into_iter()
        .map(|(_, name, phase)| (name, phase))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_in_the_order_and_leave_behind_what_they_do_with_helm() {
    let bed = bed().await;
    let file = bed.file("hooked.tgz", &hooked(false));
    let path = file.to_str().unwrap();
    let by_helm = [
        "install",
        "hooked",
        path,
        "-n",
        "hooks-helm",
        "--create-namespace",
    ];
    bed.helm(&bed.full, &by_helm).await.unwrap();
    let digest = upload(&bed.gateway, hooked(false)).await.unwrap();
    let body = request(&digest, "hooked", "hooks-ours", &["full"]);
    let done = change(&bed.gateway, Method::POST, "/charts", &body).await;
    only(&done.unwrap(), "succeeded");
    let (theirs, ours) = (made(bed, "hooks-helm").await, made(bed, "hooks-ours").await);
    let left = ["after", "first", "plain", "second", "third"];
    assert_eq!(names(&theirs), left);
    assert_eq!(names(&ours), left);
    let order = ran(bed, "hooks-ours").await;
    assert_eq!(order, ran(bed, "hooks-helm").await);
    let order: Vec<&str> = order.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = ["first", "second", "second-b", "third", "after", "removed"];
    assert_eq!(order, wanted);

    // Those that are replaced before they run again are new objects then; the others are not touched.
    let body = merged(body, json!({"options": {"force": true}}));
    let done = change(&bed.gateway, Method::PUT, "/charts/hooked", &body).await;
    only(&done.unwrap(), "succeeded");
    let again = made(bed, "hooks-ours").await;
    let is_new = |name: &str| !ours.iter().any(|old| again.contains(old) && old.0 == name);
    for (name, wanted) in [
        ("first", true),
        ("second", true),
        ("third", true),
        ("after", false),
        ("plain", false),
    ] {
        assert_eq!(is_new(name), wanted, "{name}: {ours:?} {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_hook_is_removed_when_it_says_so_and_nothing_follows_it() {
    let bed = bed().await;
    let file = bed.file("failing.tgz", &hooked(true));
    let path = file.to_str().unwrap();
    let by_helm = [
        "install",
        "hooked",
        path,
        "-n",
        "failed-helm",
        "--create-namespace",
    ];
    bed.helm(&bed.full, &by_helm).await.unwrap_err();
    let digest = upload(&bed.gateway, hooked(true)).await.unwrap();
    let body = request(&digest, "hooked", "failed-ours", &["full"]);
    let done = change(&bed.gateway, Method::POST, "/charts", &body).await;
    let done = done.unwrap();
    let message = only(&done, "failed")["message"].as_str().unwrap();
    assert!(
        message.contains("failed pre-install: hook Job \"failing\""),
        "{message}"
    );
    let ours = made(bed, "failed-ours").await;
    assert_eq!(names(&ours), names(&made(bed, "failed-helm").await));
    assert_eq!(names(&ours), ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_made_client_side_is_moved_over_once() {
    let bed = bed().await;
    let first = bed.file("moving-1.tgz", &web("1.0.0"));
    let by_helm3 = [
        "install",
        "moving",
        first.to_str().unwrap(),
        "-n",
        "moving",
        "--create-namespace",
        "--set",
        "extra=true,message=of helm 3",
    ];
    let helm3 = Testbed::helm3().unwrap();
    run_helm(&helm3, bed.folder(), &bed.full, &by_helm3)
        .await
        .unwrap();
    let settings = "/api/v1/namespaces/moving/configmaps/moving-settings";
    let managers = |object: &Value| -> Vec<(String, String)> {
        let fields = object["metadata"]["managedFields"].as_array().unwrap();
        let text = |field: &Value, key: &str| field[key].as_str().unwrap().to_owned();
        fields
            .iter()
            .map(|f| (text(f, "manager"), text(f, "operation")))
            .collect()
    };
    let before = object(&bed.full, settings).await.unwrap();
    assert_eq!(managers(&before)[0].1, "Update", "{before:#}");

    let digest = upload(&bed.gateway, web("2.0.0")).await.unwrap();
    let values = json!({"values": {"message": "ours"}});
    only(&bed.upgrade(&digest, "moving", values).await, "succeeded");
    let after = object(&bed.full, settings).await.unwrap();
    assert_eq!(after["data"]["message"], "ours");
    assert_eq!(
        managers(&after),
        [("helm".to_owned(), "Apply".to_owned())],
        "{after:#}"
    );
    let extra = "/api/v1/namespaces/moving/configmaps/moving-extra";
    assert!(object(&bed.full, extra).await.is_none());
    let secret = "/api/v1/namespaces/moving/secrets/sh.helm.release.v1.moving.v2";
    let record = crate::records::decode(&object(&bed.full, secret).await.unwrap());
    assert_eq!(record["apply_method"], "ssa");
    // Helm 4 goes on with it, without a conflict.
    let second = bed.file("moving-3.tgz", &web("3.0.0"));
    let by_helm = [
        "upgrade",
        "moving",
        second.to_str().unwrap(),
        "-n",
        "moving",
        "--set",
        "message=of helm 4",
    ];
    bed.helm(&bed.full, &by_helm).await.unwrap();
    let last = object(&bed.full, settings).await.unwrap();
    assert_eq!(last["data"]["message"], "of helm 4");
}

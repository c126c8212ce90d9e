//! What registry-crd does beyond the contract, against a real API server.

use std::sync::Arc;

use optikon_core::ports::Call;
use optikon_engine::{Deps, Engine, EngineConfig, Filling, Grants};
use optikon_tests::cluster::Cluster;
use serde_json::{Value, json};

use crate::bed::{Bed, SystemWorld, cluster, code, draft, json_of, name, uid};
use crate::central::{DEFINITION, cluster_with, peers};

/// Another controller's finalizer keeps the object until it is taken away.
pub(crate) async fn finalizers_of_others_hold_a_cluster(bed: Bed) {
    let mut wanted = draft("a", &[]);
    wanted["metadata"]["finalizers"] = json!(["example.com/hold"]);
    bed.try_create(&wanted).await.unwrap();
    let going = bed.delete("a").await.unwrap();
    assert!(json_of(&going)["metadata"]["deletionTimestamp"].is_string());
    let mut watch = bed.watch("", Some(&going.revision)).await.unwrap();
    let path = format!("{}/a", bed.place().path());
    let admin = bed.place().cluster.admin();
    let patch = json!({"metadata": {"finalizers": null}});
    admin.merge(&path, &patch).await.unwrap();
    assert_eq!(code(bed.get("a").await), "not-found");
    let (kind, last) = watch.change().await;
    assert_eq!((kind, last.cluster.name().as_str()), ("deleted", "a"));
}

/// What kubectl writes is watched, and what the gateway writes is what kubectl shows.
pub(crate) async fn kubectl_and_the_gateway_see_the_same(bed: Bed) {
    let place = bed.place();
    let from = bed.list("", 10, None).await.unwrap().revision;
    let mut watch = bed.watch("", Some(&from)).await.unwrap();
    let mut by_hand = draft("by-hand", &[("by", "hand")]);
    by_hand["metadata"]["namespace"] = place.namespace.as_str().into();
    by_hand["spec"]["kubernetesApiEndpoints"]["serverEndpoints"] =
        json!([{"clientCidr": "0.0.0.0/0", "serverAddress": "10.0.0.2"}]);
    place.cluster.apply(&by_hand.to_string()).await.unwrap();
    let (kind, seen) = watch.change().await;
    assert_eq!((kind, seen.cluster.name().as_str()), ("stored", "by-hand"));
    assert_eq!(bed.get("by-hand").await.unwrap(), seen);
    // A key in the case that the first registry's own sample used is no lost address.
    let endpoints = seen.cluster.endpoints().unwrap();
    assert_eq!(endpoints[0].url, "https://10.0.0.2");

    let changed = bed
        .change("by-hand", |v| {
            v["metadata"]["labels"]["by"] = "gateway".into()
        })
        .await;
    let theirs = &json_of(&changed)["metadata"]["annotations"];
    assert!(theirs["kubectl.kubernetes.io/last-applied-configuration"].is_string());
    let made = bed.create("ours", &[]).await;
    let ready = r#"[{"type":"Ready","status":"False"},{"type":"OK","status":"False","reason":"Timeout","message":"m"}]"#;
    let (registry, ours) = (bed.registry(), name("ours"));
    registry
        .set_status(Call::client(), &ours, &uid(&made), ready)
        .await
        .unwrap();
    let shown = place
        .cluster
        .kubectl(&["get", "clusters", "-n", &place.namespace])
        .await
        .unwrap();
    let row = shown.lines().find(|line| line.starts_with("ours")).unwrap();
    let columns: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(columns[..4], ["ours", "10.0.0.1:6443", "False", "Timeout"]);
}

/// Each manager has its own conditions, and `OK` belongs to whoever wrote it first.
pub(crate) async fn conditions_of_others_stay_theirs(bed: Bed) {
    let made = bed.create("a", &[]).await;
    let (registry, a, id) = (bed.registry(), name("a"), uid(&made));
    let write = |conditions: &'static str| registry.set_status(Call::client(), &a, &id, conditions);
    let ready = r#"[{"type":"Ready","status":"True"},{"type":"Reachable","status":"True"}]"#;
    let first = write(ready).await.unwrap();
    assert_eq!(kinds(&json_of(&first)), ["Reachable", "Ready"]);
    let path = format!("{}/a/status", bed.place().path());
    let theirs = json!({
        "apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "a"},
        "status": {"conditions": [{"type": "Audited", "status": "True"}, {"type": "OK", "status": "True"}]},
    });
    let admin = bed.place().cluster.admin();
    let request = admin
        .request(reqwest::Method::PATCH, &path)
        .query(&[("fieldManager", "auditor")])
        .header("content-type", "application/apply-patch+yaml")
        .body(theirs.to_string());
    admin.send(request).await.unwrap().success().unwrap();
    let both = r#"[{"type":"Ready","status":"False"},{"type":"OK","status":"False"}]"#;
    let second = write(both).await.unwrap();
    assert_eq!(kinds(&json_of(&second)), ["Audited", "OK", "Ready"]);
    let conditions = json_of(&second)["status"]["conditions"].clone();
    let ok = conditions
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["type"] == "OK");
    assert_eq!(ok.unwrap()["status"], "True", "it is the auditor's");
    assert_eq!(json_of(&second)["metadata"]["generation"], 1);
    let third = write("[]").await.unwrap();
    assert_eq!(kinds(&json_of(&third)), ["Audited", "OK"]);
}

fn kinds(value: &Value) -> Vec<String> {
    let conditions = value["status"]["conditions"].as_array();
    let mut kinds: Vec<String> = conditions
        .into_iter()
        .flatten()
        .map(|c| c["type"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}

/// The registry of a central cluster that is reached with this token.
pub(crate) async fn engine(bed: &Bed, cluster: &Cluster, token: &str, config: Value) -> Engine {
    let mut engine_config = EngineConfig::new(bed.folder());
    engine_config.cache_folder = Some(Bed::cache());
    let deps = Deps {
        kv: bed.kv(),
        peers: peers(cluster, token, Arc::new(SystemWorld)).unwrap(),
        world: Arc::new(SystemWorld),
    };
    let engine = Engine::new(engine_config, deps).unwrap();
    let grants = Grants::new(["central", "kube", "log", "config"]);
    let mut filling = Filling::new(bed.file(), grants);
    filling.config = config;
    let slot = "registry".parse().unwrap();
    engine.fill(&slot, filling).await.unwrap();
    engine
}

/// No definition, no rights, no namespace: each has its own words, and none is the caller's fault.
pub(crate) async fn what_is_missing_is_named(bed: Bed) {
    let place = bed.place();
    let check = async |engine: &Engine| {
        let error = engine.registry().check(Call::client()).await.unwrap_err();
        assert_eq!(error.code(), "unavailable", "{error}");
        error.to_string()
    };
    let bare = optikon_tests::Testbed::start()
        .await
        .unwrap()
        .cluster("bare")
        .start()
        .await
        .unwrap();
    let without = engine(&bed, &bare, bare.admin_token(), json!({})).await;
    assert!(check(&without).await.contains("does not serve clusters"));
    let listed = without.registry().list(Call::client(), "", 10, None).await;
    assert_eq!(code(listed), "unavailable");

    let rules = json!([{"apiGroups": ["clusterregistry.k8s.io"], "resources": ["clusters"], "verbs": ["get", "list"]}]);
    let account = place.cluster.account(&place.namespace, "reader", &rules);
    let token = account.await.unwrap();
    let reader = engine(&bed, place.cluster, &token, place.config()).await;
    let lacking = check(&reader).await;
    assert!(
        lacking.contains("watch clusters") && lacking.contains("patch clusters/status"),
        "{lacking}"
    );
    assert!(!lacking.contains("get clusters,"), "{lacking}");
    let created = reader
        .registry()
        .create(Call::client(), &cluster(&draft("a", &[])), false)
        .await;
    assert_eq!(code(created), "unavailable");
    let wrong = engine(&bed, place.cluster, "wrong", place.config()).await;
    assert_eq!(
        code(wrong.registry().list(Call::client(), "", 10, None).await),
        "unavailable"
    );
    let admin = place.cluster.admin_token();
    let nowhere = json!({"namespace": "nowhere"});
    let elsewhere = engine(&bed, place.cluster, admin, nowhere).await;
    assert!(check(&elsewhere).await.contains("no namespace \"nowhere\""));
    bed.registry().check(Call::client()).await.unwrap();
}

/// A definition that is cluster-scoped, knows no status subresource and takes its conditions as one list.
pub(crate) async fn a_definition_of_another_shape_serves(bed: Bed) {
    let other = DEFINITION
        .replace("scope: Namespaced", "scope: Cluster")
        .replace("      subresources:\n        status: {}\n", "")
        .replace("                  x-kubernetes-list-type: map\n", "")
        .replace(
            "                  x-kubernetes-list-map-keys: [\"type\"]\n",
            "",
        );
    let central = cluster_with("other", &other).await.unwrap();
    let engine = engine(&bed, &central, central.admin_token(), json!({})).await;
    let registry = engine.registry();
    let call = Call::client;
    let mut wanted = draft("a", &[]);
    wanted["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let made = registry.create(call(), &cluster(&wanted), false).await;
    let made = made.unwrap();
    assert!(json_of(&made).get("status").is_none());
    let patch = json!({"status": {"conditions": [{"type": "Audited", "status": "True"}]}});
    let path = "/apis/clusterregistry.k8s.io/v1alpha1/clusters/a";
    central.admin().merge(path, &patch).await.unwrap();
    let ready =
        r#"[{"type":"Ready","status":"False","reason":"x"},{"type":"OK","status":"False"}]"#;
    let written = registry
        .set_status(call(), &name("a"), &uid(&made), ready)
        .await
        .unwrap();
    assert_eq!(kinds(&json_of(&written)), ["Audited", "OK", "Ready"]);
    let mut value = json_of(&written);
    value["status"] = json!({});
    value["spec"]["x"] = 1.into();
    let updated = registry
        .update(call(), &cluster(&value), Some(written.revision), false)
        .await
        .unwrap();
    assert_eq!(kinds(&json_of(&updated)), ["Audited", "OK", "Ready"]);
    let deleted = registry.delete(call(), &name("a"), None, None, false).await;
    assert_ne!(deleted.unwrap().revision, updated.revision);
}

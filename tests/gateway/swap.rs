//! Another registry takes over while clients read and write, on a real central cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use optikon_tests::{Cluster, FakeMember, Gateway, Testbed, wait_for};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bed::{PATIENCE, assert_absent, data_folder, forms, gateway, own, registration};
use crate::plugins::folder_with;

const LIST: &str = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters";

/// A central cluster, and a kubeconfig of the gateway's account there.
pub(crate) async fn central(gateway: &Gateway) -> (Cluster, String) {
    let testbed = Testbed::start().await.unwrap();
    let central = testbed.cluster("central").start().await.unwrap();
    let account = central.write_file("gateway.kubeconfig", "").unwrap();
    let account = account.to_str().unwrap().to_owned();
    let admin = central.kubeconfig_file();
    let admin = admin.to_str().unwrap();
    let setup = [
        "registry",
        "setup",
        "--kubeconfig",
        admin,
        "--write-kubeconfig",
        &account,
    ];
    let said = gateway.run_ok(&setup).await.unwrap();
    assert!(said.contains("created"), "{said}");
    (central, account)
}

pub(crate) async fn swap(gateway: &Gateway, plugin: &str, more: &[&str]) -> String {
    let arguments = [&["plugin", "swap", "registry", plugin][..], more].concat();
    gateway.run_ok(&arguments).await.unwrap()
}

/// The flags of a move to the central cluster, with everything.
pub(crate) fn with_all(account: &str) -> [&str; 6] {
    [
        "--central-kubeconfig",
        account,
        "--migrate",
        "copy",
        "--grant",
        "all",
    ]
}

pub(crate) async fn serves(gateway: &Gateway) -> Value {
    let slot = gateway
        .client()
        .unwrap()
        .read("/plugins/registry")
        .await
        .unwrap();
    slot["plugin"]["name"].clone()
}

/// What clients did, and what they were told.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) ends: AtomicBool,
    pub(crate) reads: AtomicUsize,
    pub(crate) writes: AtomicUsize,
}

/// Readers of what is there and a writer for each of its own clusters: each remembers the last number that was
/// acknowledged. Nothing may fail. A reader with a `pause` begins a read that often.
pub(crate) fn traffic(
    gateway: &Gateway,
    (readers, pause): (usize, Duration),
    writers: usize,
    state: &Arc<Traffic>,
) -> JoinSet<Option<(String, u64)>> {
    let mut tasks = JoinSet::new();
    for n in 0..readers {
        let (client, state) = (gateway.client().unwrap().clone(), Arc::clone(state));
        tasks.spawn(async move {
            let paths = [
                "/cluster?probe=cached",
                "/cluster/kept-0?probe=cached",
                "/cluster/kept-1?probe=none",
            ];
            let mut pace = tokio::time::interval(pause.max(Duration::from_millis(1)));
            while !state.ends.load(SeqCst) {
                pace.tick().await;
                let path = paths[n % paths.len()];
                let reply = client.get(path).await.unwrap();
                assert_eq!(reply.status, 200, "GET {path}: {}", reply.text);
                state.reads.fetch_add(1, SeqCst);
            }
            None
        });
    }
    for n in 0..writers {
        let (client, state) = (gateway.client().unwrap().clone(), Arc::clone(state));
        tasks.spawn(async move {
            let name = format!("writer-{n}");
            let path = format!("/cluster/{name}");
            let body = json!({"name": name, "server": "https://10.255.0.1"});
            client.create("/cluster", &body).await.unwrap();
            let mut last = 0;
            while !state.ends.load(SeqCst) {
                let next = last + 1;
                let read = client.read(&format!("{path}?probe=none")).await.unwrap();
                let version = &read["metadata"]["resourceVersion"];
                let patch = json!({"metadata": {"resourceVersion": version, "annotations": {"n": next.to_string()}}});
                client.merge(&path, &patch).await.unwrap();
                last = next;
                state.writes.fetch_add(1, SeqCst);
            }
            Some((name, last))
        });
    }
    tasks
}

/// Until so many more writes were acknowledged.
pub(crate) async fn goes_on(state: &Traffic) {
    let (reads, writes) = (state.reads.load(SeqCst), state.writes.load(SeqCst));
    wait_for("the traffic to go on", PATIENCE, || async {
        let is_on =
            state.writes.load(SeqCst) > writes + 20 && state.reads.load(SeqCst) > reads + 20;
        Ok(is_on.then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_change_under_readers_and_writers_and_nothing_is_lost() {
    let member = FakeMember::start().await.unwrap();
    let token = "a-token-that-stays-here";
    member.require_token(token);
    let mut own = own(Gateway::builder()).await;
    let (central, account) = central(&own.gateway).await;
    let client = own.gateway.client().unwrap().clone();
    let mut uids = BTreeMap::new();
    for n in 0..5 {
        let body = registration(&format!("kept-{n}"), &member, token);
        let made = client.create("/cluster", &body).await.unwrap();
        uids.insert(format!("kept-{n}"), made["metadata"]["uid"].clone());
    }
    let state = Arc::new(Traffic::default());
    let mut tasks = traffic(&own.gateway, (20, Duration::ZERO), 6, &state);
    goes_on(&state).await;

    let to_central = ["--central-kubeconfig", &account, "--migrate", "copy"];
    let refused = own
        .gateway
        .run(
            &[
                &["plugin", "swap", "registry", "registry-crd"][..],
                &to_central[..],
            ]
            .concat(),
        )
        .await
        .unwrap();
    let shown = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success()
            && shown.contains("asks for \"central\"")
            && shown.contains("--grant"),
        "{shown}"
    );
    swap(
        &own.gateway,
        "registry-crd",
        &[&to_central[..], &["--grant", "all"]].concat(),
    )
    .await;
    assert_eq!(serves(&own.gateway).await, "registry-crd");
    goes_on(&state).await;
    let objects = central
        .kubectl(&["get", "clusters", "-n", "optikon", "-o", "json"])
        .await
        .unwrap();
    assert!(objects.contains("kept-4") && objects.contains("writer-5"));
    assert_absent(&forms(token), "the central cluster", objects.as_bytes());
    // The credential goes on being the cluster's, though its object has another uid there.
    let live = client.read("/cluster/kept-0").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    // What kubectl deletes and creates is seen.
    central
        .kubectl(&["delete", "cluster", "kept-4", "-n", "optikon"])
        .await
        .unwrap();
    wait_for("the deletion to be seen", PATIENCE, || async {
        Ok((client.get("/cluster/kept-4").await?.status == 404).then_some(()))
    })
    .await
    .unwrap();
    uids.remove("kept-4");

    swap(
        &own.gateway,
        "registry-embedded",
        &["--migrate", "copy", "--grant", "all"],
    )
    .await;
    assert_eq!(serves(&own.gateway).await, "registry-embedded");
    goes_on(&state).await;
    assert_eq!(client.get("/cluster/kept-4").await.unwrap().status, 404);
    // And back by a rollback, to what was left there and is out of date now.
    own.gateway
        .run_ok(&["plugin", "rollback", "registry"])
        .await
        .unwrap();
    assert_eq!(serves(&own.gateway).await, "registry-crd");
    goes_on(&state).await;

    state.ends.store(true, SeqCst);
    let mut acknowledged = BTreeMap::new();
    while let Some(task) = tasks.join_next().await {
        acknowledged.extend(task.unwrap());
    }
    assert!(acknowledged.len() == 6);
    let check = async |client: &optikon_tests::Client| {
        for (name, last) in &acknowledged {
            let now = client
                .read(&format!("/cluster/{name}?probe=none"))
                .await
                .unwrap();
            assert_eq!(
                now["metadata"]["annotations"]["n"],
                last.to_string(),
                "{name}"
            );
        }
        for (name, uid) in &uids {
            let now = client.read(&format!("/cluster/{name}")).await.unwrap();
            assert_eq!(&now["metadata"]["uid"], uid, "{name}");
            assert_eq!(now["status"]["nodes"][0]["name"], "n0", "{now:#}");
        }
    };
    check(&client).await;
    let there = central.admin().read(LIST).await.unwrap();
    for object in there["items"].as_array().unwrap() {
        let name = object["metadata"]["name"].as_str().unwrap();
        if let Some(last) = acknowledged.get(name) {
            assert_eq!(
                object["metadata"]["annotations"]["n"],
                last.to_string(),
                "{name}"
            );
        }
    }
    // It survives a crash: what serves, with its central cluster and the uids of before.
    own.gateway.kill().unwrap();
    own.gateway.start_again().await.unwrap();
    assert_eq!(serves(&own.gateway).await, "registry-crd");
    // At first reads come from what was saved a moment before the crash.
    let client = own.gateway.client().unwrap();
    wait_for("the registry to be read", PATIENCE, || async {
        let list = client.read("/cluster?probe=none").await?;
        let is_there = |(name, last): (&String, &u64)| {
            let items = list["items"].as_array().into_iter().flatten();
            let mut items = items.filter(|item| item["metadata"]["name"] == name.as_str());
            let last = last.to_string();
            items.any(|item| item["metadata"]["annotations"]["n"] == last.as_str())
        };
        Ok(acknowledged.iter().all(is_there).then_some(()))
    })
    .await
    .unwrap();
    check(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_cannot_be_done_changes_nothing() {
    let own = own(Gateway::builder()).await;
    let client = own.gateway.client().unwrap();
    let body = json!({"name": "a", "server": "https://10.255.0.1"});
    client.create("/cluster", &body).await.unwrap();
    let ask = async |body: Value| {
        let reply = client
            .json(Method::PUT, "/plugins/registry?wait=true", &body)
            .await;
        reply.unwrap()
    };
    for (body, status, said) in [
        (json!({"plugin": "no-such"}), 422, "no-such"),
        (
            json!({"plugin": "prober-kubernetes", "grants": ["all"]}),
            422,
            "takes a registry",
        ),
        (json!({"plugin": "registry-crd"}), 422, "asks for"),
        (
            json!({"plugin": "registry-crd", "grants": ["all"], "config": {"odd": 1}}),
            422,
            "odd",
        ),
        (
            json!({"plugin": "registry-embedded", "digest": "sha256:00"}),
            422,
            "digest",
        ),
        (json!({"plugin": "registry-embedded", "odd": 1}), 422, "odd"),
    ] {
        let reply = ask(body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
        assert!(reply.text.contains(said), "{body}: {}", reply.text);
    }
    // Accepted, and then the central cluster is not there.
    let nowhere = json!({"server": "https://127.0.0.1:1", "token": "t0ken-of-nowhere"});
    let reply = ask(json!({"plugin": "registry-crd", "grants": ["all"], "central": nowhere})).await;
    let operation = reply.json().unwrap();
    assert_eq!(operation["state"], "failed", "{operation:#}");
    assert!(!operation.to_string().contains("t0ken-of-nowhere"));
    let missing = client
        .json(Method::POST, "/plugins/registry/rollback", &json!({}))
        .await
        .unwrap();
    assert_eq!(missing.status, 409, "{}", missing.text);
    assert_eq!(serves(&own.gateway).await, "registry-embedded");
    client
        .merge("/cluster/a", &json!({"metadata": {"labels": {"x": "y"}}}))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_keep_in_the_new_registry_is_not_touched() {
    let own = own(Gateway::builder()).await;
    let (central, account) = central(&own.gateway).await;
    let client = own.gateway.client().unwrap();
    let body = json!({"name": "ours", "server": "https://10.255.0.1"});
    client.create("/cluster", &body).await.unwrap();
    let theirs = json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
        "metadata": {"name": "theirs", "namespace": "optikon"}, "spec": {}});
    central.apply(&theirs.to_string()).await.unwrap();
    let arguments = [
        "plugin",
        "swap",
        "registry",
        "registry-crd",
        "--central-kubeconfig",
        &account,
        "--grant",
        "all",
    ];
    let copied = own
        .gateway
        .run(&[&arguments[..], &["--migrate", "copy"]].concat())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&copied.stdout).into_owned();
    assert!(
        !copied.status.success() && said.contains("theirs"),
        "{said}"
    );
    let there = central.admin().read(LIST).await.unwrap();
    assert_eq!(
        there["items"].as_array().unwrap().len(),
        1,
        "nothing was copied"
    );
    assert_eq!(serves(&own.gateway).await, "registry-embedded");
    // Without a copy the clusters are those of the new registry, and the old ones come back with a rollback.
    own.gateway.run_ok(&arguments).await.unwrap();
    assert_eq!(client.get("/cluster/ours").await.unwrap().status, 404);
    assert_eq!(
        client
            .get("/cluster/theirs?probe=none")
            .await
            .unwrap()
            .status,
        200
    );
    own.gateway
        .run_ok(&["plugin", "rollback", "registry"])
        .await
        .unwrap();
    assert_eq!(
        client.get("/cluster/ours?probe=none").await.unwrap().status,
        200
    );
    assert_eq!(client.get("/cluster/theirs").await.unwrap().status, 404);
    let admin = central.kubeconfig_file();
    let remove = [
        "registry",
        "remove",
        "--kubeconfig",
        admin.to_str().unwrap(),
    ];
    let refused = own.gateway.run(&remove).await.unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("1 cluster(s) are registered"));
    own.gateway
        .run_ok(&[&remove[..], &["--delete-clusters"]].concat())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setting_up_again_changes_nothing_and_a_dry_run_only_prints() {
    let gateway = gateway().await;
    let (central, _) = central(gateway).await;
    let admin = central.kubeconfig_file();
    let setup = ["registry", "setup", "--kubeconfig", admin.to_str().unwrap()];
    let again = gateway.run_ok(&setup).await.unwrap();
    assert!(
        !again.contains(" created") && !again.contains(" changed"),
        "{again}"
    );
    assert_eq!(again.matches("unchanged").count(), 5, "{again}");
    let printed = gateway
        .run_ok(&[&setup[..], &["--dry-run", "-n", "elsewhere"]].concat())
        .await
        .unwrap();
    let accepted = central.apply(&printed).await.unwrap();
    assert!(
        accepted.contains("namespace/elsewhere created"),
        "{accepted}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_breaks_is_rolled_back_by_itself() {
    let (folder, _) = data_folder().await;
    let plugins = folder_with("hostile-registry", folder.path()).await;
    let own = own(Gateway::builder().plugins_folder(&plugins)).await;
    let client = own.gateway.client().unwrap();
    let body = json!({"name": "a", "server": "https://10.255.0.1"});
    client.create("/cluster", &body).await.unwrap();
    let body =
        json!({"plugin": "hostile-registry", "grants": ["all"], "config": {"behaviour": "panic"}});
    let swapped = client
        .json(Method::PUT, "/plugins/registry?wait=true", &body)
        .await
        .unwrap();
    assert_eq!(
        swapped.json().unwrap()["state"],
        "succeeded",
        "{}",
        swapped.text
    );
    wait_for("the rollback", PATIENCE, || async {
        let fresh = client.request(Method::GET, "/cluster/a?probe=none");
        client
            .send(fresh.header("cache-control", "no-cache"))
            .await?;
        Ok((serves(&own.gateway).await == "registry-embedded").then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(
        client.get("/cluster/a?probe=none").await.unwrap().status,
        200
    );
}

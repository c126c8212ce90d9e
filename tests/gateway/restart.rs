//! The gateway is killed and comes back; its registry goes away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::{collections::BTreeSet, sync::Mutex};

use optikon_tests::fake::Door;
use optikon_tests::{FakeMember, Gateway, wait_for};
use serde_json::{Value, json};

use crate::bed::{PATIENCE, condition, data_folder, gateway, own, registration, wait_for_ready};

const LOOK_OFTEN: &str = "[probing]\nreach_seconds = 1\n";

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gateway_comes_back_with_clusters_credentials_and_what_it_knew() {
    let member = FakeMember::start().await.unwrap();
    member.require_token("kept-token");
    let mut own = own(Gateway::builder().config(LOOK_OFTEN)).await;
    let gateway = &mut own.gateway;
    let body = registration("kept", &member, "kept-token");
    let client = gateway.client().unwrap();
    let made = client.create("/cluster", &body).await.unwrap();
    wait_for_ready(gateway, "kept", "True").await;
    // What is known is saved every few seconds: some looks later it is.
    let looks = Mutex::new(BTreeSet::new());
    wait_for("ten looks", PATIENCE, || {
        let reply = client.read("/cluster/kept?probe=cached");
        let looks = &looks;
        async move {
            let seen = reply.await?;
            let mut looks = looks.lock().unwrap();
            looks.insert(seen["status"]["observedAt"]["reach"].to_string());
            Ok((looks.len() >= 10).then_some(()))
        }
    })
    .await
    .unwrap();
    let before = client.read("/cluster").await.unwrap();

    member.door(Door::Close);
    gateway.kill().unwrap();
    gateway.start_again().await.unwrap();
    let client = gateway.client().unwrap();
    let cached = client.read("/cluster/kept?probe=cached").await.unwrap();
    assert_eq!(cached["metadata"]["uid"], made["metadata"]["uid"]);
    let last = wait_for("the reason", PATIENCE, || async {
        let seen = client.read("/cluster/kept?probe=cached").await?;
        Ok(seen["status"]["reason"].is_string().then_some(seen))
    })
    .await
    .unwrap();
    let known = &last["status"]["lastKnown"];
    assert_eq!(
        known["nodeCounts"],
        json!({"total": 1, "ready": 1}),
        "{last:#}"
    );
    assert_eq!(known["kubernetes"]["version"], "v1.37.2");

    let after = client.read("/cluster").await.unwrap();
    assert!(version(&after) > version(&before), "versions only rise");
    let watch = format!("/cluster?watch=true&resourceVersion={}", version(&before));
    let reply = client.get(&watch).await.unwrap();
    assert_eq!(reply.status, 410, "{}", reply.text);

    member.door(Door::Open);
    let live = wait_for("the member to answer again", PATIENCE, || async {
        let live = client.read("/cluster/kept").await?;
        Ok(live["status"]["nodes"].is_array().then_some(live))
    })
    .await
    .unwrap();
    assert_eq!(condition(&live, "Ready")["status"], "True", "{live:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_under_writes_is_restored_elsewhere() {
    let own = own(Gateway::builder()).await;
    let client = own.gateway.client().unwrap();
    let cluster = |name: &str| json!({"name": name, "server": "https://10.0.0.1", "token": "t"});
    client.create("/cluster", &cluster("before")).await.unwrap();
    let (folder, data) = data_folder().await;
    let file = folder.path().join("store.backup");
    let here = own.gateway.data_folder().to_str().unwrap();
    let arguments = [
        "store",
        "--data-dir",
        here,
        "backup",
        file.to_str().unwrap(),
    ];
    let writes = async {
        for number in 0..20 {
            let body = cluster(&format!("during-{number}"));
            client.create("/cluster", &body).await.unwrap();
        }
    };
    let (said, ()) = tokio::join!(own.gateway.run_ok(&arguments), writes);
    assert!(said.unwrap().starts_with("wrote "));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let again = own.gateway.run(&arguments).await.unwrap();
    assert_eq!(
        again.status.code(),
        Some(1),
        "a backup is never overwritten"
    );
    wait_for("no copy to be left", PATIENCE, || async {
        let mut left = fs::read_dir(own.gateway.data_folder())?;
        let is_clean = left.all(|entry| {
            let name = entry.map(|e| e.file_name().to_string_lossy().into_owned());
            name.is_ok_and(|name| !name.contains("copy") && !name.contains("partial"))
        });
        Ok(is_clean.then_some(()))
    })
    .await
    .unwrap();

    let there = data.to_str().unwrap();
    let restore = [
        "store",
        "--data-dir",
        there,
        "restore",
        file.to_str().unwrap(),
    ];
    own.gateway.run_ok(&restore).await.unwrap();
    fs::copy(
        own.gateway.data_folder().join("vault.key"),
        data.join("vault.key"),
    )
    .unwrap();
    fs::copy(own.gateway.token_file(), data.join("admin.token")).unwrap();
    let other = Gateway::builder().data_folder(&data).start().await.unwrap();
    let restored = other
        .client()
        .unwrap()
        .read("/cluster/before?probe=none")
        .await
        .unwrap();
    assert_eq!(restored["metadata"]["name"], "before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_registry_reads_come_from_the_mirror_and_writes_are_refused() {
    let member = FakeMember::start().await.unwrap();
    let (folder, data) = data_folder().await;
    let mut first = Gateway::builder().data_folder(&data).start().await.unwrap();
    let client = first.client().unwrap();
    let body = registration("mirrored", &member, "a-token");
    client.create("/cluster", &body).await.unwrap();
    let listed = client.read("/cluster?probe=none").await.unwrap();
    assert!(first.stop().await.unwrap().success());

    let shipped = gateway().await.plugins_folder().to_path_buf();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let prober = "prober-kubernetes.wasm";
    fs::copy(shipped.join(prober), plugins.join(prober)).unwrap();
    let second = Gateway::builder()
        .data_folder(&data)
        .plugins_folder(&plugins)
        .start()
        .await
        .unwrap();
    let client = second.client().unwrap();
    let again = client.read("/cluster?probe=none").await.unwrap();
    assert_eq!(again["items"][0]["spec"], listed["items"][0]["spec"]);
    assert_eq!(
        again["items"][0]["metadata"]["uid"],
        listed["items"][0]["metadata"]["uid"]
    );
    let live = client.read("/cluster/mirrored").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    let other = json!({"name": "other", "server": "https://10.0.0.1"});
    let refused = client
        .json(reqwest::Method::POST, "/cluster", &other)
        .await
        .unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text);
    let ready = client.get("/readyz?verbose").await.unwrap();
    assert!(ready.text.contains("plugin-registry"), "{}", ready.text);
}

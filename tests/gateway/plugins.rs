//! The plugins do the work: another one in the slot, another answer.

use std::fs;

use optikon_tests::gateway::guest;
use optikon_tests::{FakeMember, Gateway, wait_for};

use crate::bed::{PATIENCE, data_folder, gateway, names, own, registration};

/// The shipped plugins, and a guest beside them.
pub(crate) async fn folder_with(name: &str, folder: &std::path::Path) -> std::path::PathBuf {
    let plugins = folder.join("plugins");
    fs::create_dir(&plugins).unwrap();
    for file in fs::read_dir(gateway().await.plugins_folder()).unwrap() {
        let file = file.unwrap();
        if file.path().extension().is_some_and(|e| e == "wasm") {
            fs::copy(file.path(), plugins.join(file.file_name())).unwrap();
        }
    }
    fs::copy(guest(name).unwrap(), plugins.join(format!("{name}.wasm"))).unwrap();
    plugins
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inventing_prober_changes_what_is_seen() {
    let member = FakeMember::start().await.unwrap();
    let (folder, _) = data_folder().await;
    let plugins = folder_with("inventing-prober", folder.path()).await;
    let config =
        "[plugins.slots.prober]\nplugin = \"inventing-prober\"\ngrants = [\"kube\", \"log\"]\n";
    let own = own(Gateway::builder().plugins_folder(&plugins).config(config)).await;
    let client = own.gateway.client().unwrap();
    let body = registration("real", &member, "a-token");
    client.create("/cluster", &body).await.unwrap();
    let seen = client.read("/cluster/real").await.unwrap();
    assert_eq!(
        names(&seen["status"]["nodes"]),
        ["invented-real"],
        "{seen:#}"
    );
    assert_eq!(seen["status"]["kubernetes"]["version"], "v0.0.0-invented");
    assert_eq!(member.seen().len(), 0, "the invention needs no member");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renaming_registry_changes_what_is_listed() {
    let member = FakeMember::start().await.unwrap();
    let (folder, data) = data_folder().await;
    let mut first = Gateway::builder().data_folder(&data).start().await.unwrap();
    let client = first.client().unwrap();
    let body = registration("real", &member, "a-token");
    client.create("/cluster", &body).await.unwrap();
    assert!(first.stop().await.unwrap().success());

    let plugins = folder_with("renaming-registry", folder.path()).await;
    let config =
        "[plugins.slots.registry]\nplugin = \"renaming-registry\"\ngrants = [\"kv\", \"log\"]\n";
    let second = Gateway::builder()
        .data_folder(&data)
        .plugins_folder(&plugins)
        .config(config)
        .start()
        .await
        .unwrap();
    let client = second.client().unwrap();
    wait_for("the other name", PATIENCE, || async {
        let list = client.read("/cluster").await?;
        Ok((names(&list["items"]) == ["renamed-real"]).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(client.get("/cluster/real").await.unwrap().status, 404);
    // The credential is the cluster's, whatever it is called.
    let seen = client.read("/cluster/renamed-real").await.unwrap();
    assert_eq!(names(&seen["status"]["nodes"]), ["n0"], "{seen:#}");
}

/// What serves lasts over a crash, and so do the last five before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swapped_prober_outlasts_a_crash_and_can_be_taken_back() {
    let member = FakeMember::start().await.unwrap();
    let (folder, _) = data_folder().await;
    let plugins = folder_with("inventing-prober", folder.path()).await;
    let mut own = own(Gateway::builder().plugins_folder(&plugins)).await;
    let body = registration("real", &member, "a-token");
    let client = own.gateway.client().unwrap();
    client.create("/cluster", &body).await.unwrap();
    let swap = async |gateway: &Gateway, plugin: &str| {
        let arguments = ["plugin", "swap", "prober", plugin, "--grant", "all"];
        gateway.run_ok(&arguments).await.unwrap();
    };
    let seen = async |gateway: &Gateway| {
        let live = gateway.client().unwrap().read("/cluster/real").await;
        names(&live.unwrap()["status"]["nodes"]).join(",")
    };
    assert_eq!(seen(&own.gateway).await, "n0");
    for _ in 0..3 {
        swap(&own.gateway, "inventing-prober").await;
        swap(&own.gateway, "prober-kubernetes").await;
    }
    swap(&own.gateway, "inventing-prober").await;
    assert_eq!(seen(&own.gateway).await, "invented-real");
    // The folder has others by now; what served is kept.
    fs::remove_file(plugins.join("inventing-prober.wasm")).unwrap();
    own.gateway.kill().unwrap();
    own.gateway.start_again().await.unwrap();
    assert_eq!(seen(&own.gateway).await, "invented-real");
    let slot = own.gateway.client().unwrap().read("/plugins/prober").await;
    let before = slot.unwrap()["previous"].as_array().unwrap().len();
    assert_eq!(before, 5);
    let rollback = ["plugin", "rollback", "prober"];
    own.gateway.run_ok(&rollback).await.unwrap();
    assert_eq!(seen(&own.gateway).await, "n0");
}

//! Credentials where the configuration wants them: as Secrets of the central cluster, or in the objects for old tools.

use optikon_tests::old_registry::{Access, CLUSTERS};
use optikon_tests::{Cluster, FakeMember, Gateway, OldRegistry, Testbed, wait_for};
use serde_json::{Value, json};

use crate::bed::{PATIENCE, assert_absent, assert_absent_in_files, forms, own, registration};
use crate::swap::{serves, swap, with_all};

const SECRETS: &str = "/api/v1/namespaces/optikon/secrets";

/// The Secrets of a cluster on the central one.
async fn of(central: &Cluster, name: &str) -> Vec<Value> {
    let path = format!("{SECRETS}?labelSelector=optikon.io%2Fcredential-for%3D{name}");
    let list = central.admin().read(&path).await.unwrap();
    list["items"].as_array().unwrap().clone()
}

fn text(secret: &Value, key: &str) -> String {
    use base64::Engine as _;
    let data = secret["data"][key].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    String::from_utf8(bytes.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_secrets_of_the_central_cluster_and_come_along() {
    let member = FakeMember::start().await.unwrap();
    member.require_token("t0ken-of-the-first");
    let own = own(Gateway::builder().config("[vault]\nplace = \"central\"\n")).await;
    let gateway = &own.gateway;
    let client = gateway.client().unwrap();
    let testbed = Testbed::start().await.unwrap();
    let mut central = testbed.cluster("central").start().await.unwrap();
    let account = central.write_file("gateway.kubeconfig", "").unwrap();
    let (account, admin) = (account.to_str().unwrap(), central.kubeconfig_file());
    let setup = ["registry", "setup", "--kubeconfig", admin.to_str().unwrap()];
    let more = ["--vault", "--write-kubeconfig", account];
    gateway.run_ok(&[&setup[..], &more].concat()).await.unwrap();
    // One that was there before, in the store.
    let body = registration("before", &member, "t0ken-of-the-first");
    client.create("/cluster", &body).await.unwrap();
    swap(gateway, "registry-crd", &with_all(account)).await;
    let there = of(&central, "before").await;
    assert_eq!(there.len(), 1);
    assert_eq!(text(&there[0], "token"), "t0ken-of-the-first");

    member.require_token("t0ken-of-the-second");
    let body = registration("fresh", &member, "t0ken-of-the-second");
    client.create("/cluster", &body).await.unwrap();
    let there = of(&central, "fresh").await;
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(text(&there[0], "token"), "t0ken-of-the-second");
    let object = central
        .admin()
        .read("/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters/fresh")
        .await
        .unwrap();
    let owner = &there[0]["metadata"]["ownerReferences"][0];
    assert_eq!(owner["uid"], object["metadata"]["uid"]);
    assert_eq!(owner["kind"], "Cluster");
    let live = client.read("/cluster/fresh").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    let forms = forms("t0ken-of-the-second");
    assert_absent(&forms, "the object", object.to_string().as_bytes());
    assert_absent(&forms, "the reply", live.to_string().as_bytes());
    assert_absent(&forms, "the log", gateway.log().as_bytes());
    assert_absent_in_files(&forms, gateway.data_folder());

    // A new one takes the place of the old one.
    member.require_token("t0ken-of-the-third");
    let anew = registration("fresh", &member, "t0ken-of-the-third");
    client.replace("/cluster/fresh", &anew).await.unwrap();
    let there = of(&central, "fresh").await;
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(text(&there[0], "token"), "t0ken-of-the-third");
    // The central cluster is away: what is known of a member does not go with it, and nothing is half written.
    central.kill_api_server().unwrap();
    let live = client.read("/cluster/fresh").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    let lost = registration("lost", &member, "t0ken-of-the-third");
    let refused = client
        .json(reqwest::Method::POST, "/cluster", &lost)
        .await
        .unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text);
    central.start_api_server().await.unwrap();
    wait_for("the registry to be back", PATIENCE, || async {
        let label = json!({"metadata": {"labels": {"x": "y"}}});
        Ok(client.merge("/cluster/fresh", &label).await.ok())
    })
    .await
    .unwrap();
    assert_eq!(client.get("/cluster/lost").await.unwrap().status, 404);
    assert!(of(&central, "lost").await.is_empty());

    // Another registry has no central cluster: they come along into the store.
    swap(
        gateway,
        "registry-embedded",
        &["--migrate", "copy", "--grant", "all"],
    )
    .await;
    assert_eq!(serves(gateway).await, "registry-embedded");
    let live = client.read("/cluster/fresh").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    gateway
        .run_ok(&["plugin", "rollback", "registry"])
        .await
        .unwrap();
    let live = client.read("/cluster/fresh").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    client.delete("/cluster/fresh").await.unwrap();
    assert!(of(&central, "fresh").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_tools_find_the_token_in_the_object_and_the_plugin_does_not() {
    let member = FakeMember::start().await.unwrap();
    member.require_token("t0ken-for-old-tools");
    let own = own(Gateway::builder().config("[vault]\ncompatible = true\n")).await;
    let gateway = &own.gateway;
    assert!(
        gateway.log().contains("vault.compatible"),
        "a warning at the start"
    );
    let client = gateway.client().unwrap();
    let old = OldRegistry::start(Access::Tokens).await.unwrap();
    let body = registration("shared", &member, "t0ken-for-old-tools");
    client.create("/cluster", &body).await.unwrap();
    let swapped = json!({"plugin": "registry-aggregated", "grants": ["all"], "migrate": "copy",
        "central": {"server": old.client().base(), "ca": old.ca(), "token": "testbed-admin-token"}});
    let done = client
        .replace("/plugins/registry?wait=true", &swapped)
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done:#}");
    let path = format!("{CLUSTERS}/shared");
    let token = async || {
        let there = old.client().read(&path).await.unwrap();
        there["spec"]["authInfo"]["providers"][0]["config"]["token"].clone()
    };
    assert_eq!(token().await, "t0ken-for-old-tools");
    let label = json!({"metadata": {"labels": {"x": "y"}}});
    client.merge("/cluster/shared", &label).await.unwrap();
    assert_eq!(token().await, "t0ken-for-old-tools");
    let live = client.read("/cluster/shared").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    // What the plugin answered is in the mirror, and that is on the disk.
    let forms = forms("t0ken-for-old-tools");
    assert_absent(&forms, "the reply", live.to_string().as_bytes());
    assert_absent(&forms, "the log", gateway.log().as_bytes());
    assert_absent_in_files(&forms, gateway.data_folder());
}

//! Credentials that other tools wrote into objects of a central registry: they serve, and nobody is shown one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use optikon_tests::old_registry::{Access, CLUSTERS};
use optikon_tests::{Client, FakeMember, Gateway, OldRegistry, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{PATIENCE, assert_absent, assert_absent_in_files, condition, forms, own};
use crate::swap::{central, serves, swap};

const GROUP_VERSION: &str = "clusterregistry.k8s.io/v1alpha1";

fn endpoints(member: &FakeMember) -> Value {
    json!({"serverEndpoints": [{"clientCIDR": "0.0.0.0/0", "serverAddress": member.url()}],
        "caBundle": STANDARD.encode(member.ca().unwrap())})
}

/// As `kubectl apply` writes it, with its copy of what it sent.
fn object(name: &str, member: &FakeMember, token: &str) -> Value {
    let mut object = json!({
        "apiVersion": GROUP_VERSION, "kind": "Cluster", "metadata": {"name": name},
        "spec": {"kubernetesApiEndpoints": endpoints(member), "authInfo": {"providers": [
            {"name": "seed", "type": {"name": "token"}, "config": {"token": token, "region": "a"}}]}},
    });
    let applied = object.to_string();
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    object
}

fn kubeconfig(member: &FakeMember, token: &str) -> String {
    let ca = STANDARD.encode(member.ca().unwrap());
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": member.url(), "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": {"token": token}}]})
    .to_string()
}

async fn is_live(client: &Client, name: &str) {
    let path = format!("/cluster/{name}");
    wait_for("an answer of the member", PATIENCE, || async {
        let live = client.read(&path).await.ok();
        Ok(live.filter(|live| live["status"]["nodes"][0]["name"] == "n0"))
    })
    .await
    .unwrap();
}

fn absent_everywhere(gateway: &Gateway, token: &str) {
    let forms = forms(token);
    assert_absent(&forms, "the log", gateway.log().as_bytes());
    assert_absent_in_files(&forms, gateway.data_folder());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_somebody_elses_object_serves_stays_and_is_bound() {
    let (member, elsewhere) = (
        FakeMember::start().await.unwrap(),
        FakeMember::start().await.unwrap(),
    );
    let (first, second) = ("t0ken-of-an-old-tool", "t0ken-of-its-next-day");
    member.require_token(first);
    let own = own(Gateway::builder()).await;
    let (gateway, client) = (&own.gateway, own.gateway.client().unwrap());
    let old = OldRegistry::start(Access::Tokens).await.unwrap();
    let written = object("seeded", &member, first);
    old.client().create(CLUSTERS, &written).await.unwrap();
    let swapped = json!({"plugin": "registry-aggregated", "grants": ["all"], "migrate": "none",
        "central": {"server": old.client().base(), "ca": old.ca(), "token": "testbed-admin-token"}});
    let path = "/plugins/registry?wait=true";
    let done = client.replace(path, &swapped).await.unwrap();
    assert_eq!(done["state"], "succeeded", "{done:#}");

    is_live(client, "seeded").await;
    let path = format!("{CLUSTERS}/seeded");
    let config = async || {
        let there = old.client().read(&path).await.unwrap();
        there["spec"]["authInfo"]["providers"][0]["config"].clone()
    };
    // What is sent back as it was shown keeps what is there, and so does a part.
    let mut shown = client.read("/cluster/seeded?probe=none").await.unwrap();
    assert_eq!(
        shown["spec"]["authInfo"]["providers"][0]["config"],
        json!({"token": "<masked>", "region": "a"})
    );
    let labels = json!({"metadata": {"labels": {"x": "y"}}});
    client.merge("/cluster/seeded", &labels).await.unwrap();
    shown = client.read("/cluster/seeded?probe=none").await.unwrap();
    shown["metadata"]["labels"] = json!({"x": "z"});
    client.replace("/cluster/seeded", &shown).await.unwrap();
    assert_eq!(config().await, json!({"token": first, "region": "a"}));
    is_live(client, "seeded").await;

    // At another address it is not sent, also where the object's owner did that.
    let mut moved = old.client().read(&path).await.unwrap();
    moved["spec"]["kubernetesApiEndpoints"] = endpoints(&elsewhere);
    old.client().replace(&path, &moved).await.unwrap();
    wait_for("the move to be noticed", PATIENCE, || async {
        let live = client.read("/cluster/seeded").await?;
        Ok((condition(&live, "Ready")["reason"] == "CredentialUnbound").then_some(()))
    })
    .await
    .unwrap();
    let seen = elsewhere.seen();
    assert!(
        seen.iter()
            .all(|request| request.header("authorization").is_none()),
        "{seen:?}"
    );
    // With a new one it is.
    member.require_token(second);
    let mut back = old.client().read(&path).await.unwrap();
    back["spec"] = object("seeded", &member, second)["spec"].clone();
    old.client().replace(&path, &back).await.unwrap();
    is_live(client, "seeded").await;

    // Nobody makes a cluster of a placeholder.
    let copy = object("copied", &member, "<masked>");
    let refused = client.json(Method::POST, "/cluster", &copy).await.unwrap();
    assert_eq!(refused.status, 422, "{refused:?}");

    // It comes along, stays in the object that it was written into, and serves there again.
    swap(
        gateway,
        "registry-embedded",
        &["--migrate", "copy", "--grant", "all"],
    )
    .await;
    is_live(client, "seeded").await;
    gateway
        .run_ok(&["plugin", "rollback", "registry"])
        .await
        .unwrap();
    assert_eq!(serves(gateway).await, "registry-aggregated");
    is_live(client, "seeded").await;
    assert_eq!(config().await, json!({"token": second, "region": "a"}));
    for token in [first, second] {
        absent_everywhere(gateway, token);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_in_an_annotation_serves_and_stays() {
    let member = FakeMember::start().await.unwrap();
    let token = "t0ken-of-a-kubeconfig";
    member.require_token(token);
    let own = own(Gateway::builder()).await;
    let (gateway, client) = (&own.gateway, own.gateway.client().unwrap());
    let (central, account) = central(gateway).await;
    let conf = kubeconfig(&member, token);
    let written = json!({"apiVersion": GROUP_VERSION, "kind": "Cluster",
        "metadata": {"name": "annotated", "annotations": {"Conf": conf, "Lat": "55.6"}},
        "spec": {"kubernetesApiEndpoints": endpoints(&member)}});
    let clusters = format!("/apis/{GROUP_VERSION}/namespaces/optikon/clusters");
    central.admin().create(&clusters, &written).await.unwrap();
    let wanted = ["--central-kubeconfig", &account, "--grant", "all"];
    swap(gateway, "registry-crd", &wanted).await;

    is_live(client, "annotated").await;
    let patch = json!({"metadata": {"annotations": {"Lat": "55.7"}}});
    let changed = client.merge("/cluster/annotated", &patch).await.unwrap();
    assert_eq!(
        changed["metadata"]["annotations"],
        json!({"Conf": "<masked>", "Lat": "55.7"})
    );
    let there = central
        .admin()
        .read(&format!("{clusters}/annotated"))
        .await
        .unwrap();
    assert_eq!(
        there["metadata"]["annotations"],
        json!({"Conf": conf, "Lat": "55.7"})
    );
    is_live(client, "annotated").await;
    absent_everywhere(gateway, token);
}

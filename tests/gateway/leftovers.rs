//! What a crash or a failed swap leaves: credentials that no cluster refers to, copies for a registry that never served,
//! clusters that an earlier registry cannot take back.

use optikon_tests::old_registry::{Access, CLUSTERS};
use optikon_tests::{Cluster, FakeMember, Gateway, OldRegistry, Testbed, wait_for};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::bed::{PATIENCE, data_folder, own, registration};
use crate::plugins::folder_with;
use crate::swap::{central, serves, swap, with_all};

const SECRETS: &str = "/api/v1/namespaces/optikon/secrets";
const IN_CENTRAL: &str = "[vault]\nplace = \"central\"\n";

/// A central cluster for a gateway whose vault is there, and a kubeconfig of its account.
async fn with_vault(gateway: &Gateway) -> (Cluster, String) {
    let testbed = Testbed::start().await.unwrap();
    let central = testbed.cluster("central").start().await.unwrap();
    let account = central.write_file("gateway.kubeconfig", "").unwrap();
    let account = account.to_str().unwrap().to_owned();
    let admin = central.kubeconfig_file();
    let setup = ["registry", "setup", "--kubeconfig", admin.to_str().unwrap()];
    let more = ["--vault", "--write-kubeconfig", &account];
    gateway.run_ok(&[&setup[..], &more].concat()).await.unwrap();
    (central, account)
}

/// The Secret of a cluster's credential.
async fn secret_of(central: &Cluster, name: &str) -> Value {
    let path = format!("{SECRETS}?labelSelector=optikon.io%2Fcredential-for%3D{name}");
    let list = central.admin().read(&path).await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list:#}");
    list["items"][0].clone()
}

async fn is_there(central: &Cluster, name: &str) -> bool {
    let path = format!("{SECRETS}/{name}");
    central.admin().get(&path).await.unwrap().status == 200
}

/// A crash between the Secret and its cluster: the next start finds it, and nothing that is young, somebody else's, or
/// only looks like one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_that_no_cluster_refers_to_are_found_after_a_restart() {
    let member = FakeMember::start().await.unwrap();
    member.require_token("t0ken-that-stays");
    let mut own = own(Gateway::builder().config(IN_CENTRAL)).await;
    let (central, account) = with_vault(&own.gateway).await;
    let to = ["--central-kubeconfig", &account, "--grant", "all"];
    swap(&own.gateway, "registry-crd", &to).await;
    let body = registration("kept", &member, "t0ken-that-stays");
    own.gateway
        .client()
        .unwrap()
        .create("/cluster", &body)
        .await
        .unwrap();
    let kept = secret_of(&central, "kept").await;
    let kept_name = kept["metadata"]["name"].as_str().unwrap();
    // As one that was made an hour ago, of which nothing says yet whose it is.
    let copy = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut copy = json!({"apiVersion": "v1", "kind": "Secret", "data": kept["data"],
            "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "optikon"},
                "annotations": kept["metadata"]["annotations"]}});
        copy["metadata"]["annotations"]["optikon.io/times"] = "[1000,null]".into();
        change(&mut copy["metadata"]);
        copy
    };
    let lost = "optikon-credential-00112233445566778899aabbccddeeff";
    let others = [
        (
            "optikon-credential-00000000000000000000000000000001",
            "young",
        ),
        (
            "optikon-credential-00000000000000000000000000000002",
            "of another gateway",
        ),
        (
            "optikon-credential-00000000000000000000000000000003",
            "without the label",
        ),
        (
            "optikon-credential-00000000000000000000000000000004",
            "without the marks",
        ),
        ("of-somebody", "of another name"),
    ];
    central
        .admin()
        .create(SECRETS, &copy(lost, &|_| {}))
        .await
        .unwrap();
    for (name, kind) in others {
        let times = kept["metadata"]["annotations"]["optikon.io/times"].clone();
        let object = copy(name, &|metadata| match kind {
            "young" => metadata["annotations"]["optikon.io/times"] = times.clone(),
            "of another gateway" => metadata["annotations"]["optikon.io/gateway"] = "other".into(),
            "without the label" => metadata["labels"] = json!({}),
            "without the marks" => metadata["annotations"] = json!({}),
            _ => {}
        });
        central.admin().create(SECRETS, &object).await.unwrap();
    }
    own.gateway.kill().unwrap();
    own.gateway.start_again().await.unwrap();
    wait_for("the leftover to be found", PATIENCE, || async {
        Ok((!is_there(&central, lost).await).then_some(()))
    })
    .await
    .unwrap();
    for (name, kind) in others {
        assert!(is_there(&central, name).await, "{kind}");
    }
    assert!(is_there(&central, kept_name).await);
    let client = own.gateway.client().unwrap();
    let live = client.read("/cluster/kept").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
}

/// On its way to a registry without a central cluster the credential was copied into the store; the swap fails, and the
/// copy goes: who deletes the Secret takes the credential away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_fails_leaves_no_copy_of_a_credential() {
    let member = FakeMember::start().await.unwrap();
    member.require_token("t0ken-in-one-place");
    let (folder, _) = data_folder().await;
    let plugins = folder_with("hostile-registry", folder.path()).await;
    let builder = Gateway::builder().config(IN_CENTRAL);
    let mut own = own(builder.plugins_folder(&plugins)).await;
    let (central, account) = with_vault(&own.gateway).await;
    let to = ["--central-kubeconfig", &account, "--grant", "all"];
    swap(&own.gateway, "registry-crd", &to).await;
    let body = registration("kept", &member, "t0ken-in-one-place");
    let client = own.gateway.client().unwrap();
    client.create("/cluster", &body).await.unwrap();
    // It passes its check, and what it lists is refused.
    let broken =
        json!({"plugin": "hostile-registry", "grants": ["all"], "config": {"behaviour": "twice"}});
    let swapped = client
        .json(Method::PUT, "/plugins/registry?wait=true", &broken)
        .await
        .unwrap();
    let operation = swapped.json().unwrap();
    assert_eq!(operation["state"], "failed", "{operation:#}");
    assert_eq!(serves(&own.gateway).await, "registry-crd");
    let live = client.read("/cluster/kept").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    let secret = secret_of(&central, "kept").await;
    let path = format!("{SECRETS}/{}", secret["metadata"]["name"].as_str().unwrap());
    central.admin().delete(&path).await.unwrap();
    // What was read is believed for a while; a new start has read nothing.
    own.gateway.kill().unwrap();
    own.gateway.start_again().await.unwrap();
    let live = own.gateway.client().unwrap().read("/cluster/kept").await;
    let live = live.unwrap();
    assert_eq!(live["status"]["reason"], "CredentialUnreadable", "{live:#}");
}

/// The registry that comes back takes DNS-1035 labels only, as of 2018: what has another name stays behind and is named.
/// One that does not answer does not come back, and what serves serves on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_names_what_the_earlier_registry_cannot_take() {
    let own = own(Gateway::builder()).await;
    let gateway = &own.gateway;
    let client = gateway.client().unwrap();
    let mut old = OldRegistry::start(Access::Tokens).await.unwrap();
    let body = |name: &str| json!({"name": name, "server": "https://10.255.0.1"});
    client.create("/cluster", &body("first")).await.unwrap();
    let swapped = json!({"plugin": "registry-aggregated", "grants": ["all"], "migrate": "copy",
        "central": {"server": old.client().base(), "ca": old.ca(), "token": "testbed-admin-token"}});
    let done = client
        .replace("/plugins/registry?wait=true", &swapped)
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done:#}");
    let (central, account) = central(gateway).await;
    swap(gateway, "registry-crd", &with_all(&account)).await;
    client.create("/cluster", &body("second")).await.unwrap();
    // Other tools take other names.
    for name in ["3rd", "with.a.dot"] {
        let path = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters";
        let object = json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
            "metadata": {"name": name}, "spec": {}});
        central.admin().create(path, &object).await.unwrap();
    }
    let rolled = async || {
        let path = "/plugins/registry/rollback?wait=true";
        let reply = client.json(Method::POST, path, &json!({})).await.unwrap();
        reply.json().unwrap()
    };
    old.kill().unwrap();
    let failed = rolled().await;
    assert_eq!(failed["state"], "failed", "{failed:#}");
    let said = failed["message"].as_str().unwrap();
    assert!(said.contains("what served before serves on"), "{said}");
    assert_eq!(serves(gateway).await, "registry-crd");
    client.create("/cluster", &body("fourth")).await.unwrap();
    old.start_again().await.unwrap();
    let done = wait_for(
        "the earlier registry to be reached again",
        PATIENCE,
        || async {
            let done = rolled().await;
            Ok((done["state"] == "succeeded").then_some(done))
        },
    )
    .await
    .unwrap();
    let said = done["message"].as_str().unwrap();
    let (_, behind) = said.split_once("stayed behind").unwrap();
    for name in ["3rd (", "with.a.dot ("] {
        assert!(behind.contains(name), "{said}");
    }
    for name in ["first", "second", "fourth"] {
        assert!(!behind.contains(name), "{said}");
        let path = format!("/cluster/{name}?probe=none");
        assert_eq!(client.get(&path).await.unwrap().status, 200, "{name}");
        old.client()
            .read(&format!("{CLUSTERS}/{name}"))
            .await
            .unwrap();
    }
    assert_eq!(serves(gateway).await, "registry-aggregated");
    assert_eq!(
        client.get("/cluster/3rd?probe=none").await.unwrap().status,
        404
    );
}

/// Twenty write one cluster at once, half of them straight on the central cluster, each its own annotation, six times. A
/// patch that names no version is tried again by the gateway; one that does is told 409. Whatever was acknowledged stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_writers_here_and_there_lose_nothing_that_was_acknowledged() {
    const EACH: u32 = 6;
    let own = own(Gateway::builder()).await;
    let (central, account) = central(&own.gateway).await;
    let to = ["--central-kubeconfig", &account, "--grant", "all"];
    swap(&own.gateway, "registry-crd", &to).await;
    let client = own.gateway.client().unwrap();
    let body = json!({"name": "busy", "server": "https://10.255.0.1"});
    client.create("/cluster", &body).await.unwrap();
    let straight = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters/busy";
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (client, admin) = (client.clone(), central.admin().clone());
        writers.spawn(async move {
            let key = format!("w{n}");
            let mut conflicts = 0;
            for value in 1..=EACH {
                let note = |version: Value| {
                    let version = version.is_string().then_some(version);
                    let mut patch = json!({"metadata": {"annotations": {&key: value.to_string()}}});
                    if let Some(version) = version {
                        patch["metadata"]["resourceVersion"] = version;
                    }
                    patch
                };
                loop {
                    let (client, path, version) = match n % 4 {
                        // By the gateway, whatever is there.
                        0 => (&client, "/cluster/busy", Value::Null),
                        // By the gateway, on what was read.
                        2 => {
                            let read = client.read("/cluster/busy?probe=none").await.unwrap();
                            let version = read["metadata"]["resourceVersion"].clone();
                            (&client, "/cluster/busy", version)
                        }
                        _ => {
                            let read = admin.read(straight).await.unwrap();
                            (
                                &admin,
                                straight,
                                read["metadata"]["resourceVersion"].clone(),
                            )
                        }
                    };
                    let request = client
                        .request(Method::PATCH, path)
                        .header("content-type", "application/merge-patch+json")
                        .body(note(version).to_string());
                    let reply = client.send(request).await.unwrap();
                    if reply.status.is_success() {
                        break;
                    }
                    assert_eq!(reply.status, 409, "{}", reply.text);
                    conflicts += 1;
                }
            }
            (key, conflicts)
        });
    }
    let mut conflicts = 0;
    let mut keys = Vec::new();
    let mut next = async || timeout(PATIENCE, writers.join_next()).await.unwrap();
    while let Some(writer) = next().await {
        let (key, lost) = writer.unwrap();
        conflicts += lost;
        keys.push(key);
    }
    assert!(conflicts > 0, "they were in each other's way");
    let there = central.admin().read(straight).await.unwrap();
    for key in &keys {
        let last = &there["metadata"]["annotations"][key];
        assert_eq!(last, &json!(EACH.to_string()), "{key}");
    }
    wait_for("the gateway to have seen all of it", PATIENCE, || async {
        let seen = client.read("/cluster/busy?probe=none").await?;
        let is_whole =
            |key: &String| seen["metadata"]["annotations"][key] == json!(EACH.to_string());
        Ok(keys.iter().all(is_whole).then_some(()))
    })
    .await
    .unwrap();
}

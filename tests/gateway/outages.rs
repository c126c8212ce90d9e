//! The central cluster as it should not be: away, silent, starting anew; objects and Secrets that others wrote.

use optikon_tests::{Cluster, FakeMember, Gateway, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{PATIENCE, data_folder, own};
use crate::swap::{central, swap, with_all};

const LIST: &str = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters";

/// How `/readyz` says that reads are of an earlier time.
const OLD: &str = "registry warns: reads come from what the registry said at 20";

async fn over_central(own: &Gateway) -> Cluster {
    let (central, account) = central(own).await;
    swap(own, "registry-crd", &with_all(&account)).await;
    central
}

fn body(name: &str) -> Value {
    json!({"name": name, "server": "https://10.255.0.1"})
}

/// What a client is told while the registry is away: what was known, with its age, and no for an answer to writes.
async fn serves_what_it_knows(gateway: &Gateway) {
    let client = gateway.client().unwrap();
    let list = client.read("/cluster?probe=none").await.unwrap();
    assert_eq!(crate::bed::names(&list["items"]), ["kept"]);
    for (method, path, sent) in [
        (Method::POST, "/cluster", body("fresh")),
        (Method::PUT, "/cluster/kept", body("kept")),
        (
            Method::DELETE,
            "/cluster/kept",
            json!({"kind": "DeleteOptions", "apiVersion": "v1"}),
        ),
    ] {
        let reply = client.json(method.clone(), path, &sent).await.unwrap();
        assert!(
            reply.status == 503 || reply.status == 504,
            "{method} {path}: {} {}",
            reply.status,
            reply.text
        );
    }
    wait_for("/readyz to say so", PATIENCE, || async {
        let ready = client.get("/readyz?verbose").await?;
        Ok(ready.text.contains(OLD).then_some(()))
    })
    .await
    .unwrap();
}

async fn serves_again(gateway: &Gateway, central: &Cluster) {
    let client = gateway.client().unwrap();
    wait_for("writes to be taken", PATIENCE, || async {
        let label = json!({"metadata": {"labels": {"after": "all"}}});
        Ok(client.merge("/cluster/kept", &label).await.ok())
    })
    .await
    .unwrap();
    let there = central.admin().read(LIST).await.unwrap();
    assert_eq!(
        crate::bed::names(&there["items"]),
        ["kept"],
        "nothing is half done"
    );
    wait_for("/readyz to be well", PATIENCE, || async {
        let ready = client.get("/readyz").await?;
        Ok((ready.status.is_success() && !ready.text.contains(OLD)).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_central_cluster_that_is_away_or_silent_takes_nothing_along() {
    let mut own = own(Gateway::builder()).await;
    let mut central = over_central(&own.gateway).await;
    let client = own.gateway.client().unwrap();
    client.create("/cluster", &body("kept")).await.unwrap();
    central.kill_api_server().unwrap();
    serves_what_it_knows(&own.gateway).await;
    // The gateway is started anew meanwhile.
    own.gateway.stop().await.unwrap();
    own.gateway.start_again().await.unwrap();
    serves_what_it_knows(&own.gateway).await;
    central.start_api_server().await.unwrap();
    serves_again(&own.gateway, &central).await;
    // Connections are taken, and nothing is ever answered.
    central.freeze_api_server().unwrap();
    let client = own.gateway.client().unwrap();
    let list = client.read("/cluster?probe=none").await.unwrap();
    assert_eq!(crate::bed::names(&list["items"]), ["kept"]);
    let reply = client
        .json(Method::PUT, "/cluster/kept", &body("kept"))
        .await
        .unwrap();
    assert!(reply.status == 503 || reply.status == 504, "{}", reply.text);
    central.thaw_api_server().unwrap();
    serves_again(&own.gateway, &central).await;
}

/// The definition is taken away and comes back, with nothing in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_is_gone_is_named() {
    let own = own(Gateway::builder()).await;
    let central = over_central(&own.gateway).await;
    let client = own.gateway.client().unwrap();
    central
        .kubectl(&["delete", "crd", "clusters.clusterregistry.k8s.io"])
        .await
        .unwrap();
    wait_for("writes to be refused with the reason", PATIENCE, || async {
        let reply = client.json(Method::POST, "/cluster", &body("a")).await?;
        let is_named = reply.text.contains("does not serve clusters");
        Ok((reply.status == 503 && is_named).then_some(()))
    })
    .await
    .unwrap();
    let (_folder, _) = data_folder().await;
    let admin = central.kubeconfig_file();
    let setup = ["registry", "setup", "--kubeconfig", admin.to_str().unwrap()];
    own.gateway.run_ok(&setup).await.unwrap();
    wait_for("writes to be taken", PATIENCE, || async {
        Ok(client.create("/cluster", &body("a")).await.ok())
    })
    .await
    .unwrap();
}

/// Objects and Secrets that somebody wrote by hand: each wrong one is a reason of its own cluster, and hides no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_cluster_written_by_hand_is_its_own_reason() {
    let member = FakeMember::start().await.unwrap();
    member.require_token("t0ken-in-a-secret");
    let own = own(Gateway::builder()).await;
    let (central, account) = central(&own.gateway).await;
    let client = own.gateway.client().unwrap();
    let admin = central.kubeconfig_file();
    let setup = [
        "registry",
        "setup",
        "--kubeconfig",
        admin.to_str().unwrap(),
        "--secrets",
    ];
    own.gateway.run_ok(&setup).await.unwrap();
    let to = ["--central-kubeconfig", &account, "--grant", "all"];
    swap(&own.gateway, "registry-crd", &to).await;
    use base64::Engine as _;
    let bundle = base64::engine::general_purpose::STANDARD.encode(member.ca().unwrap());
    let address = member.url().trim_start_matches("https://").to_owned();
    let write = async |name: &str, spec: Value| {
        let object = json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
            "metadata": {"name": name, "namespace": "optikon"}, "spec": spec});
        central.admin().create(LIST, &object).await.unwrap();
    };
    let with_secret = |secret: &str| {
        json!({"kubernetesApiEndpoints": {"caBundle": bundle, "serverEndpoints": [{"serverAddress": address}]},
            "authInfo": {"controller": {"kind": "Secret", "name": secret}}})
    };
    let secret = async |name: &str, cluster: Option<&str>, key: &str, value: &str| {
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}});
        if let Some(cluster) = cluster {
            object["metadata"]["labels"] = json!({"optikon.io/credential-for": cluster});
        }
        let path = "/api/v1/namespaces/optikon/secrets";
        central.admin().create(path, &object).await.unwrap();
    };
    secret("good", Some("good"), "token", "t0ken-in-a-secret\n").await;
    secret("no-key", Some("no-key"), "password", "x").await;
    secret("no-label", None, "token", "t0ken-in-a-secret").await;
    secret("binary", Some("binary"), "token", "a b\u{e9}").await;
    for name in ["good", "no-key", "no-label", "missing", "binary"] {
        write(name, with_secret(name)).await;
    }
    write("nonsense", json!({"kubernetesApiEndpoints": {"serverEndpoints": [{"serverAddress": "http://u:p@h?x"}]}})).await;
    write("nothing", json!({})).await;
    let mut other = with_secret("good");
    other["authInfo"]["controller"]["kind"] = "ConfigMap".into();
    write("other-kind", other).await;
    let mut foreign = with_secret("good");
    foreign["authInfo"]["controller"]["namespace"] = "kube-system".into();
    write("foreign", foreign).await;
    wait_for("all of them to be read", PATIENCE, || async {
        let list = client.read("/cluster?probe=none").await?;
        Ok((crate::bed::names(&list["items"]).len() == 9).then_some(()))
    })
    .await
    .unwrap();
    for (name, reason, said) in [
        ("no-key", "CredentialUnreadable", "no key \"token\""),
        (
            "no-label",
            "CredentialUnreadable",
            "needs the label optikon.io/credential-for=no-label",
        ),
        (
            "missing",
            "CredentialUnreadable",
            "there is no Secret optikon/missing",
        ),
        ("binary", "CredentialUnreadable", "no visible ASCII"),
        ("nonsense", "BadConfig", ""),
        ("nothing", "BadConfig", "no server address"),
        (
            "other-kind",
            "CredentialUnreadable",
            "refers to a ConfigMap",
        ),
        ("foreign", "CredentialUnreadable", "another namespace"),
    ] {
        let live = client.read(&format!("/cluster/{name}")).await.unwrap();
        assert_eq!(live["status"]["reason"], reason, "{live:#}");
        let text = live["status"].to_string();
        assert!(
            text.contains(&said.replace('"', "\\\"")),
            "{name}: {live:#}"
        );
        assert!(!text.contains("t0ken"), "{live:#}");
    }
    let live = client.read("/cluster/good").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    assert!(!live.to_string().contains("t0ken"), "{live:#}");
}

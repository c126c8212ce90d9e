//! Every form of registry takes over from another one, and gives back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use optikon_tests::keys::{Authority, Subject};
use optikon_tests::old_registry::{Access, CLUSTERS};
use optikon_tests::{Cluster, FakeMember, Gateway, OldRegistry, Testbed, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{PATIENCE, assert_absent, assert_absent_in_files, forms, own, registration};
use crate::swap::{Traffic, central, goes_on, serves, swap, traffic, with_all};

/// A hub that serves clusters by an API server of its own, and a kubeconfig of the gateway's account there.
async fn hub(gateway: &Gateway) -> (Cluster, OldRegistry, String) {
    let testbed = Testbed::start().await.unwrap();
    let hub = testbed.cluster("hub").start().await.unwrap();
    let registry = OldRegistry::start(Access::Everybody).await.unwrap();
    registry.make_service(&hub).await.unwrap();
    let ca = hub.write_file("registry-ca.pem", registry.ca()).unwrap();
    let account = hub.write_file("gateway.kubeconfig", "").unwrap();
    let account = account.to_str().unwrap().to_owned();
    let (admin, service) = (hub.kubeconfig_file(), registry.service());
    let setup = [
        "registry",
        "setup",
        "--kubeconfig",
        admin.to_str().unwrap(),
        "--form",
        "aggregated",
        "--service",
        &service,
        "--service-ca",
        ca.to_str().unwrap(),
    ];
    let written = [&setup[..], &["--write-kubeconfig", &account]].concat();
    let said = gateway.run_ok(&written).await.unwrap();
    assert!(
        said.contains("APIService v1alpha1.clusterregistry.k8s.io created"),
        "{said}"
    );
    let again = gateway.run_ok(&setup).await.unwrap();
    assert!(
        !again.contains(" created") && !again.contains(" changed"),
        "{again}"
    );
    (hub, registry, account)
}

/// What each writer was told last is what is there.
async fn nothing_is_lost(gateway: &Gateway, acknowledged: &BTreeMap<String, u64>) {
    let client = gateway.client().unwrap();
    for (name, last) in acknowledged {
        let path = format!("/cluster/{name}?probe=none");
        let now = client.read(&path).await.unwrap();
        assert_eq!(
            now["metadata"]["annotations"]["n"],
            last.to_string(),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_takes_over_under_readers_and_writers() {
    let member = FakeMember::start().await.unwrap();
    let token = "a-token-that-no-registry-sees";
    member.require_token(token);
    let own = own(Gateway::builder()).await;
    let gateway = &own.gateway;
    let client = gateway.client().unwrap();
    let (crd, crd_account) = central(gateway).await;
    let (hub, old, hub_account) = hub(gateway).await;
    let mut uids = BTreeMap::new();
    for n in 0..3 {
        let name = format!("kept-{n}");
        let mut body = registration(&name, &member, token);
        body["annotations"] = json!({"Lat": "55.6"});
        let made = client.create("/cluster", &body).await.unwrap();
        uids.insert(name, made["metadata"]["uid"].clone());
    }
    let state = Arc::new(Traffic::default());
    // 200 readers, each once a second.
    let mut tasks = traffic(gateway, (200, Duration::from_secs(1)), 20, &state);
    goes_on(&state).await;

    swap(gateway, "registry-crd", &with_all(&crd_account)).await;
    assert_eq!(serves(gateway).await, "registry-crd");
    goes_on(&state).await;
    swap(gateway, "registry-aggregated", &with_all(&hub_account)).await;
    assert_eq!(serves(gateway).await, "registry-aggregated");
    goes_on(&state).await;
    // The credential is still each cluster's own, in the form that this registry can keep.
    let live = client.read("/cluster/kept-0").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    let there = old.client().read(CLUSTERS).await.unwrap();
    assert!(there["items"].as_array().unwrap().len() >= 23, "{there:#}");
    swap(
        gateway,
        "registry-embedded",
        &["--migrate", "copy", "--grant", "all"],
    )
    .await;
    assert_eq!(serves(gateway).await, "registry-embedded");
    goes_on(&state).await;
    // Somebody wants the one before back, which is out of date by now.
    gateway
        .run_ok(&["plugin", "rollback", "registry"])
        .await
        .unwrap();
    assert_eq!(serves(gateway).await, "registry-aggregated");
    goes_on(&state).await;

    state.ends.store(true, SeqCst);
    let mut acknowledged = BTreeMap::new();
    while let Some(task) = tasks.join_next().await {
        acknowledged.extend(task.unwrap());
    }
    assert_eq!(acknowledged.len(), 20);
    nothing_is_lost(gateway, &acknowledged).await;
    for (name, uid) in &uids {
        let now = client.read(&format!("/cluster/{name}")).await.unwrap();
        assert_eq!(&now["metadata"]["uid"], uid, "{name}");
        assert_eq!(now["metadata"]["annotations"]["Lat"], "55.6");
        assert_eq!(now["status"]["nodes"][0]["name"], "n0", "{now:#}");
    }
    // Nobody was told the token: not the two registries, not the log, not what is on the disk.
    let forms = forms(token);
    let there = old.client().read(CLUSTERS).await.unwrap();
    assert_absent(
        &forms,
        "the aggregated registry",
        there.to_string().as_bytes(),
    );
    let there = crd
        .kubectl(&["get", "clusters,secrets", "-A", "-o", "json"])
        .await
        .unwrap();
    assert_absent(&forms, "the central cluster", there.as_bytes());
    let there = hub.kubectl(&["get", "secrets", "-A", "-o", "json"]).await;
    assert_absent(&forms, "the hub", there.unwrap().as_bytes());
    assert_absent(&forms, "the log", gateway.log().as_bytes());
    assert_absent_in_files(&forms, gateway.data_folder());
    let operations = client.read("/operations").await.unwrap();
    assert_absent(&forms, "the operations", operations.to_string().as_bytes());
}

/// The message of the last operation on a slot.
async fn rolled_back(gateway: &Gateway) -> String {
    let client = gateway.client().unwrap();
    let path = "/plugins/registry/rollback?wait=true";
    let reply = client.json(Method::POST, path, &json!({})).await.unwrap();
    let operation = reply.json().unwrap();
    assert_eq!(operation["state"], "succeeded", "{operation:#}");
    operation["message"].as_str().unwrap().to_owned()
}

/// Whatever the new registry has come to: what was acknowledged comes back, and what cannot is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_from_a_registry_that_is_gone_brings_the_first_writes_back() {
    let mut own = own(Gateway::builder()).await;
    let (mut crd, crd_account) = central(&own.gateway).await;
    let (_hub, _old, hub_account) = hub(&own.gateway).await;
    let client = own.gateway.client().unwrap().clone();
    let body = |name: &str| json!({"name": name, "server": "https://10.255.0.1"});
    for name in ["changed", "deleted", "kept"] {
        client.create("/cluster", &body(name)).await.unwrap();
    }
    swap(&own.gateway, "registry-aggregated", &with_all(&hub_account)).await;
    swap(&own.gateway, "registry-crd", &with_all(&crd_account)).await;
    client.create("/cluster", &body("fresh")).await.unwrap();
    // Legal where it was made, and nowhere before.
    client.create("/cluster", &body("1-digit")).await.unwrap();
    let label = json!({"metadata": {"labels": {"x": "y"}}});
    client.merge("/cluster/changed", &label).await.unwrap();
    client.delete("/cluster/deleted").await.unwrap();
    // Both end at once: the central cluster for good, the gateway before it saved anything by and by.
    crd.kill_api_server().unwrap();
    own.gateway.kill().unwrap();
    own.gateway.start_again().await.unwrap();
    // A look changes what is known of a cluster, and not when it was written.
    let client = own.gateway.client().unwrap();
    client.read("/cluster/changed").await.unwrap();
    let message = rolled_back(&own.gateway).await;
    assert!(
        message.contains("stayed behind") && message.contains("1-digit (its name is no DNS-1035"),
        "{message}"
    );
    assert_eq!(serves(&own.gateway).await, "registry-aggregated");
    let list: Value = client.read("/cluster?probe=none").await.unwrap();
    assert_eq!(
        crate::bed::names(&list["items"]),
        ["changed", "fresh", "kept"]
    );
    assert_eq!(list["items"][0]["metadata"]["labels"]["x"], "y");
}

/// Without a copy the two hold different clusters; only what was written since goes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_without_a_copy_replays_the_first_writes() {
    let own = own(Gateway::builder()).await;
    let (central, account) = central(&own.gateway).await;
    let client = own.gateway.client().unwrap();
    let body = |name: &str| json!({"name": name, "server": "https://10.255.0.1"});
    client.create("/cluster", &body("ours")).await.unwrap();
    let theirs = json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
        "metadata": {"name": "theirs", "namespace": "optikon"}, "spec": {}});
    central.apply(&theirs.to_string()).await.unwrap();
    let arguments = ["--central-kubeconfig", &account, "--grant", "all"];
    swap(&own.gateway, "registry-crd", &arguments).await;
    wait_for("what is there to be read", PATIENCE, || async {
        Ok((client.get("/cluster/theirs?probe=none").await?.status == 200).then_some(()))
    })
    .await
    .unwrap();
    let member = FakeMember::start().await.unwrap();
    member.require_token("t0ken-of-since");
    let since = registration("since", &member, "t0ken-of-since");
    let made = client.create("/cluster", &since).await.unwrap();
    let message = rolled_back(&own.gateway).await;
    assert!(!message.contains("stayed behind"), "{message}");
    let list: Value = client.read("/cluster?probe=none").await.unwrap();
    assert_eq!(crate::bed::names(&list["items"]), ["ours", "since"]);
    // It is the same cluster to the gateway, with its credential.
    let live = client.read("/cluster/since").await.unwrap();
    assert_eq!(live["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
}

/// Something with a certificate of its own that passes everything on to a gateway, as a hub's aggregation layer does.
async fn in_front_of(gateway: &Gateway) -> (String, String) {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let authority = Authority::new("front").unwrap();
    let subject = Subject {
        common_name: "front",
        hosts: &["127.0.0.1"],
        ..Subject::default()
    };
    let pair = authority.issue(&subject).unwrap();
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = gateway
        .url()
        .unwrap()
        .trim_start_matches("http://")
        .to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut near = acceptor.accept(stream).await?;
                let mut far = tokio::net::TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    (
        format!("https://127.0.0.1:{port}"),
        authority.pem().to_owned(),
    )
}

/// A registry that asks itself would never end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_central_cluster_that_leads_back_to_the_gateway_is_refused() {
    let own = own(Gateway::builder()).await;
    let client = own.gateway.client().unwrap();
    let (server, ca) = in_front_of(&own.gateway).await;
    let token = own.gateway.token().unwrap();
    for plugin in ["registry-crd", "registry-aggregated"] {
        let body = json!({"plugin": plugin, "grants": ["all"],
            "central": {"server": server, "ca": ca, "token": token}});
        let path = "/plugins/registry?wait=true";
        let swapped = client.json(Method::PUT, path, &body).await.unwrap();
        let operation = swapped.json().unwrap();
        assert_eq!(operation["state"], "failed", "{operation:#}");
        let message = operation["message"].as_str().unwrap();
        assert!(message.contains("this very gateway"), "{message}");
    }
    assert_eq!(serves(&own.gateway).await, "registry-embedded");
}

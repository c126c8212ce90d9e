//! A member's credential goes to that member and nowhere else.

use optikon_tests::{Answer, FakeMember, Gateway, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{
    PATIENCE, assert_absent, assert_absent_in_files, data_folder, forms, gateway, own,
    registration, wait_for_ready,
};
use crate::plugins::folder_with;
use crate::watching::Watch;

/// Everything but what the compiler says about the code of plugins, which knows no member and would be gigabytes.
const TRACE: &str = "trace,cranelift_codegen=warn,regalloc2=warn";
const CANARY: &str = "canary-9f2b/+7d41_s3cr3t~token.of-a.member";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_members_token_is_found_in_no_reply_log_metric_or_file() {
    let member = FakeMember::start().await.unwrap();
    member.require_token(CANARY);
    let builder = Gateway::builder()
        .variable("OPTIKON_LOG", TRACE)
        .config("[probing]\nreach_seconds = 1\n");
    let mut own = own(builder).await;
    let gateway = &own.gateway;
    let client = gateway.client().unwrap();
    let forms = forms(CANARY);
    let path = "/cluster?watch=true";
    let mut watch = Watch::start(client, path, "application/json", None).await;
    let mut replies = Vec::new();

    let body = registration("canary", &member, CANARY);
    for _ in 0..2 {
        replies.push(client.json(Method::POST, "/cluster", &body).await.unwrap());
    }
    replies.push(
        client
            .json(Method::POST, "/cluster?dryRun=All", &body)
            .await
            .unwrap(),
    );
    wait_for_ready(gateway, "canary", "True").await;
    // Wrong requests that carry it.
    let mut broken = body.clone();
    broken["token"] = format!("{CANARY}\n").into();
    replies.push(
        client
            .json(Method::PUT, "/cluster/canary", &broken)
            .await
            .unwrap(),
    );
    broken["token"] = json!({ CANARY: 1 });
    replies.push(
        client
            .json(Method::POST, "/cluster", &broken)
            .await
            .unwrap(),
    );
    let half = body.to_string().replace('}', "");
    let request = client.request(Method::POST, "/cluster").body(half);
    let request = request.header("content-type", "application/json");
    replies.push(client.send(request).await.unwrap());
    let annotation = json!({"metadata": {"annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": body.to_string(),
    }}});
    let request = client
        .request(Method::PATCH, "/cluster/canary")
        .json(&annotation);
    let request = request.header("content-type", "application/merge-patch+json");
    replies.push(client.send(request).await.unwrap());
    for path in [
        "/cluster",
        "/cluster/canary",
        "/cluster/canary?probe=cached",
        "/cluster/canary/status",
        "/metrics",
        "/audit",
        "/tokens",
        "/plugins",
        "/readyz?verbose",
    ] {
        let reply = client.get(path).await.unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        replies.push(reply);
    }
    for reply in &replies {
        let text = format!("{:?} {}", reply.headers, reply.text);
        assert_absent(&forms, "a reply", text.as_bytes());
    }
    let (_, object) = watch.until("canary").await;
    assert_absent(&forms, "a watch", object.to_string().as_bytes());
    let printed = gateway
        .run_ok(&["cluster", "get", "canary", "-o", "yaml"])
        .await
        .unwrap();
    assert_absent(&forms, "the command line", printed.as_bytes());

    assert!(own.gateway.stop().await.unwrap().success());
    let log = own.gateway.log();
    assert!(log.contains("TRACE"), "the log is not that detailed");
    assert_absent(&forms, "the log", log.as_bytes());
    assert!(assert_absent_in_files(&forms, own.gateway.data_folder()) > 2);
    let sent = member.seen();
    assert!(!sent.is_empty(), "the member itself was asked with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spying_prober_finds_no_credential_even_where_the_member_repeats_it() {
    let member = FakeMember::start().await.unwrap();
    member.require_token(CANARY);
    let repeats = Answer::json(200, &json!({"gitVersion": format!("v1-{CANARY}")}));
    member.answer("/version", repeats.header("x-echo", CANARY));
    let (folder, _) = data_folder().await;
    let plugins = folder_with("hostile-prober", folder.path()).await;
    let config = "[plugins.slots.prober]\nplugin = \"hostile-prober\"\ngrants = [\"kube\", \"log\", \"config\"]\n\
                  config = { behaviour = \"spy\" }\n";
    let builder = Gateway::builder().variable("OPTIKON_LOG", TRACE);
    let mut own = own(builder.plugins_folder(&plugins).config(config)).await;
    let client = own.gateway.client().unwrap();
    let body = registration("spied", &member, CANARY);
    client.create("/cluster", &body).await.unwrap();
    let reply = client.get("/cluster/spied").await.unwrap();
    // It did look: the nodes that the member shows are there, the answer with the token is a fault.
    assert!(reply.text.contains("kubeletVersion"), "{}", reply.text);
    let forms = forms(CANARY);
    assert_absent(&forms, "what the spy saw", reply.text.as_bytes());
    assert!(own.gateway.stop().await.unwrap().success());
    let log = own.gateway.log();
    assert!(log.contains("kubeletVersion"), "the spy's log is not there");
    assert_absent(&forms, "the log", log.as_bytes());
    assert!(assert_absent_in_files(&forms, own.gateway.data_folder()) > 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_does_not_follow_its_cluster_to_another_address() {
    let (member, recorder) = tokio::try_join!(FakeMember::start(), FakeMember::start()).unwrap();
    member.require_token("bound-token");
    let gateway = gateway().await;
    let client = gateway.client().unwrap();
    let body = registration("bound", &member, "bound-token");
    client.create("/cluster", &body).await.unwrap();
    wait_for_ready(gateway, "bound", "True").await;

    let moved = json!({"spec": {"kubernetesApiEndpoints": {
        "serverEndpoints": [{"serverAddress": recorder.url()}],
    }}});
    client.merge("/cluster/bound", &moved).await.unwrap();
    let live = client.read("/cluster/bound").await.unwrap();
    assert_eq!(live["status"]["reason"], "CredentialUnbound", "{live:#}");
    wait_for("the list's reason", PATIENCE, || async {
        let list = client.read("/cluster/bound?probe=cached").await?;
        Ok((list["status"]["reason"] == "CredentialUnbound").then_some(()))
    })
    .await
    .unwrap();
    for (annotation, value) in [
        ("optikon.io/tls-server-name", "localhost"),
        ("optikon.io/proxy-url", "http://10.0.0.9:3128"),
    ] {
        let back = json!({
            "metadata": {"annotations": {annotation: value}},
            "spec": {"kubernetesApiEndpoints": {"serverEndpoints": [{"serverAddress": member.url()}]}},
        });
        client.merge("/cluster/bound", &back).await.unwrap();
        let live = client.read("/cluster/bound").await.unwrap();
        assert_eq!(
            live["status"]["reason"], "CredentialUnbound",
            "{annotation}: {live:#}"
        );
        let away = json!({"metadata": {"annotations": {annotation: null}}});
        client.merge("/cluster/bound", &away).await.unwrap();
    }
    let sent: Vec<Option<String>> = recorder
        .seen()
        .iter()
        .map(|r| r.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(sent, [], "the other server was spoken to");
    assert_eq!(recorder.most_connections(), 0);

    let anew = registration("bound", &recorder, "another-token");
    client.replace("/cluster/bound", &anew).await.unwrap();
    let live = client.read("/cluster/bound").await.unwrap();
    assert_eq!(live["status"]["nodes"][0]["name"], "n0", "{live:#}");
    let used: Vec<Value> = recorder
        .seen()
        .iter()
        .map(|r| r.header("authorization").into())
        .collect();
    assert!(used.iter().all(|h| h == "Bearer another-token"), "{used:?}");
}

//! What callers send wrongly: refused with the field's name, and nothing is stored, read or run.

use optikon_tests::gateway::Gateway;
use optikon_tests::{Reply, scratch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{gateway, own};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

async fn post(gateway: &Gateway, kind: &str, body: Vec<u8>) -> Reply {
    let client = gateway.client().unwrap();
    let request = client
        .request(Method::POST, "/cluster")
        .header("content-type", kind)
        .body(body);
    client.send(request).await.unwrap()
}

fn short(change: &Value) -> Value {
    let mut body = json!({"name": "bad", "server": "https://10.0.0.1:6443"});
    for (key, value) in change.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn object(spec: &Value) -> Value {
    json!({
        "apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster",
        "metadata": {"name": "bad"}, "spec": spec,
    })
}

fn endpoint(address: &str, cidr: &str) -> Value {
    object(&json!({"kubernetesApiEndpoints": {
        "serverEndpoints": [{"serverAddress": address, "clientCIDR": cidr}],
    }}))
}

/// A body and the field that its refusal names.
fn invalid() -> Vec<(&'static str, Value)> {
    let address = "spec.kubernetesApiEndpoints.serverEndpoints[0].serverAddress";
    let cidr = "spec.kubernetesApiEndpoints.serverEndpoints[0].clientCIDR";
    let ca = "spec.kubernetesApiEndpoints.caBundle";
    let name = "metadata.name";
    let long = "a".repeat(64);
    let provider = json!({"name": "p", "config": {"token": "t"}});
    let good = json!({"serverEndpoints": [{"serverAddress": "10.0.0.1"}]});
    vec![
        ("colour", short(&json!({"colour": 1}))),
        ("spec.colour", object(&json!({"colour": 1}))),
        (
            "spec.authInfo.colour",
            object(&json!({"authInfo": {"colour": 1}})),
        ),
        (name, short(&json!({"name": "Bad_Name"}))),
        (name, short(&json!({"name": ""}))),
        (name, short(&json!({"name": long}))),
        (name, short(&json!({"name": "a.b"}))),
        (name, short(&json!({"name": "-a"}))),
        (name, short(&json!({"name": "a/../b"}))),
        ("server", json!({"name": "bad"})),
        ("server", short(&json!({"server": 7}))),
        (address, short(&json!({"server": "http://10.0.0.1"}))),
        (address, short(&json!({"server": "ftp://10.0.0.1"}))),
        (address, short(&json!({"server": "file:///etc/passwd"}))),
        (
            address,
            short(&json!({"server": "https://user:word@10.0.0.1"})),
        ),
        (address, short(&json!({"server": "https://10.0.0.1:99999"}))),
        (
            address,
            short(&json!({"server": "https://10.0.0.1/a/../b"})),
        ),
        (address, short(&json!({"server": "https://10.0.0.1?x=1"}))),
        (address, short(&json!({"server": "https://"}))),
        (address, short(&json!({"server": "https://a b"}))),
        (address, short(&json!({"server": "https://a\r\nb"}))),
        (address, endpoint("10.0.0.256", "")),
        (cidr, endpoint("10.0.0.1", "10.0.0.0/33")),
        (cidr, endpoint("10.0.0.1", "everybody")),
        (ca, short(&json!({"ca": "no certificate"}))),
        (
            ca,
            object(&json!({"kubernetesApiEndpoints": {"caBundle": "!"}})),
        ),
        ("token", short(&json!({"token": "a\nb"}))),
        ("token", short(&json!({"token": "a\u{0}b"}))),
        (
            "token",
            short(&json!({"token": "t", "username": "u", "password": "p"})),
        ),
        ("password", short(&json!({"username": "u"}))),
        ("clientKey", short(&json!({"clientCertificate": "c"}))),
        (
            "spec.authInfo.controller",
            object(&json!({"kubernetesApiEndpoints": good, "authInfo": {
                "controller": {"kind": "Secret", "name": "s"}, "providers": [provider],
            }})),
        ),
        (
            "spec.authInfo",
            object(&json!({"kubernetesApiEndpoints": good,
                "authInfo": {"providers": [provider, provider]}})),
        ),
        ("labels[a b]", short(&json!({"labels": {"a b": "c"}}))),
        ("labels[a]", short(&json!({"labels": {"a": "not a value"}}))),
        (
            "metadata.annotations[optikon.io/proxy-url]",
            short(&json!({"proxyUrl": "socks5://p"})),
        ),
        (
            "metadata.annotations[optikon.io/tls-server-name]",
            short(&json!({"tlsServerName": "https://x"})),
        ),
        (
            "kind",
            json!({"kind": "Pod", "metadata": {"name": "bad"}, "spec": {}}),
        ),
        (
            "apiVersion",
            json!({"apiVersion": "v1", "metadata": {"name": "bad"}, "spec": {}}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_refused_by_the_name_of_its_field_and_nothing_is_stored() {
    let own = own(Gateway::builder()).await;
    let gateway = &own.gateway;
    let client = gateway.client().unwrap();
    let empty = client.read("/cluster?probe=none").await.unwrap();
    let mut wrong = Vec::new();
    for (field, body) in invalid() {
        let reply = post(gateway, JSON, body.to_string().into_bytes()).await;
        let problem = reply.json().unwrap();
        let fields: Vec<_> = problem["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| e["field"].as_str().unwrap().to_owned())
            .collect();
        if reply.status != 422 || !fields.iter().any(|f| f == field) {
            wrong.push(format!(
                "{body} names {fields:?} with {}: {field}",
                reply.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    let deep_yaml = format!("name: bad\nserver: {}", "[".repeat(100_000));
    let deep = format!("{{\"name\":{}", "[".repeat(100_000));
    let alias = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nname: *c\n";
    let large = format!(
        "{{\"name\":\"bad\",\"server\":\"{}\"}}",
        "a".repeat(3 << 20)
    );
    for (status, kind, body) in [
        (400, JSON, "{\"name\":".to_owned()),
        (400, JSON, String::new()),
        (
            400,
            JSON,
            r#"{"name":"bad","server":"https://10.0.0.1","token":"a","token":"b"}"#.to_owned(),
        ),
        (400, JSON, deep),
        (400, YAML, "name: [".to_owned()),
        (400, YAML, deep_yaml),
        (422, JSON, "[]".to_owned()),
        (422, YAML, alias.to_owned()),
        (413, JSON, large),
        (415, "text/plain", "name: bad".to_owned()),
    ] {
        let start: String = body.chars().take(30).collect();
        let reply = post(gateway, kind, body.into_bytes()).await;
        assert_eq!(reply.status, status, "{kind} {start}: {}", reply.text);
        let problem = reply.json().unwrap();
        assert_eq!(problem["status"], status);
        assert!(
            problem["code"].is_string() && problem["requestId"].is_string(),
            "{problem}"
        );
    }
    let typo = client
        .json(Method::POST, "/cluster?dryrun=All", &short(&json!({})))
        .await
        .unwrap();
    assert_eq!(typo.status, 422, "{}", typo.text);
    assert_eq!(typo.json().unwrap()["errors"][0]["field"], "dryrun");

    let list = client.read("/cluster?probe=none").await.unwrap();
    assert_eq!(list, empty, "something was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_that_runs_or_reads_something_is_refused_before_anything_leaves() {
    let gateway = gateway().await;
    let folder = scratch::folder().unwrap();
    let trace = folder.path().join("ran");
    let users = [
        (
            "exec",
            json!({"exec": {
                "apiVersion": "client.authentication.k8s.io/v1", "command": "touch",
                "args": [trace], "interactiveMode": "Never",
            }}),
        ),
        ("auth-provider", json!({"auth-provider": {"name": "gcp"}})),
        ("tokenFile", json!({"tokenFile": "/etc/hostname"})),
    ];
    for (word, user) in users {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": user}],
        });
        let file = folder.path().join(format!("{word}.yaml"));
        std::fs::write(&file, config.to_string()).unwrap();
        let output = gateway
            .run(&[
                "cluster",
                "add",
                "bad-kubeconfig",
                "--kubeconfig",
                file.to_str().unwrap(),
            ])
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word), "{said}");
    }
    assert!(!trace.exists(), "the command was run");
    let reply = gateway
        .client()
        .unwrap()
        .get("/cluster/bad-kubeconfig")
        .await
        .unwrap();
    assert_eq!(reply.status, 404);
}

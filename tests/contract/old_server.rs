//! The test bed's API server of cluster-registry v0.0.3 has every oddity that was observed on the original binary, so that
//! registry-aggregated is tested against what it will meet.

use optikon_tests::old_registry::{Access, CLUSTERS};
use optikon_tests::{Client, OldRegistry, Reply, Testbed};
use reqwest::{Method, header};
use serde_json::{Value, json};

const GROUP: &str = "/apis/clusterregistry.k8s.io/v1alpha1";

async fn server() -> OldRegistry {
    OldRegistry::start(Access::Everybody).await.unwrap()
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

fn at(name: &str) -> String {
    format!("{CLUSTERS}/{name}")
}

async fn with(
    client: &Client,
    method: Method,
    path: &str,
    kind: (&str, &str),
    body: &Value,
) -> Reply {
    let request = client
        .request(method, path)
        .header(kind.0, kind.1)
        .body(body.to_string());
    client.send(request).await.unwrap()
}

async fn patch(client: &Client, kind: &str, body: Value) -> Reply {
    let kind = ("content-type", kind);
    with(client, Method::PATCH, &at("a"), kind, &body).await
}

/// `null` where nothing is set, links everywhere, no generations, items without kind; keys in any case, unknown fields
/// lost without a word, a status that can hold nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_json_is_that_of_2018() {
    let server = server().await;
    let client = server.client();
    let body = json!({"METADATA": {"name": "a", "clusterName": "x", "namespace": "y"},
        "spec": {"KubernetesApiEndpoints": {"serverendpoints": [{"clientCidr": "0.0.0.0"}]}, "odd": 1, "authinfo": {}},
        "status": {"conditions": [{"type": "OK"}]}});
    let path = format!("{CLUSTERS}?fieldValidation=Strict");
    let made = client.create(&path, &body).await.unwrap();
    assert_eq!(
        made["spec"],
        json!({"kubernetesApiEndpoints": {"serverEndpoints": [{"clientCIDR": "0.0.0.0"}]},
            "authInfo": {"providers": null}, "cloudProvider": null})
    );
    assert_eq!(made["status"], json!({}));
    let metadata = &made["metadata"];
    assert_eq!(metadata["selfLink"], at("a"));
    for gone in ["generation", "managedFields", "namespace", "clusterName"] {
        assert!(metadata.get(gone).is_none(), "{gone}: {made:#}");
    }
    let bare = client.create(CLUSTERS, &named("bare")).await.unwrap();
    assert!(bare.get("status").is_some_and(Value::is_null));
    let list = client.read(CLUSTERS).await.unwrap();
    assert_eq!(list["metadata"]["selfLink"], CLUSTERS);
    let item = &list["items"][0];
    assert!(item.get("kind").is_none() && item.get("apiVersion").is_none());
    assert_eq!(item["metadata"]["selfLink"], at("a"));
}

/// 400 with the body near the error, tokens included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_errors_quote_the_body() {
    let server = server().await;
    for spec in [
        json!({"authInfo": {"providers": [{"config": {"token": "s3cret"}, "name": 7}]}}),
        json!({"authInfo": {"providers": [{"config": {"token": "s3cret"}}]}, "kubernetesApiEndpoints": {"caBundle": "s3cret!"}}),
    ] {
        let body = json!({"metadata": {"name": "a"}, "spec": spec});
        let reply = server
            .client()
            .json(Method::POST, CLUSTERS, &body)
            .await
            .unwrap();
        assert_eq!(reply.status, 400, "{}", reply.text);
        assert!(reply.text.contains("s3cret"), "{}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_writes_follow_the_rules_of_the_table() {
    let server = server().await;
    let client = server.client();
    let send = async |method: Method, path: &str, body: &Value| {
        client.json(method, path, body).await.unwrap()
    };
    let reason = |reply: &Reply| reply.json().unwrap()["reason"].clone();
    // POST
    let made = send(Method::POST, CLUSTERS, &named("a")).await;
    assert_eq!(made.status, 201);
    let made = made.json().unwrap();
    let again = send(Method::POST, CLUSTERS, &named("a")).await;
    assert!(again.status == 409 && reason(&again) == "AlreadyExists");
    for bad in ["1a", "a.b", "-", &"x".repeat(64)] {
        let refused = send(Method::POST, CLUSTERS, &named(bad)).await;
        assert_eq!(refused.status, 422, "{bad}");
        let causes = refused.json().unwrap()["details"]["causes"].clone();
        assert_eq!(causes[0]["field"], "metadata.name", "{bad}");
    }
    let generated = json!({"metadata": {"generateName": "g-"}});
    let generated = client.create(CLUSTERS, &generated).await.unwrap();
    assert_eq!(generated["metadata"]["name"].as_str().unwrap().len(), 7);
    // PUT
    let no_op = client.replace(&at("a"), &named("a")).await.unwrap();
    assert_eq!(
        no_op["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
    let labelled =
        json!({"metadata": {"name": "a", "labels": {"x": "1"}, "annotations": {"y": "2"}}});
    client.replace(&at("a"), &labelled).await.unwrap();
    let bare = client.replace(&at("a"), &named("a")).await.unwrap();
    assert!(bare["metadata"].get("labels").is_none(), "it replaces all");
    let mut stale = labelled.clone();
    stale["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
    assert_eq!(send(Method::PUT, &at("a"), &stale).await.status, 409);
    assert_eq!(
        send(Method::PUT, &at("ghost"), &named("ghost"))
            .await
            .status,
        404
    );
    assert_eq!(send(Method::PUT, &at("a"), &named("b")).await.status, 400);
    let foreign = json!({"metadata": {"name": "a", "uid": "other"}});
    assert_eq!(send(Method::PUT, &at("a"), &foreign).await.status, 409);
    // PATCH
    let add = json!([{"op": "add", "path": "/metadata/labels", "value": {"x": "1"}}]);
    assert_eq!(
        patch(client, "application/json-patch+json", add)
            .await
            .status,
        200
    );
    for kind in ["merge-patch", "strategic-merge-patch"] {
        let label = json!({"metadata": {"labels": {"y": kind}}});
        let patched = patch(client, &format!("application/{kind}+json"), label).await;
        assert_eq!(
            patched.json().unwrap()["metadata"]["labels"],
            json!({"x": "1", "y": kind})
        );
    }
    let apply = patch(client, "application/apply-patch+yaml", labelled).await;
    assert_eq!(apply.status, 415);
    // DELETE
    let precondition = |uid: &Value| json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}});
    let other = send(Method::DELETE, &at("a"), &precondition(&"other".into())).await;
    assert_eq!(other.status, 409);
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    client.merge(&at("a"), &hold).await.unwrap();
    let uid = &made["metadata"]["uid"];
    let held = send(Method::DELETE, &at("a"), &precondition(uid)).await;
    assert_eq!(held.json().unwrap()["kind"], "Cluster");
    let free = json!({"metadata": {"finalizers": null}});
    client.merge(&at("a"), &free).await.unwrap();
    client.create(CLUSTERS, &named("b")).await.unwrap();
    let gone = client.delete(&at("b")).await.unwrap();
    assert_eq!(gone["status"], "Success");
    assert!(gone["details"]["uid"].is_string());
    let all = client.delete(CLUSTERS).await.unwrap();
    assert_eq!(all["kind"], "ClusterList");
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    // What there is not.
    client.create(CLUSTERS, &named("c")).await.unwrap();
    for missing in [
        format!("{}/status", at("c")),
        format!("{GROUP}/namespaces/n/clusters"),
    ] {
        assert_eq!(client.get(&missing).await.unwrap().status, 404, "{missing}");
    }
}

/// Asked to try, it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_writes_on_a_dry_run() {
    let server = server().await;
    let client = server.client();
    let dry = |path: &str| format!("{path}?dryRun=All");
    client.create(&dry(CLUSTERS), &named("a")).await.unwrap();
    let label = json!({"metadata": {"name": "a", "labels": {"x": "1"}}});
    client.replace(&dry(&at("a")), &label).await.unwrap();
    let there = client.read(&at("a")).await.unwrap();
    assert_eq!(there["metadata"]["labels"]["x"], "1");
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]});
    client
        .json(Method::DELETE, &dry(&at("a")), &options)
        .await
        .unwrap();
    assert_eq!(client.get(&at("a")).await.unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_lists_and_watches_know_labels_and_names() {
    let server = server().await;
    let client = server.client();
    for (name, x) in [("a", "1"), ("b", "2"), ("c", "1")] {
        let object = json!({"metadata": {"name": name, "labels": {"x": x}}});
        client.create(CLUSTERS, &object).await.unwrap();
    }
    let names = async |query: &str| -> Vec<String> {
        let list = client.read(&format!("{CLUSTERS}?{query}")).await.unwrap();
        let items = list["items"].as_array().unwrap();
        let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
        items.iter().map(name).collect()
    };
    assert_eq!(names("labelSelector=x%3D1").await, ["a", "c"]);
    assert_eq!(names("fieldSelector=metadata.name%3Db").await, ["b"]);
    let refused = client
        .get(&format!("{CLUSTERS}?fieldSelector=spec.x%3Db"))
        .await;
    assert_eq!(refused.unwrap().status, 400);
    let page = client.read(&format!("{CLUSTERS}?limit=2")).await.unwrap();
    let token = page["metadata"]["continue"].as_str().unwrap();
    assert_eq!(names(&format!("limit=2&continue={token}")).await, ["c"]);
    // Each of the two ways to watch; from 0 it replays.
    let lines = async |path: String| -> Vec<Value> {
        let reply = client.get(&path).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        let lines = reply.text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    for path in [
        format!("{CLUSTERS}?watch=1&"),
        format!("{GROUP}/watch/clusters?"),
    ] {
        let seen = lines(format!("{path}resourceVersion=0&timeoutSeconds=1")).await;
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(seen.iter().all(|event| event["type"] == "ADDED"));
    }
    let first = client.read(&at("a")).await.unwrap()["metadata"]["resourceVersion"].clone();
    client.delete(&at("a")).await.unwrap();
    server.compact().await.unwrap();
    let old = first.as_str().unwrap();
    let seen = lines(format!(
        "{CLUSTERS}?watch=1&resourceVersion={old}&timeoutSeconds=5"
    ))
    .await;
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (&seen[0]["type"], &seen[0]["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_looks_at_the_first_choice_of_accept_only() {
    let server = server().await;
    let client = server.client();
    client.create(CLUSTERS, &named("a")).await.unwrap();
    let ask = async |path: &str, accept: &str| {
        let request = client.request(Method::GET, path);
        client
            .send(request.header(header::ACCEPT, accept))
            .await
            .unwrap()
    };
    for version in ["v1", "v1beta1"] {
        let table = format!("application/json;as=Table;g=meta.k8s.io;v={version},application/json");
        assert_eq!(ask(CLUSTERS, &table).await.status, 406);
    }
    let discovery =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    assert_eq!(ask("/apis", discovery).await.status, 406);
    assert_eq!(ask("/apis", "application/json").await.status, 200);
    let old = ask(
        CLUSTERS,
        "application/json;as=Table;g=meta.k8s.io;v=v1alpha1,application/json",
    )
    .await;
    let old = old.json().unwrap();
    let columns: Vec<&Value> = old["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(columns, ["Name", "Created At"]);
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 404),
        ("/livez", 404),
        ("/swagger.json", 200),
        ("/openapi/v3", 404),
    ] {
        assert_eq!(client.get(path).await.unwrap().status, status, "{path}");
    }
}

/// Through a hub of today: what kubectl can do with it. In the mode `aggregated` it asks the hub in a version that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_of_today_sees_it_as_observed() {
    let hub = Testbed::start()
        .await
        .unwrap()
        .cluster("old-hub")
        .start()
        .await
        .unwrap();
    let mut server = server().await;
    server.register(&hub).await.unwrap();
    let object = json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "a"}});
    hub.apply(&object.to_string()).await.unwrap();
    hub.kubectl(&["label", "clusters", "a", "x=1"])
        .await
        .unwrap();
    let shown = hub
        .kubectl(&["get", "clusters", "a", "-o", "yaml"])
        .await
        .unwrap();
    assert!(shown.contains("last-applied-configuration"), "{shown}");
    assert!(hub.kubectl(&["get", "clusters"]).await.is_err(), "406");
    hub.kubectl(&["delete", "cluster", "a", "--dry-run=server"])
        .await
        .unwrap();
    assert_eq!(server.client().get(&at("a")).await.unwrap().status, 404);
    // Standalone knows nobody: the hub's rights decide.
    let viewer = hub.admin().with_token(Some(hub.viewer_token()));
    assert_eq!(viewer.get(CLUSTERS).await.unwrap().status, 403);

    server.kill().unwrap();
    let asking = OldRegistry::start(Access::Hub(&hub)).await.unwrap();
    asking.register(&hub).await.unwrap();
    hub.admin().read(CLUSTERS).await.unwrap();
    let rules = json!([{"apiGroups": ["clusterregistry.k8s.io"], "resources": ["clusters"], "verbs": ["list"]}]);
    let token = hub.account("kube-system", "lister", &rules).await.unwrap();
    let lister = hub.admin().with_token(Some(&token));
    assert_eq!(lister.get(CLUSTERS).await.unwrap().status, 500);
    let direct = asking.client().with_token(Some(hub.admin_token()));
    assert_eq!(direct.get(CLUSTERS).await.unwrap().status, 401);
    assert_eq!(asking.client().get(CLUSTERS).await.unwrap().status, 401);
}

//! The manners of `/cluster`: versions, preconditions, patches, pages, watches.

use optikon_tests::{Client, Reply, wait_for};
use reqwest::Method;
use reqwest::header::{ETAG, LOCATION};
use serde_json::{Value, json};

use crate::bed::{PATIENCE, gateway, names};
use crate::watching::Watch;

fn cluster(name: &str, suite: &str) -> Value {
    json!({"name": name, "server": "https://10.0.0.1", "labels": {"suite": suite}})
}

async fn client() -> &'static Client {
    gateway().await.client().unwrap()
}

async fn with_header(method: Method, path: &str, header: (&str, &str), body: &Value) -> Reply {
    let client = client().await;
    let request = client.request(method, path).header(header.0, header.1);
    client.send(request.json(body)).await.unwrap()
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

fn code(reply: &Reply) -> String {
    reply.json().unwrap()["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_cluster_says_where_it_is_and_a_namesake_is_refused() {
    let client = client().await;
    let body = cluster("created", "rest");
    let made = client.json(Method::POST, "/cluster", &body).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.headers[LOCATION], "/cluster/created");
    let object = made.json().unwrap();
    assert_eq!(object["apiVersion"], "clusterregistry.k8s.io/v1alpha1");
    assert_eq!(object["kind"], "Cluster");
    assert_eq!(made.headers[ETAG], format!("\"{}\"", version(&object)));
    let again = client.json(Method::POST, "/cluster", &body).await.unwrap();
    assert_eq!(
        (again.status.as_u16(), code(&again)),
        (409, "already-exists".into())
    );
    assert_eq!(again.headers["content-type"], "application/problem+json");

    let yaml = "metadata: {generateName: made-}\nspec: {kubernetesApiEndpoints: {serverEndpoints: [{serverAddress: 10.0.0.1}]}}\n";
    let request = client
        .request(Method::POST, "/cluster")
        .header("content-type", "application/yaml");
    let made = client.send(request.body(yaml)).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text);
    let name = made.json().unwrap()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(name.starts_with("made-") && name.len() > 5, "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_writer_changes_nothing() {
    let client = client().await;
    let first = client
        .create("/cluster", &cluster("stale", "rest"))
        .await
        .unwrap();
    let label = json!({"metadata": {"labels": {"turn": "two"}}});
    let second = client.merge("/cluster/stale", &label).await.unwrap();
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);

    let put = |body: Value| client.json(Method::PUT, "/cluster/stale", Box::leak(Box::new(body)));
    let old = put(first.clone()).await.unwrap();
    assert_eq!((old.status.as_u16(), code(&old)), (409, "conflict".into()));
    let mut foreign = second.clone();
    foreign["metadata"]["uid"] = "00000000-0000-4000-8000-00000000dead".into();
    assert_eq!(put(foreign).await.unwrap().status, 409);
    let mut renamed = second.clone();
    renamed["metadata"]["name"] = "other".into();
    assert_eq!(put(renamed).await.unwrap().status, 400);
    let missing = client
        .json(Method::PUT, "/cluster/missing", &cluster("missing", "rest"))
        .await
        .unwrap();
    assert_eq!(
        (missing.status.as_u16(), code(&missing)),
        (404, "not-found".into())
    );

    let tag = format!("\"{}\"", version(&first));
    let failed = with_header(Method::PUT, "/cluster/stale", ("if-match", &tag), &second).await;
    assert_eq!(
        (failed.status.as_u16(), code(&failed)),
        (412, "precondition-failed".into())
    );
    let failed = with_header(
        Method::DELETE,
        "/cluster/stale",
        ("if-match", &tag),
        &json!({}),
    )
    .await;
    assert_eq!(failed.status, 412);
    let now = client.read("/cluster/stale?probe=none").await.unwrap();
    assert_eq!(now["metadata"]["labels"], second["metadata"]["labels"]);

    let mut third = now.clone();
    third["metadata"]["labels"]["turn"] = "three".into();
    let tag = format!("\"{}\"", version(&now));
    let done = with_header(Method::PUT, "/cluster/stale", ("if-match", &tag), &third).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(done.json().unwrap()["metadata"]["labels"]["turn"], "three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caller_has_already_is_not_sent_again() {
    let client = client().await;
    client
        .create("/cluster", &cluster("tagged", "rest"))
        .await
        .unwrap();
    // A look may come in between and make another version.
    wait_for("an unchanged answer", PATIENCE, || async {
        let path = "/cluster/tagged?probe=cached";
        let first = client.get(path).await?;
        let tag = first.headers[ETAG].to_str()?;
        let request = client
            .request(Method::GET, path)
            .header("if-none-match", tag);
        let again = client.send(request).await?;
        Ok((again.status == 304 && again.text.is_empty()).then_some(()))
    })
    .await
    .unwrap();
    let other = with_header(
        Method::GET,
        "/cluster/tagged?probe=cached",
        ("if-none-match", "\"1\""),
        &json!({}),
    )
    .await;
    assert_eq!(other.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_change_a_part_and_other_kinds_are_refused() {
    let client = client().await;
    client
        .create("/cluster", &cluster("patched", "rest"))
        .await
        .unwrap();
    let path = "/cluster/patched";
    let merge = json!({"metadata": {"labels": {"a": "1", "suite": null}}});
    let merged = client.merge(path, &merge).await.unwrap();
    assert_eq!(merged["metadata"]["labels"], json!({"a": "1"}));

    let kind = ("content-type", "application/json-patch+json");
    let send = |kind: (&'static str, &'static str), body: Value| async move {
        let client = gateway().await.client().unwrap();
        let request = client.request(Method::PATCH, path).header(kind.0, kind.1);
        client.send(request.body(body.to_string())).await.unwrap()
    };
    let add = json!([
        {"op": "test", "path": "/metadata/labels/a", "value": "1"},
        {"op": "add", "path": "/metadata/labels/b", "value": "2"},
    ]);
    let done = send(kind, add).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(
        done.json().unwrap()["metadata"]["labels"],
        json!({"a": "1", "b": "2"})
    );
    let failing = json!([{"op": "test", "path": "/metadata/labels/a", "value": "9"}]);
    assert_eq!(send(kind, failing).await.status, 422);
    assert_eq!(send(kind, json!({"no": "patch"})).await.status, 400);
    for other in [
        "application/apply-patch+yaml",
        "application/strategic-merge-patch+json",
    ] {
        let reply = send(("content-type", other), json!({})).await;
        assert_eq!(reply.status, 415, "{other}");
    }
    let rename = json!({"metadata": {"name": "else"}});
    let request = client
        .request(Method::PATCH, path)
        .header("content-type", "application/merge-patch+json")
        .json(&rename);
    assert_eq!(client.send(request).await.unwrap().status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_honours_its_preconditions_and_says_what_went() {
    let client = client().await;
    let made = client
        .create("/cluster", &cluster("deleted", "rest"))
        .await
        .unwrap();
    let path = "/cluster/deleted";
    let other = json!({"preconditions": {"uid": "another"}});
    let refused = client.json(Method::DELETE, path, &other).await.unwrap();
    assert_eq!(refused.status, 409, "{}", refused.text);
    let old = json!({"preconditions": {"resourceVersion": "1"}});
    assert_eq!(
        client
            .json(Method::DELETE, path, &old)
            .await
            .unwrap()
            .status,
        409
    );
    let uid = &made["metadata"]["uid"];
    let right = json!({"preconditions": {"uid": uid}});
    let done = client.json(Method::DELETE, path, &right).await.unwrap();
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!(&done.json().unwrap()["uid"], uid);
    assert_eq!(client.get(path).await.unwrap().status, 404);
    let anew = client
        .create("/cluster", &cluster("deleted", "rest"))
        .await
        .unwrap();
    assert_ne!(&anew["metadata"]["uid"], uid, "a namesake is another one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_checks_everything_and_writes_nothing() {
    let client = client().await;
    let body = cluster("rehearsed", "rest");
    let dry = "/cluster?dryRun=All";
    let made = client.json(Method::POST, dry, &body).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(client.get("/cluster/rehearsed").await.unwrap().status, 404);
    let real = client.create("/cluster", &body).await.unwrap();
    assert_eq!(
        client.json(Method::POST, dry, &body).await.unwrap().status,
        409
    );
    let mut changed = real.clone();
    changed["metadata"]["labels"]["new"] = "label".into();
    let path = "/cluster/rehearsed?dryRun=All";
    let shown = client.replace(path, &changed).await.unwrap();
    assert_eq!(shown["metadata"]["labels"]["new"], "label");
    client.delete(path).await.unwrap();
    let stays = client.read("/cluster/rehearsed?probe=none").await.unwrap();
    assert_eq!(stays["metadata"]["labels"], real["metadata"]["labels"]);
    let other = client
        .json(Method::POST, "/cluster?dryRun=Some", &body)
        .await
        .unwrap();
    assert_eq!(other.status, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_methods_and_formats_are_refused_with_what_there_is() {
    let client = client().await;
    client
        .create("/cluster", &cluster("polite", "rest"))
        .await
        .unwrap();
    for (method, path, allow) in [
        (Method::DELETE, "/cluster", "GET, HEAD, POST"),
        (
            Method::POST,
            "/cluster/polite",
            "GET, HEAD, PUT, PATCH, DELETE",
        ),
        (Method::PUT, "/cluster/polite/nodes", "GET, HEAD"),
        (Method::PATCH, "/cluster/polite/status", "GET, HEAD"),
    ] {
        let reply = client.json(method, path, &json!({})).await.unwrap();
        assert_eq!(reply.status, 405, "{path}: {}", reply.text);
        assert_eq!(reply.headers["allow"], allow);
    }
    for path in ["/cluster", "/cluster/polite"] {
        let reply = with_header(Method::GET, path, ("accept", "text/html"), &json!({})).await;
        assert_eq!(reply.status, 406, "{path}: {}", reply.text);
        let problem = reply.json().unwrap();
        assert_eq!(problem["instance"], path);
        assert_eq!(
            reply.headers["x-request-id"],
            problem["requestId"].as_str().unwrap()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_one_snapshot_and_an_unknown_one_has_expired() {
    let client = client().await;
    for number in 0..5 {
        let body = cluster(&format!("page-{number}"), "pages");
        client.create("/cluster", &body).await.unwrap();
    }
    let path = "/cluster?labelSelector=suite%3Dpages&probe=none&limit=2";
    let mut page = client.read(path).await.unwrap();
    assert_eq!(page["metadata"]["remainingItemCount"], 3);
    // What comes after the first page is not in the others.
    client
        .create("/cluster", &cluster("page-9", "pages"))
        .await
        .unwrap();
    let mut seen: Vec<String> = Vec::new();
    loop {
        seen.extend(names(&page["items"]).into_iter().map(str::to_owned));
        let Some(next) = page["metadata"]["continue"].as_str() else {
            break;
        };
        page = client
            .read(&format!("{path}&continue={next}"))
            .await
            .unwrap();
    }
    assert_eq!(seen, ["page-0", "page-1", "page-2", "page-3", "page-4"]);
    let bad = client
        .get(&format!("{path}&continue=nonsense"))
        .await
        .unwrap();
    assert_eq!(bad.status, 400, "{}", bad.text);
    for limit in ["0", "10001", "x"] {
        let reply = client
            .get(&format!("/cluster?limit={limit}"))
            .await
            .unwrap();
        assert_eq!(reply.status, 422, "limit={limit}");
    }
    let old = client
        .get("/cluster?watch=true&resourceVersion=999999999")
        .await
        .unwrap();
    assert_eq!((old.status.as_u16(), code(&old)), (410, "expired".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_every_change_and_leaving_the_selection_is_a_deletion() {
    let client = client().await;
    client
        .create("/cluster", &cluster("seen-0", "seen"))
        .await
        .unwrap();
    let path = "/cluster?watch=true&labelSelector=suite%3Dseen&probe=none";
    let mut watch = Watch::start(client, path, "application/json", None).await;
    let (kind, first) = watch.next().await;
    assert_eq!(
        (kind.as_str(), names(&json!([first]))),
        ("ADDED", vec!["seen-0"])
    );
    let (kind, bookmark) = watch.next().await;
    assert_eq!(kind, "BOOKMARK");
    assert!(version(&bookmark).parse::<u64>().unwrap() > 0);

    client
        .create("/cluster", &cluster("seen-1", "seen"))
        .await
        .unwrap();
    assert_eq!(watch.until("seen-1").await.0, "ADDED");
    let label = json!({"metadata": {"labels": {"more": "yes"}}});
    client.merge("/cluster/seen-1", &label).await.unwrap();
    let changed = watch.until_label("seen-1", "more").await;
    assert_eq!(changed.0, "MODIFIED");
    let away = json!({"metadata": {"labels": {"suite": "elsewhere"}}});
    client.merge("/cluster/seen-1", &away).await.unwrap();
    assert_eq!(
        watch.until_kind("DELETED").await["metadata"]["name"],
        "seen-1"
    );
    client.delete("/cluster/seen-0").await.unwrap();
    let gone = watch.until_kind("DELETED").await;
    assert_eq!(gone["metadata"]["name"], "seen-0");
    assert_eq!(
        gone["metadata"]["labels"]["suite"], "seen",
        "the last state"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_sent_events_go_on_where_the_last_one_was() {
    let client = client().await;
    let path = "/cluster?watch=true&labelSelector=suite%3Dstream&probe=none";
    let kind = "text/event-stream";
    let mut watch = Watch::start(client, path, kind, None).await;
    assert_eq!(watch.next().await.0, "BOOKMARK");
    client
        .create("/cluster", &cluster("stream-0", "stream"))
        .await
        .unwrap();
    assert_eq!(watch.until("stream-0").await.0, "ADDED");
    let last = watch.last_id().unwrap().to_owned();
    drop(watch);
    client
        .create("/cluster", &cluster("stream-1", "stream"))
        .await
        .unwrap();
    let mut watch = Watch::start(client, path, kind, Some(&last)).await;
    let (kind, object) = watch.until("stream-1").await;
    assert_eq!(kind, "ADDED", "{object}");
    assert!(
        !watch.seen("stream-0", "ADDED"),
        "what was sent before came again"
    );
}

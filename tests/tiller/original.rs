//! The original API: its bodies, codes and quirks, on both listeners.

use reqwest::{Method, multipart};
use serde_json::{Value, json};

use crate::bed::{bed, chart, original, setting};

fn form(parts: &[(&'static str, &str)], archive: Option<Vec<u8>>) -> multipart::Form {
    let form = parts
        .iter()
        .fold(multipart::Form::new(), |form, (name, text)| {
            form.text(*name, (*text).to_owned())
        });
    match archive {
        Some(bytes) => form.part(
            "chartTar",
            multipart::Part::bytes(bytes).file_name("chart.tgz"),
        ),
        None => form,
    }
}

async fn send(method: Method, path: &str, form: multipart::Form) -> optikon_tests::Reply {
    let base = format!("http://127.0.0.1:{}", bed().await.original);
    let client = optikon_tests::Client::new(&base, None, None).unwrap();
    client
        .send(client.request(method, path).multipart(form))
        .await
        .unwrap()
}

/// The bodies that the demo of 2018 posted, with `Conf` filled in.
fn demo(name: &str, conf: &str, server: &str) -> Value {
    json!({ "metadata": {
        "name": name,
        "labels": { "Region": "Europe", "Kubecon": "True", "ID": "123" },
        "annotations": {
            "Lat": "55.664023", "Long": "12.610126", "Tiller": "172.16.7.102:30134",
            "APIServer": server, "Conf": conf,
        },
    } })
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_live_as_they_did_and_the_kubeconfig_never_comes_back() {
    let bed = bed().await;
    let cluster = &bed.tillers[0];
    let conf = cluster.kubeconfig(cluster.admin_token()).to_string();
    let body = demo("copenhagen-1", &conf, cluster.server());
    let created = original(Method::POST, "/v0/clusters", Some(&body))
        .await
        .unwrap();
    assert_eq!((created.status.as_u16(), created.text.as_str()), (201, ""));

    let read = original(Method::GET, "/v0/clusters/copenhagen-1", None)
        .await
        .unwrap();
    assert!(!read.text.contains(cluster.admin_token()), "{}", read.text);
    let read = read.success().unwrap();
    assert!(read.get("kind").is_none() && read["metadata"].get("uid").is_none());
    assert_eq!(read["metadata"]["labels"], body["metadata"]["labels"]);
    assert_eq!(read["metadata"]["annotations"]["Conf"], "");
    for key in ["Lat", "Long", "Tiller", "APIServer"] {
        let wanted = &body["metadata"]["annotations"][key];
        assert_eq!(&read["metadata"]["annotations"][key], wanted, "{key}");
    }
    // The connection works, also after an update without it.
    let live = |name: &str| {
        let path = format!("/cluster/{name}");
        async move { bed.gateway.client()?.read(&path).await }
    };
    assert_eq!(ready(&live("copenhagen-1").await.unwrap()), "True");
    let mut update = read.clone();
    update["metadata"]["labels"]["Region"] = json!("Asia");
    let path = "/v0/clusters/copenhagen-1";
    let updated = original(Method::PUT, path, Some(&update)).await.unwrap();
    assert_eq!((updated.status.as_u16(), updated.text.as_str()), (200, ""));
    let object = live("copenhagen-1").await.unwrap();
    assert_eq!(object["metadata"]["labels"]["Region"], "Asia");
    assert_eq!(ready(&object), "True");

    let listed = original(Method::GET, "/v0/clusters", None).await.unwrap();
    let listed = listed.success().unwrap();
    let listed = listed.as_array().unwrap();
    assert!(
        listed
            .iter()
            .all(|c| c["metadata"]["annotations"].is_object())
    );
    let again = original(Method::POST, "/v0/clusters", Some(&body))
        .await
        .unwrap();
    assert_eq!(
        (again.status.as_u16(), &again.json().unwrap()["code"]),
        (409, &json!("409"))
    );
    update["metadata"]["name"] = json!("other");
    let other = original(Method::PUT, path, Some(&update)).await.unwrap();
    assert_eq!(other.status, 400);
    let gone = original(Method::DELETE, path, None).await.unwrap();
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (200, ""));
    let gone = original(Method::GET, path, None).await.unwrap();
    assert_eq!(
        (gone.status.as_u16(), &gone.json().unwrap()["code"]),
        (404, &json!("404"))
    );
}

fn ready(object: &Value) -> &str {
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|c| c["type"] == "Ready");
    // A live look answers with what it saw.
    let verdict = ready.map_or("", |c| c["status"].as_str().unwrap_or_default());
    if object["status"].get("reason").is_none() {
        "True"
    } else {
        verdict
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_has_the_declared_codes() {
    let bad = original(Method::POST, "/v0/clusters", Some(&json!([])))
        .await
        .unwrap();
    assert_eq!(bad.status, 400, "{}", bad.text);
    let conf = demo("bad-conf", "not: [a kubeconfig", "");
    let bad = original(Method::POST, "/v0/clusters", Some(&conf))
        .await
        .unwrap();
    assert_eq!(bad.status, 422, "{}", bad.text);
    let missing = original(Method::GET, "/v0/clusters/bad-conf", None)
        .await
        .unwrap();
    assert_eq!(missing.status, 404, "nothing was stored");
    let unknown = original(Method::GET, "/v0/charts", None).await.unwrap();
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.json().unwrap()["message"],
        "path /v0/charts was not found"
    );
    let method = original(Method::PATCH, "/v0/clusters", None).await.unwrap();
    assert_eq!(method.status, 405);
    assert_eq!(method.headers["allow"], "GET, HEAD, POST");
    let empty = original(Method::POST, "/v0/clusters", None).await.unwrap();
    assert!(
        [400, 415].contains(&empty.status.as_u16()),
        "{}",
        empty.status
    );

    let whole = [("name", "x"), ("namespace", "default")];
    let no_file = send(Method::POST, "/v0/releases", form(&whole, None)).await;
    assert_eq!(no_file.status, 400);
    assert!(
        no_file.text.contains("http: no such file"),
        "{}",
        no_file.text
    );
    let no_namespace = send(
        Method::POST,
        "/v0/releases",
        form(&whole[..1], Some(chart("1.0.0"))),
    )
    .await;
    assert_eq!(no_namespace.status, 422);
    let said = no_namespace.json().unwrap();
    assert_eq!(
        said,
        json!({ "code": "602", "message": "namespace in formData is required" })
    );
    let swagger = original(Method::GET, "/swagger.json", None)
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(swagger["basePath"], "/v0");
    let token_needed = bed().await.gateway.client().unwrap().with_token(None);
    let refused = token_needed.get("/v0/clusters").await.unwrap();
    assert_eq!(refused.status, 401);
    let with_token = bed()
        .await
        .gateway
        .client()
        .unwrap()
        .get("/v0/clusters")
        .await
        .unwrap();
    assert_eq!(with_token.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_origin_may_ask() {
    let base = format!("http://127.0.0.1:{}", bed().await.original);
    let client = optikon_tests::Client::new(&base, None, None).unwrap();
    let ask = client
        .request(Method::OPTIONS, "/v0/releases")
        .header("origin", "http://ui.example")
        .header("access-control-request-method", "POST");
    let reply = client.send(ask).await.unwrap();
    assert_eq!(reply.status, 204);
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    assert!(
        !reply
            .headers
            .contains_key("access-control-allow-credentials")
    );
    let ask = client
        .request(Method::GET, "/v0/clusters")
        .header("host", "rebound.example");
    assert_eq!(client.send(ask).await.unwrap().status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_live_as_they_did() {
    let bed = bed().await;
    let labels = "labels=bed=shared,kind=tiller";
    let parts = [("name", "video-cache"), ("namespace", "default")];
    let path = format!("/v0/releases?{labels}");
    let created = send(Method::POST, &path, form(&parts, Some(chart("1.0.0")))).await;
    assert_eq!(
        (created.status.as_u16(), created.text.as_str()),
        (201, ""),
        "{:?}",
        created.headers
    );
    for cluster in &bed.tillers {
        let seen = cluster
            .helm2(&["list", "--short", "^video-cache$"])
            .await
            .unwrap();
        assert_eq!(seen.trim(), "video-cache");
    }
    let listed = original(Method::GET, &format!("{path}&_=1"), None)
        .await
        .unwrap()
        .success()
        .unwrap();
    let listed = listed.as_array().unwrap();
    let ours: Vec<&Value> = listed
        .iter()
        .filter(|r| r["Name"] == "video-cache")
        .collect();
    let on: Vec<_> = ours
        .iter()
        .map(|r| r["OnCluster"].as_str().unwrap())
        .collect();
    assert_eq!(on, ["tiller-1", "tiller-2"]);
    assert_eq!(ours[0]["Chart"]["Metadata"]["Name"], "settings");
    assert_eq!(
        (&ours[0]["Namespace"], &ours[0]["Version"]),
        (&json!("default"), &json!(1))
    );
    assert_eq!(ours[0]["Info"]["Status"]["Code"], "DEPLOYED");

    let one = format!("/v0/releases/video-cache?{labels}");
    let upgraded = send(Method::PUT, &one, form(&[], Some(chart("2.0.0")))).await;
    assert_eq!(
        (upgraded.status.as_u16(), upgraded.text.as_str()),
        (200, "")
    );
    assert_eq!(
        setting(&bed.tillers[1], "video-cache", "chart")
            .await
            .unwrap(),
        "settings-2.0.0"
    );
    let read = original(Method::GET, &one, None)
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(read["Version"], 2);
    assert!(
        read["Manifest"]
            .as_str()
            .unwrap()
            .contains("video-cache-settings")
    );
    assert!(
        read["Info"]["Status"]["Notes"]
            .as_str()
            .unwrap()
            .contains("color")
    );

    let again = send(Method::POST, &path, form(&parts, Some(chart("1.0.0")))).await;
    assert_eq!(again.status, 409, "{}", again.text);
    assert_eq!(
        again.headers["x-optikon-errors"],
        "tiller-1=AlreadyExists,tiller-2=AlreadyExists"
    );
    let gone = original(Method::DELETE, &one, None).await.unwrap();
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (200, ""));
    let gone = original(Method::DELETE, &one, None).await.unwrap();
    assert_eq!(gone.status, 404);
}

//! Where charts come from: addresses and repositories, each a server of this process.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use optikon_tests::{Answer, Client, FakeMember, Reply, fake::Certificate, tar};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{assert_absent, forms, gateway};

pub(crate) async fn client() -> &'static Client {
    gateway().await.client().unwrap()
}

pub(crate) async fn upload(bytes: Vec<u8>) -> Reply {
    let client = client().await;
    let request = client
        .request(Method::POST, "/archives")
        .header("content-type", "application/gzip");
    client.send(request.body(bytes)).await.unwrap()
}

pub(crate) fn detail(reply: &Reply) -> String {
    reply.json().unwrap()["detail"].as_str().unwrap().to_owned()
}

pub(crate) fn code(reply: &Reply) -> String {
    reply.json().unwrap()["code"].as_str().unwrap().to_owned()
}

/// A fake that answers nothing but what it is told, and is trusted by no one's roots.
pub(crate) async fn server() -> FakeMember {
    let server = FakeMember::start().await.unwrap();
    server.answer_all(Answer::bytes(404, "text/plain", b"nothing here".to_vec()));
    server
}

pub(crate) async fn add_repository(name: &str, mut body: Value, server: &FakeMember) {
    body["ca"] = server.ca().unwrap().into();
    let path = format!("/repositories/{name}");
    client().await.replace(&path, &body).await.unwrap();
}

/// What an install from this source says. Its one cluster is a dead one: what is asked is whether the chart is
/// found, not what becomes of it.
pub(crate) async fn install(chart: Value) -> Reply {
    let client = client().await;
    let dead = json!({"name": "sources-dead", "server": "https://127.0.0.1:1"});
    // Another test may have registered it.
    let made = client.json(Method::POST, "/cluster", &dead).await.unwrap();
    assert!([201, 409].contains(&made.status.as_u16()), "{}", made.text);
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let release = format!("web-{}", COUNT.fetch_add(1, Relaxed));
    let request = json!({
        "chart": chart, "release": {"name": release}, "targets": {"names": ["sources-dead"]},
    });
    let path = "/charts?wait=true";
    client.json(Method::POST, path, &request).await.unwrap()
}

/// The archive that an operation was begun with.
pub(crate) async fn chart_of(reply: &Reply) -> Value {
    let operation = reply.success().unwrap();
    let digest = operation["digests"]["chart"].as_str().unwrap();
    let path = format!("/archives/{digest}");
    client().await.read(&path).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_is_read_as_helm_reads_it_and_its_credential_stays_with_it() {
    let (repository, mirror) = (server().await, server().await);
    let password = "hunter2-of-the-repository";
    let basic = {
        use base64::Engine as _;
        let pair = format!("reader:{password}");
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        )
    };
    repository.guard(
        "/stable/",
        &basic,
        Answer::bytes(401, "text/plain", Vec::new()),
    );
    let elsewhere = format!("{}/files/far-2.0.0.tgz", mirror.url());
    let index = format!(
        "apiVersion: v1\nentries:\n  near:\n  - {{version: 1.0.0, urls: [charts/near-1.0.0.tgz]}}\n  - {{version: 1.1.0-rc.1, urls: [charts/none.tgz]}}\n  far:\n  - {{version: 2.0.0, urls: ['{elsewhere}']}}\n  moved:\n  - {{version: 3.0.0, urls: [moved.tgz]}}\n  lying:\n  - {{version: 4.0.0, urls: [charts/near-1.0.0.tgz], digest: {}}}\n",
        "0".repeat(64)
    );
    repository.answer(
        "/stable/index.yaml",
        Answer::bytes(200, "text/yaml", index.into_bytes()),
    );
    let archive = |name: &str, version: &str| {
        Answer::bytes(200, "application/gzip", tar::chart(name, version))
    };
    repository.answer("/stable/charts/near-1.0.0.tgz", archive("near", "1.0.0"));
    mirror.answer("/files/far-2.0.0.tgz", archive("far", "2.0.0"));
    let to_mirror = format!("{}/files/moved.tgz", mirror.url());
    repository.answer("/stable/moved.tgz", Answer::redirect(302, &to_mirror));
    mirror.answer("/files/moved.tgz", archive("moved", "3.0.0"));
    let url = format!("{}/stable", repository.url());
    add_repository(
        "stable",
        json!({"url": url, "username": "reader", "password": password}),
        &repository,
    )
    .await;

    for (name, version) in [("near", "1.0.0"), ("far", "2.0.0"), ("moved", "3.0.0")] {
        let begun = install(json!({"repository": "stable", "name": name})).await;
        let kept = chart_of(&begun).await;
        assert_eq!(
            (&kept["chart"]["name"], &kept["chart"]["version"]),
            (&json!(name), &json!(version))
        );
    }
    assert!(
        repository
            .seen()
            .iter()
            .all(|s| s.header("authorization") == Some(&basic))
    );
    assert!(
        mirror
            .seen()
            .iter()
            .all(|s| s.header("authorization").is_none()),
        "the credential went elsewhere"
    );

    let lying = install(json!({"repository": "stable", "name": "lying"})).await;
    assert_eq!(
        (lying.status.as_u16(), code(&lying)),
        (502, "source-failed".into()),
        "{}",
        lying.text
    );
    for (chart, field) in [
        (
            json!({"repository": "stable", "name": "nope"}),
            "chart.name",
        ),
        (
            json!({"repository": "stable", "name": "near", "version": "9.9.9"}),
            "chart.version",
        ),
        (json!({"repository": "stable"}), "chart.name"),
        (json!({"url": elsewhere, "digest": "sha256:x"}), "chart"),
        (json!({}), "chart"),
        (json!({"url": "http://a/b.tgz"}), "chart.url"),
    ] {
        let refused = install(chart.clone()).await;
        assert_eq!(refused.status, 422, "{chart}: {}", refused.text);
        assert_eq!(
            refused.json().unwrap()["errors"][0]["field"],
            field,
            "{chart}: {}",
            refused.text
        );
    }
    let missing = install(json!({"repository": "unheard-of", "name": "near"})).await;
    assert_eq!(missing.status, 404, "{}", missing.text);

    for nonsense in ["<html>Sign in</html>", "entries: 3", "{", "\u{0}\u{1}"] {
        repository.answer(
            "/stable/index.yaml",
            Answer::bytes(200, "text/html", nonsense.into()),
        );
        let failed = install(json!({"repository": "stable", "name": "near"})).await;
        assert_eq!(
            (failed.status.as_u16(), code(&failed)),
            (502, "source-failed".into()),
            "{nonsense}"
        );
    }
    let endless = optikon_tests::fake::Body::Endless(vec![b'#'; 1 << 16]);
    repository.answer(
        "/stable/index.yaml",
        Answer::with_body(200, "text/yaml", endless),
    );
    let failed = install(json!({"repository": "stable", "name": "near"})).await;
    assert_eq!(failed.status, 413, "{}", failed.text);
    repository.answer(
        "/stable/index.yaml",
        Answer::bytes(500, "text/plain", Vec::new()),
    );
    assert_eq!(
        install(json!({"repository": "stable", "name": "near"}))
            .await
            .status,
        502
    );

    let shown = client().await.get("/repositories/stable").await.unwrap();
    assert_eq!(shown.json().unwrap()["credential"], "basic");
    assert_absent(
        &forms(password),
        "GET /repositories/stable",
        shown.text.as_bytes(),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repositorys_credential_is_bound_to_where_it_was_given_for() {
    let client = client().await;
    let put = |body: Value| async move {
        client
            .json(Method::PUT, "/repositories/bound", &body)
            .await
            .unwrap()
    };
    let first =
        put(json!({"url": "https://charts.example/a", "token": "t0ken-of-the-repository"})).await;
    assert_eq!(first.status, 200, "{}", first.text);
    // Another path of the same host keeps it; another host, further hosts or another CA do not.
    let kept = put(json!({"url": "https://charts.example/b"}))
        .await
        .json()
        .unwrap();
    assert_eq!(
        (&kept["credential"], &kept["url"]),
        (&json!("token"), &json!("https://charts.example/b"))
    );
    for (body, field) in [
        (json!({"url": "https://evil.example/b"}), "url"),
        (
            json!({"url": "https://charts.example/b", "tokenHosts": ["evil.example"]}),
            "tokenHosts",
        ),
        (
            json!({"url": "https://charts.example/b", "username": "u"}),
            "password",
        ),
        (
            json!({"url": "https://charts.example/b", "secret": "x"}),
            "",
        ),
    ] {
        let refused = put(body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {}", refused.text);
        assert_eq!(
            refused.json().unwrap()["errors"][0]["field"],
            field,
            "{body}"
        );
    }
    let dropped = put(json!({"url": "https://evil.example/b", "credential": "none"})).await;
    assert_eq!(dropped.json().unwrap()["credential"], "none");
    let gone = client.delete("/repositories/bound").await.unwrap();
    assert_eq!(gone["name"], "bound");
    assert_eq!(client.get("/repositories/bound").await.unwrap().status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_lead_astray_are_refused() {
    let server = server().await;
    add_repository("astray", json!({"url": server.url()}), &server).await;
    let to = |location: &str| Answer::redirect(302, location);
    server.answer(
        "/metadata.tgz",
        to("https://169.254.169.254/latest/meta-data"),
    );
    server.answer("/plain.tgz", to("http://127.0.0.1/x.tgz"));
    server.answer("/round.tgz", to("/round.tgz"));
    server.answer(
        "/empty.tgz",
        Answer::bytes(200, "application/gzip", Vec::new()),
    );
    server.answer(
        "/large.tgz",
        Answer::with_body(
            200,
            "application/gzip",
            optikon_tests::fake::Body::Endless(vec![0; 1 << 16]),
        ),
    );
    server.answer(
        "/cut.tgz",
        Answer::with_body(
            200,
            "application/gzip",
            optikon_tests::fake::Body::Cut(b"abc".to_vec()),
        ),
    );
    let at = |path: &str| format!("{}{path}", server.url());
    for (url, status, word) in [
        (at("/metadata.tgz"), 422, "metadata"),
        (at("/plain.tgz"), 422, "only https"),
        (at("/round.tgz"), 502, "redirects more than 5 times"),
        (at("/empty.tgz"), 422, "gzip"),
        (at("/large.tgz"), 413, "larger than"),
        (at("/cut.tgz"), 502, ""),
        (at("/missing.tgz"), 422, "404"),
        ("https://169.254.169.254/x.tgz".into(), 422, "metadata"),
        ("https://no-such-host.invalid/x.tgz".into(), 502, "Dns"),
        ("https://127.0.0.1:1/x.tgz".into(), 502, "Connect"),
    ] {
        let refused = install(json!({ "url": url })).await;
        assert_eq!(refused.status.as_u16(), status, "{url}: {}", refused.text);
        assert!(detail(&refused).contains(word), "{url}: {}", refused.text);
    }
    let stranger = FakeMember::start_with(Certificate::Untrusted)
        .await
        .unwrap();
    let url = format!("{}/x.tgz", stranger.url());
    let refused = install(json!({ "url": url })).await;
    assert_eq!(refused.status, 502);
    assert!(detail(&refused).contains("Tls"), "{}", refused.text);
}

//! What goes wrong with Tiller is a row of its own, with its own reason; the others go on and nothing hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use optikon_tests::front::{Front, Manner};
use optikon_tests::{Gateway, Testbed, tiller, wait_for};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::bed::{
    PATIENCE, apply, archive, bed, chart, chart_file, on, register_as, target, upload,
};

fn backend() -> Value {
    json!({ "backend": "tiller" })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_a_row_with_its_reason_and_the_others_go_on() {
    let bed = bed().await;
    let gateway = &bed.gateway;
    // Rights to list pods and not to forward ports.
    let rules =
        json!([{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list"]}]);
    let token = bed.tillers[0]
        .account("default", "looker", &rules)
        .await
        .unwrap();
    register_as(gateway, &bed.tillers[0], "no-forward", &token, json!({}))
        .await
        .unwrap();
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let clusters = ["plain", "no-forward", "tiller-2"];
    // The first two are one and the same cluster to nobody: another name for tiller-1 is refused beside it only.
    let done = apply(
        gateway,
        Method::POST,
        "faulty",
        &digest,
        &clusters,
        backend(),
    )
    .await
    .unwrap();
    assert_eq!(done["state"], "partial", "{done}");
    for (cluster, reason) in [("plain", "NoPod"), ("no-forward", "Forbidden")] {
        let row = target(&done, cluster);
        assert_eq!(
            (&row["state"], &row["reason"]),
            (&json!("failed"), &json!(reason)),
            "{done}"
        );
    }
    assert_eq!(target(&done, "tiller-2")["state"], "succeeded");
    gateway
        .client()
        .unwrap()
        .delete("/cluster/no-forward")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_for_helm_3_is_refused_with_a_sentence() {
    let bed = bed().await;
    let metadata = "apiVersion: v2\nname: new\nversion: 1.0.0\n";
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n";
    let new = archive(
        "new",
        &[("Chart.yaml", metadata), ("templates/a.yaml", map)],
    );
    let digest = upload(&bed.gateway, new).await.unwrap();
    let body = json!({
        "chart": { "digest": digest }, "release": { "name": "new" },
        "targets": { "names": ["tiller-1"] }, "backend": "tiller",
    });
    let client = bed.gateway.client().unwrap();
    let reply = client
        .json(Method::POST, "/charts?wait=true", &body)
        .await
        .unwrap();
    assert_eq!(reply.status, 422, "{}", reply.text);
    assert!(reply.text.contains("needs Helm 3"), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn tiller_that_refuses_or_is_locked_says_so() {
    let bed = bed().await;
    let (gateway, cluster) = (&bed.gateway, &bed.tillers[0]);
    let file = chart_file(cluster, "locked.tgz", &chart("1.0.0")).unwrap();
    cluster
        .helm2(&[
            "install",
            &file,
            "--name",
            "taken",
            "--namespace",
            "default",
        ])
        .await
        .unwrap();
    let digest = upload(gateway, chart("2.0.0")).await.unwrap();
    let one = ["tiller-1"];
    let done = apply(gateway, Method::POST, "taken", &digest, &one, backend())
        .await
        .unwrap();
    assert_eq!(
        target(&done, "tiller-1")["reason"],
        "AlreadyExists",
        "{done}"
    );

    let metadata = "apiVersion: v1\nname: broken\nversion: 1.0.0\n";
    let map =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: {{ .Values.a.b.c }}}\n";
    let broken = archive(
        "broken",
        &[("Chart.yaml", metadata), ("templates/a.yaml", map)],
    );
    let digest = upload(gateway, broken).await.unwrap();
    let done = apply(gateway, Method::POST, "broken", &digest, &one, backend())
        .await
        .unwrap();
    let row = target(&done, "tiller-1");
    assert_eq!(row["reason"], "TillerRefused", "{done}");
    assert!(
        row["message"].as_str().unwrap().contains("nil pointer"),
        "{done}"
    );
    cluster
        .helm2(&["delete", "--purge", "taken"])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_read_and_changes_fail_while_tiller_is_away() {
    let bed = bed().await;
    let testbed = Testbed::start().await.unwrap();
    let mut cluster = testbed.cluster("leaving").tiller().start().await.unwrap();
    let gateway = &bed.gateway;
    crate::bed::register(gateway, &cluster, json!({}))
        .await
        .unwrap();
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let one = ["leaving"];
    let done = apply(gateway, Method::POST, "kept", &digest, &one, json!({}))
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done}");
    cluster.kill_tiller();

    let client = gateway.client().unwrap();
    let list = client.read("/charts?clusters=leaving").await.unwrap();
    let row = on(&list, "leaving", "kept");
    assert_eq!(row["status"], "deployed", "{list}");
    assert!(row["readWithoutTiller"].is_string(), "{list}");
    let values = client
        .read("/charts/kept/manifest?clusters=leaving")
        .await
        .unwrap();
    assert!(
        values["items"][0]["manifest"]
            .as_str()
            .unwrap()
            .contains("kept-settings")
    );
    let second = upload(gateway, chart("2.0.0")).await.unwrap();
    let more = json!({ "backend": "tiller", "options": { "timeoutSeconds": 5 } });
    let done = apply(gateway, Method::PUT, "kept", &second, &one, more)
        .await
        .unwrap();
    assert_eq!(target(&done, "leaving")["reason"], "TunnelBroken", "{done}");

    // Back again, it goes on where it was.
    cluster.start_tiller().await.unwrap();
    let more = json!({ "backend": "tiller" });
    let done = wait_for("Tiller to be back", PATIENCE, || async {
        let done = apply(gateway, Method::PUT, "kept", &second, &one, more.clone()).await?;
        Ok((done["state"] == "succeeded").then_some(done))
    })
    .await
    .unwrap();
    assert_eq!(target(&done, "leaving")["revision"], 2);

    // The API server goes away and comes back: the row says it, and the next call finds it again.
    cluster.kill_api_server().unwrap();
    let list = client.read("/charts?clusters=leaving").await.unwrap();
    assert_eq!(list["errors"][0]["cluster"], "leaving", "{list}");
    cluster.start_api_server().await.unwrap();
    wait_for("the list to be whole again", PATIENCE, || async {
        let list = client.read("/charts?clusters=leaving").await?;
        Ok(on(&list, "leaving", "kept").is_object().then_some(()))
    })
    .await
    .unwrap();
    client.delete("/cluster/leaving").await.unwrap();
}

/// Something that listens where Tiller should: says nothing, or answers in another protocol.
struct Impostor {
    port: u16,
    speaks: Arc<AtomicBool>,
    _serving: JoinSet<()>,
}

impl Impostor {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let speaks = Arc::new(AtomicBool::new(false));
        let does_speak = speaks.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let does_speak = does_speak.clone();
                open.spawn(async move {
                    if does_speak.load(Ordering::Acquire) {
                        let _written = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                    }
                    let mut seen = [0; 1024];
                    while matches!(stream.read(&mut seen).await, Ok(n) if n > 0) {}
                });
            }
        });
        Self {
            port,
            speaks,
            _serving: serving,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tiller_or_not_ready_has_its_reason_and_leaves_no_tunnel() {
    let bed = bed().await;
    let gateway = &bed.gateway;
    let impostor = Impostor::start().await;
    let testbed = Testbed::start().await.unwrap();
    let builder = testbed.cluster("odd").nodes(1);
    let cluster = builder
        .forward(tiller::PORT, impostor.port)
        .start()
        .await
        .unwrap();
    cluster
        .create(&tiller::pod_on("tiller-a", "n0"))
        .await
        .unwrap();
    cluster
        .wait_for_pod("kube-system", "tiller-a")
        .await
        .unwrap();
    // Tunnels are counted on the way, as the node's end of one stays open as long as its peer likes.
    let front = Front::start(&cluster, testbed.keys(), Manner::default());
    let front = front.await.unwrap();
    let body = json!({
        "name": "odd", "server": front.server(), "ca": cluster.ca(), "token": cluster.admin_token(),
    });
    let client = gateway.client().unwrap();
    client.create("/cluster", &body).await.unwrap();
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let install = |name: &'static str| {
        let digest = digest.clone();
        async move {
            let more = json!({ "backend": "tiller", "options": { "timeoutSeconds": 5 } });
            let done = apply(gateway, Method::POST, name, &digest, &["odd"], more)
                .await
                .unwrap();
            let row = target(&done, "odd");
            (row["reason"].as_str().unwrap_or_default().to_owned(), done)
        }
    };
    let (reason, done) = install("silent").await;
    assert_eq!(reason, "Timeout", "{done}");
    impostor.speaks.store(true, Ordering::Release);
    let (reason, done) = install("garbage").await;
    assert_eq!(reason, "NotTiller", "{done}");
    wait_for("the tunnels to be closed", PATIENCE, || async {
        Ok((front.tunnels() == 0).then_some(()))
    })
    .await
    .unwrap();

    cluster
        .create(&tiller::pod_on("tiller-b", "n0"))
        .await
        .unwrap();
    cluster
        .wait_for_pod("kube-system", "tiller-b")
        .await
        .unwrap();
    let (reason, done) = install("two").await;
    assert_eq!(reason, "SeveralPods", "{done}");
    for pod in ["tiller-a", "tiller-b"] {
        let path = format!("/api/v1/namespaces/kube-system/pods/{pod}?gracePeriodSeconds=0");
        cluster.admin().delete(&path).await.unwrap();
    }
    cluster
        .create(&tiller::pod_on("tiller-c", "no-such-node"))
        .await
        .unwrap();
    let (reason, done) = wait_for("the old pods to be gone", PATIENCE, || async {
        let (reason, done) = install("unready").await;
        Ok((reason == "PodNotReady").then_some((reason, done)))
    })
    .await
    .unwrap();
    assert_eq!(reason, "PodNotReady", "{done}");
    gateway
        .client()
        .unwrap()
        .delete("/cluster/odd")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tiller_with_tls_is_spoken_to_with_the_certificate_of_the_slot() {
    let testbed = Testbed::start().await.unwrap();
    let cluster = testbed
        .cluster("sealed")
        .tiller_with_tls()
        .start()
        .await
        .unwrap();
    let keys = testbed.keys();
    let config = |name: &str, certificate: &str, key: &str| {
        let text = |text: &str| Value::from(text).to_string();
        format!(
            "[plugins.slots.charts-tiller]\nconfig = {{ tls = {{ serverName = {}, ca = {}, certificate = {}, key = {} }} }}\n",
            text(name),
            text(keys.authority.pem()),
            text(certificate),
            text(key),
        )
    };
    let admin = &keys.admin;
    let right = config("localhost", &admin.certificate, &admin.key);
    let wrong_name = config("tiller.example", &admin.certificate, &admin.key);
    for (config, reason) in [(right, None), (wrong_name, Some("TlsName"))] {
        let gateway = Gateway::builder().config(&config).start().await.unwrap();
        crate::bed::register(&gateway, &cluster, json!({}))
            .await
            .unwrap();
        let digest = upload(&gateway, chart("1.0.0")).await.unwrap();
        let name = reason.map_or("sealed", |_| "refused");
        let done = apply(
            &gateway,
            Method::POST,
            name,
            &digest,
            &["sealed"],
            backend(),
        )
        .await
        .unwrap();
        let row = target(&done, "sealed");
        assert_eq!(row["reason"].as_str(), reason, "{done}");
        assert!(!gateway.log().contains("PRIVATE KEY"));
    }
    // Without TLS it does not answer at all.
    let gateway = &bed().await.gateway;
    crate::bed::register(gateway, &cluster, json!({}))
        .await
        .unwrap();
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let more = json!({ "backend": "tiller", "options": { "timeoutSeconds": 5 } });
    let done = apply(gateway, Method::POST, "open", &digest, &["sealed"], more)
        .await
        .unwrap();
    assert_eq!(target(&done, "sealed")["state"], "failed", "{done}");
    gateway
        .client()
        .unwrap()
        .delete("/cluster/sealed")
        .await
        .unwrap();
}

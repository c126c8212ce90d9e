//! What the tests of this suite share.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use optikon_tests::client::Reply;
use optikon_tests::{Cluster, Gateway, Testbed, wait_for};
use reqwest::{Method, header};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// Nothing that a test waits for takes so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The clusters and their gateway.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) gateway: Gateway,
    /// `tiller-1` and `tiller-2`.
    pub(crate) tillers: [Cluster; 2],
    /// `plain`, without Tiller.
    pub(crate) plain: Cluster,
    /// `plain-2`, likewise.
    pub(crate) other: Cluster,
    /// The port of `[v0]`.
    pub(crate) original: u16,
}

/// Started once, with the first test.
pub(crate) async fn bed() -> &'static Bed {
    static SHARED: OnceCell<Bed> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async { Bed::start().await.unwrap() })
        .await
}

impl Bed {
    async fn start() -> Result<Self> {
        let testbed = Testbed::start().await?;
        let (first, second, plain, other) = tokio::try_join!(
            testbed.cluster("tiller-1").tiller().start(),
            testbed.cluster("tiller-2").tiller().start(),
            testbed.cluster("plain").nodes(1).start(),
            testbed.cluster("plain-2").start(),
        )?;
        let original = optikon_tests::ports::probably_free()?;
        let config = format!("[v0]\nlisten = \"127.0.0.1:{original}\"\nrole = \"operator\"\n");
        let gateway = Gateway::builder().config(&config).start().await?;
        for cluster in [&first, &second, &plain, &other] {
            register(
                &gateway,
                cluster,
                json!({ "bed": "shared", "kind": kind(cluster) }),
            )
            .await?;
        }
        Ok(Self {
            gateway,
            tillers: [first, second],
            plain,
            other,
            original,
        })
    }
}

fn kind(cluster: &Cluster) -> &'static str {
    if cluster.tiller_port().is_some() {
        "tiller"
    } else {
        "plain"
    }
}

/// Registers a cluster with its administrator's token.
pub(crate) async fn register(gateway: &Gateway, cluster: &Cluster, labels: Value) -> Result<()> {
    register_as(
        gateway,
        cluster,
        cluster.name(),
        cluster.admin_token(),
        labels,
    )
    .await
}

/// The same under another name, with another token.
pub(crate) async fn register_as(
    gateway: &Gateway,
    cluster: &Cluster,
    name: &str,
    token: &str,
    labels: Value,
) -> Result<()> {
    let body = json!({
        "name": name, "server": cluster.server(), "ca": cluster.ca(), "token": token, "labels": labels,
    });
    gateway.client()?.create("/cluster", &body).await?;
    Ok(())
}

/// A gzipped tar of a chart: file names below the chart's folder, and their texts.
pub(crate) fn archive(name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (path, text) in files {
        let mut head = [0u8; 512];
        let path = format!("{name}/{path}");
        head[..path.len()].copy_from_slice(path.as_bytes());
        head[100..107].copy_from_slice(b"0000644");
        head[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        head[136..147].copy_from_slice(b"00000000000");
        head[148..156].copy_from_slice(b"        ");
        head[156] = b'0';
        head[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&head);
        tar.extend_from_slice(text.as_bytes());
        tar.resize(tar.len().div_ceil(512) * 512, 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&tar).unwrap();
    packed.finish().unwrap()
}

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-settings\n  \
     namespace: {{ .Release.Namespace }}\ndata:\n  color: {{ .Values.color | quote }}\n  chart: \"{{ .Chart.Name }}-{{ .Chart.Version }}\"\n  \
     service: {{ .Release.Service }}\n";
const TEST: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}-test\n  annotations:\n    \
     helm.sh/hook: test-success\n{{- if .Values.fails }}\n    testbed.optikon.io/fail: \"true\"\n{{- end }}\nspec:\n  \
     nodeName: n0\n  restartPolicy: Never\n  containers:\n  - name: test\n    image: registry.example/test:1\n";

/// A small chart that both Helms take: a ConfigMap, notes, a test.
pub(crate) fn chart(version: &str) -> Vec<u8> {
    let metadata =
        format!("apiVersion: v1\nname: settings\nversion: {version}\nappVersion: \"7\"\n");
    archive(
        "settings",
        &[
            ("Chart.yaml", &metadata),
            ("values.yaml", "# as it is\ncolor: blue\nfails: false\n"),
            ("templates/map.yaml", CONFIG_MAP),
            ("templates/test.yaml", TEST),
            ("templates/NOTES.txt", "The color is {{ .Values.color }}.\n"),
        ],
    )
}

/// Uploads an archive; its digest.
pub(crate) async fn upload(gateway: &Gateway, archive: Vec<u8>) -> Result<String> {
    let client = gateway.client()?;
    let request = client
        .request(Method::POST, "/archives")
        .header(header::CONTENT_TYPE, "application/gzip")
        .body(archive);
    let info = client.send(request).await?.success()?;
    let digest = info["digest"].as_str().context("no digest")?;
    Ok(digest.to_owned())
}

/// `POST /charts?wait=true` or, for an upgrade, `PUT`: the finished operation.
pub(crate) async fn apply(
    gateway: &Gateway,
    method: Method,
    release: &str,
    digest: &str,
    clusters: &[&str],
    more: Value,
) -> Result<Value> {
    let mut body = json!({
        "chart": { "digest": digest }, "release": { "name": release, "namespace": "default" },
        "targets": { "names": clusters }, "strategy": { "onFailure": "continue" },
    });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    let path = if method == Method::PUT {
        format!("/charts/{release}?wait=true")
    } else {
        "/charts?wait=true".to_owned()
    };
    gateway
        .client()?
        .json(method, &path, &body)
        .await?
        .success()
}

/// `rollback` or `test`, waited for.
pub(crate) async fn act(
    gateway: &Gateway,
    release: &str,
    verb: &str,
    clusters: &[&str],
    more: Value,
) -> Result<Value> {
    let mut body = json!({ "targets": { "names": clusters } });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    let path = format!("/charts/{release}/{verb}?wait=true");
    gateway.client()?.create(&path, &body).await
}

/// `DELETE /charts/{release}`, waited for.
pub(crate) async fn uninstall(
    gateway: &Gateway,
    release: &str,
    clusters: &[&str],
) -> Result<Value> {
    let path = format!(
        "/charts/{release}?wait=true&clusters={}",
        clusters.join(",")
    );
    gateway.client()?.delete(&path).await
}

/// The row of a cluster in an operation.
pub(crate) fn target<'a>(operation: &'a Value, cluster: &str) -> &'a Value {
    let targets = operation["targets"].as_array().into_iter().flatten();
    let mut rows = targets.filter(|target| target["cluster"] == cluster);
    rows.next().unwrap_or(&Value::Null)
}

/// A file beside a cluster's others.
pub(crate) fn chart_file(cluster: &Cluster, name: &str, archive: &[u8]) -> Result<String> {
    let path = cluster.write_file(name, "")?;
    std::fs::write(&path, archive)?;
    Ok(path.display().to_string())
}

/// Waits until the gateway counts no tunnel.
pub(crate) async fn no_tunnel_is_open(gateway: &Gateway) {
    wait_for("every tunnel to be closed", PATIENCE, || async {
        let metrics = gateway.client()?.get("/metrics").await?.text;
        let mut lines = metrics.lines();
        let open = lines.find(|line| line.starts_with("optikon_tunnels_open"));
        Ok(open.is_some_and(|line| line.ends_with(" 0")).then_some(()))
    })
    .await
    .unwrap();
}

/// A value of a ConfigMap in `default`; empty when there is none.
pub(crate) async fn setting(cluster: &Cluster, release: &str, key: &str) -> Result<String> {
    let path = format!("/api/v1/namespaces/default/configmaps/{release}-settings");
    let reply = cluster.admin().get(&path).await?;
    if reply.status == 404 {
        return Ok(String::new());
    }
    Ok(reply.success()?["data"][key]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

/// The items of a list of releases that are on this cluster, by name.
pub(crate) fn on<'a>(list: &'a Value, cluster: &str, release: &str) -> &'a Value {
    let items = list["items"].as_array().into_iter().flatten();
    let mut rows = items.filter(|row| row["cluster"] == cluster && row["name"] == release);
    rows.next().unwrap_or(&Value::Null)
}

/// Speaks to the listener of `[v0]`, without a token.
pub(crate) async fn original(method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
    let bed = bed().await;
    let base = format!("http://127.0.0.1:{}", bed.original);
    let client = optikon_tests::client::Client::new(&base, None, None)?;
    match body {
        Some(body) => client.json(method, path, body).await,
        None => client.send(client.request(method, path)).await,
    }
}

//! What the tests of this suite share.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use optikon_tests::gateway::Builder;
use optikon_tests::{Cluster, Gateway, Testbed, archive, scratch, wait_for};
use optikon_xtask::folders::Folders;
use reqwest::{Method, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Nothing that a test waits for takes so long unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The clusters without controllers beside the full one: six API servers in all.
const BARE: usize = 5;

/// A gateway and the clusters that it knows.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) gateway: Gateway,
    /// With controllers and nodes: workloads become ready.
    pub(crate) full: Cluster,
    testbed: Testbed,
    bare: OnceCell<Vec<Cluster>>,
    folder: TempDir,
}

/// The bed that all tests share.
pub(crate) async fn bed() -> &'static Bed {
    static SHARED: OnceCell<Bed> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async { start().await.unwrap() })
        .await
}

async fn start() -> Result<Bed> {
    let testbed = Testbed::start().await?;
    // One after the other: the first gateway of a test run may build what it needs, and blocks meanwhile.
    let gateway = Gateway::builder()
        .config("[probing]\nreach_seconds = 1\n")
        .start()
        .await?;
    let full = testbed.cluster("full").controllers().nodes(2);
    let bed = Bed {
        gateway,
        full: full.start().await?,
        testbed,
        bare: OnceCell::new(),
        folder: scratch::folder()?,
    };
    register(&bed.gateway, &bed.full, json!({"size": "full"})).await?;
    Ok(bed)
}

/// A gateway of one test, which may be killed.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) gateway: Gateway,
    _folder: TempDir,
}

/// Starts a gateway of its own, with the plugins that the shared one has compiled already.
pub(crate) async fn own(builder: Builder) -> Own {
    use std::os::unix::fs::DirBuilderExt as _;
    let compiled = bed().await.gateway.data_folder().join("compiled");
    let folder = scratch::folder().unwrap();
    let data = folder.path().join("data");
    let target = data.join("compiled");
    for path in [&data, &target] {
        std::fs::DirBuilder::new().mode(0o700).create(path).unwrap();
    }
    for file in std::fs::read_dir(compiled).into_iter().flatten() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), target.join(file.file_name())).unwrap();
        }
    }
    let gateway = builder.data_folder(&data).start().await.unwrap();
    Own {
        gateway,
        _folder: folder,
    }
}

/// Registers a cluster under its own name.
pub(crate) async fn register(gateway: &Gateway, cluster: &Cluster, labels: Value) -> Result<()> {
    let body = json!({
        "name": cluster.name(), "server": cluster.server(), "ca": cluster.ca(),
        "token": cluster.admin_token(), "labels": labels,
    });
    gateway.client()?.create("/cluster", &body).await.map(drop)
}

/// The archive of the chart `web` of this suite, in some version.
pub(crate) fn web(version: &str) -> Vec<u8> {
    archive::of_folder(&web_folder(), Some(version)).unwrap()
}

pub(crate) fn web_folder() -> PathBuf {
    Folders::here().root.join("tests/fixtures/deploy/web")
}

/// Keeps an archive at the gateway; its digest.
pub(crate) async fn upload(gateway: &Gateway, archive: Vec<u8>) -> Result<String> {
    let client = gateway.client()?;
    let request = client
        .request(Method::POST, "/archives")
        .header(header::CONTENT_TYPE, "application/gzip")
        .body(archive);
    let kept = client.send(request).await?.success()?;
    let digest = kept["digest"]
        .as_str()
        .context("an archive without digest")?;
    Ok(digest.to_owned())
}

/// Merges `more` over `base`, maps into maps.
pub(crate) fn merged(mut base: Value, more: Value) -> Value {
    match (&mut base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                let old = base.remove(&key).unwrap_or(Value::Null);
                base.insert(key, merged(old, value));
            }
        }
        (base, more) => *base = more,
    }
    base
}

/// A request about one release on some clusters.
pub(crate) fn request(digest: &str, name: &str, namespace: &str, clusters: &[&str]) -> Value {
    json!({
        "chart": {"digest": digest},
        "release": {"name": name, "namespace": namespace},
        "targets": {"names": clusters},
        "options": {"wait": true, "createNamespace": true, "timeoutSeconds": 100},
    })
}

/// Sends a change and waits until its operation is over.
pub(crate) async fn change(
    gateway: &Gateway,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Value> {
    let begun = gateway.client()?.json(method.clone(), path, body).await?;
    let operation = begun
        .success()
        .with_context(|| format!("{method} {path} {body}"))?;
    finished(gateway, &operation).await
}

/// Waits until an operation is over.
pub(crate) async fn finished(gateway: &Gateway, operation: &Value) -> Result<Value> {
    let id = operation["id"]
        .as_str()
        .context("an operation without id")?;
    wait_for("an operation to end", PATIENCE * 2, || async {
        let now = gateway.client()?.read(&format!("/operations/{id}")).await?;
        Ok(now["finishedMs"].is_number().then_some(now))
    })
    .await
}

/// The only row of an operation, after its state is as said.
pub(crate) fn only<'a>(operation: &'a Value, state: &str) -> &'a Value {
    let targets = operation["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1, "{operation}");
    assert_eq!(targets[0]["state"], state, "{operation:#}");
    &targets[0]
}

impl Bed {
    /// The clusters without controllers, started and registered as `bare-0`… when they are first asked for.
    pub(crate) async fn bare(&self) -> &[Cluster] {
        let start = || async {
            let mut clusters = Vec::new();
            for number in 0..BARE {
                let cluster = self
                    .testbed
                    .cluster(&format!("bare-{number}"))
                    .start()
                    .await?;
                let region = if number < 2 { "a" } else { "b" };
                register(
                    &self.gateway,
                    &cluster,
                    json!({"size": "bare", "region": region}),
                )
                .await?;
                clusters.push(cluster);
            }
            anyhow::Ok(clusters)
        };
        self.bare
            .get_or_init(|| async { start().await.unwrap() })
            .await
    }

    /// The suite's own folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the suite's own folder.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `POST /charts` on the full cluster, to its end.
    pub(crate) async fn install(&self, digest: &str, name: &str, more: Value) -> Value {
        let body = merged(request(digest, name, name, &["full"]), more);
        change(&self.gateway, Method::POST, "/charts", &body)
            .await
            .unwrap()
    }

    /// `PUT /charts/{name}` on the full cluster, to its end.
    pub(crate) async fn upgrade(&self, digest: &str, name: &str, more: Value) -> Value {
        let body = merged(request(digest, name, name, &["full"]), more);
        let path = format!("/charts/{name}");
        change(&self.gateway, Method::PUT, &path, &body)
            .await
            .unwrap()
    }

    /// `POST /charts/{name}/{verb}` on the full cluster, to its end.
    pub(crate) async fn act(&self, name: &str, verb: &str, more: Value) -> Value {
        let body = merged(
            json!({"namespace": name, "targets": {"names": ["full"]}, "options": {"timeoutSeconds": 100}}),
            more,
        );
        let path = format!("/charts/{name}/{verb}");
        change(&self.gateway, Method::POST, &path, &body)
            .await
            .unwrap()
    }

    /// `DELETE /charts/{name}` on the full cluster, to its end.
    pub(crate) async fn uninstall(&self, name: &str) -> Value {
        let path = format!("/charts/{name}?namespace={name}&clusters=full");
        change(&self.gateway, Method::DELETE, &path, &Value::Null)
            .await
            .unwrap()
    }

    /// The one item of a read about a release on the full cluster.
    pub(crate) async fn item(&self, name: &str, part: &str) -> Value {
        let path = format!("/charts/{name}{part}?namespace={name}&clusters=full");
        let list = self.gateway.client().unwrap().read(&path).await.unwrap();
        assert_eq!(list["errors"], json!([]), "{path}");
        assert_eq!(
            list["items"].as_array().map(Vec::len),
            Some(1),
            "{path}: {list}"
        );
        list["items"][0].clone()
    }

    /// Runs the real `helm` against a cluster; its stdout.
    pub(crate) async fn helm(&self, cluster: &Cluster, arguments: &[&str]) -> Result<String> {
        run_helm(&Testbed::helm()?, self.folder.path(), cluster, arguments).await
    }

    /// The same, as JSON.
    pub(crate) async fn helm_json(&self, cluster: &Cluster, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        let said = self.helm(cluster, &arguments).await.unwrap();
        serde_json::from_str(&said).unwrap()
    }
}

/// Runs a program of Helm's with a home of its own.
pub(crate) async fn run_helm(
    program: &Path,
    home: &Path,
    cluster: &Cluster,
    arguments: &[&str],
) -> Result<String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("KUBECONFIG", cluster.kubeconfig_file())
        .env("HOME", home)
        .stdin(Stdio::null());
    let text = format!("helm {}", arguments.join(" "));
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    if !output.status.success() {
        bail!(
            "{text}: {}: {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// An object as a cluster has it now; none where there is none.
pub(crate) async fn object(cluster: &Cluster, path: &str) -> Option<Value> {
    let reply = cluster.admin().get(path).await.unwrap();
    if reply.status == 404 {
        return None;
    }
    Some(reply.success().unwrap())
}

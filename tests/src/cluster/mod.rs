//! One real cluster: an API server, and as wanted its controllers, scheduler and nodes.

mod builder;
mod clients;
mod servers;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

pub use builder::Builder;

use crate::client::Client;
use crate::etcd::Etcd;
use crate::keys::{ADMIN_TOKEN, VIEWER_TOKEN};
use crate::manifests;
use crate::ports::Reserved;
use crate::process::Process;
use crate::testbed::Testbed;
use crate::tiller::Tiller;
use crate::wait::wait_for;

/// A loaded machine with two cores starts a server in 2 to 14 s.
const START: Duration = Duration::from_secs(120);

/// The folder of one cluster, and the keys it uses.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    testbed: Testbed,
}

impl Place {
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.testbed.keys().file(name)
    }
}

/// A running cluster; everything of it ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    // Processes first: they are dropped in the order of the fields.
    api_server: Option<Process>,
    others: Vec<Process>,
    tiller: Option<Tiller>,
    tiller_at: Option<u16>,
    etcd: Option<Etcd>,
    name: String,
    prefix: String,
    place: Place,
    port: Reserved,
    server: String,
    ca: String,
    admin: Client,
    has_controllers: bool,
    flags: Vec<String>,
}

impl Cluster {
    /// The name it was built with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API server's address, `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The authority to trust, PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// The file with that authority.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.place.key("ca.crt")
    }

    /// A token of system:masters.
    #[must_use]
    pub fn admin_token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    /// A token of the user `viewer`, who has no rights unless some are bound.
    #[must_use]
    pub fn viewer_token(&self) -> &'static str {
        VIEWER_TOKEN
    }

    /// A client with all rights.
    #[must_use]
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// A kubeconfig with a token, as JSON, which is YAML too.
    #[must_use]
    pub fn kubeconfig(&self, token: &str) -> Value {
        use base64::Engine as _;
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.ca);
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": self.name,
            "clusters": [{
                "name": self.name,
                "cluster": {"server": self.server, "certificate-authority-data": ca},
            }],
            "contexts": [{
                "name": self.name,
                "context": {"cluster": self.name, "user": "user"},
            }],
            "users": [{"name": "user", "user": {"token": token}}],
        })
    }

    /// The file with the kubeconfig of the administrator.
    #[must_use]
    pub fn kubeconfig_file(&self) -> PathBuf {
        self.place.file("kubeconfig")
    }

    /// Writes a text to a file of this cluster's folder, such as a token for `--token-file`, and returns its path.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub fn write_file(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.place.file(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Runs kubectl as administrator and returns what it printed.
    ///
    /// # Errors
    /// When it fails; the error shows its stderr.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with(args, None).await
    }

    /// `kubectl apply` of a text with any number of YAML or JSON documents.
    ///
    /// # Errors
    /// When it fails.
    pub async fn apply(&self, documents: &str) -> Result<String> {
        self.kubectl_with(&["apply", "-f", "-"], Some(documents.to_owned()))
            .await
    }

    async fn kubectl_with(&self, args: &[&str], input: Option<String>) -> Result<String> {
        let mut command = Command::new(self.place.testbed.program("kubectl")?);
        command
            .args(args)
            .env("KUBECONFIG", self.kubeconfig_file())
            .env("HOME", self.place.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let text = format!("kubectl {}", args.join(" "));
        let output = tokio::task::spawn_blocking(move || -> Result<_> {
            let mut child = command.spawn().context("start kubectl")?;
            if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
                stdin.write_all(input.as_bytes())?;
            }
            Ok(child.wait_with_output()?)
        })
        .await??;
        if !output.status.success() {
            bail!(
                "{text}: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Creates an object of a kind that [`manifests::collection`] knows.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn create(&self, object: &Value) -> Result<Value> {
        let path = manifests::collection(object)
            .with_context(|| format!("the collection of this object is not known: {object}"))?;
        self.admin.create(&path, object).await
    }

    /// Creates a namespace; with controllers, waits until pods can be made in it.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        self.create(&manifests::namespace(name)).await?;
        if self.has_controllers {
            self.wait_for_default_account(name).await?;
        }
        Ok(())
    }

    /// A ServiceAccount with these rules for the whole cluster (`rules` of a ClusterRole), and a token of it that lasts
    /// an hour.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn account(&self, namespace: &str, name: &str, rules: &Value) -> Result<String> {
        let role = format!("{namespace}-{name}");
        self.create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": role},
            "rules": rules,
        }))
        .await?;
        self.account_with_role(namespace, name, &role).await
    }

    /// A ServiceAccount bound to an existing ClusterRole such as `view`, and a token of it that lasts an hour.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn account_with_role(
        &self,
        namespace: &str,
        name: &str,
        role: &str,
    ) -> Result<String> {
        self.create(&json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        }))
        .await?;
        self.create(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{namespace}-{name}")},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role,
            },
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }))
        .await?;
        self.token(namespace, name).await
    }

    /// A token of an existing ServiceAccount, for an hour. Deleting the account revokes it within about ten seconds.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        });
        let reply = self.admin.create(&path, &request).await?;
        reply
            .pointer("/status/token")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
            .context("a token request without token")
    }

    /// Waits until this many nodes are Ready.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn wait_for_nodes(&self, count: u32) -> Result<()> {
        wait_for("ready nodes", START, || async {
            let list = self.admin.read("/api/v1/nodes").await?;
            let ready = items(&list).filter(|node| is_true(node, "Ready")).count();
            // With controllers the taint of a new node goes a moment later, and pods wait for that.
            let tainted = items(&list).any(|node| node.pointer("/spec/taints").is_some());
            let done = ready >= count as usize && !(self.has_controllers && tainted);
            Ok(done.then_some(()))
        })
        .await
    }

    /// Waits until a Deployment, StatefulSet or DaemonSet has its replicas ready, or a Job is complete.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn wait_for_workload(&self, object: &Value) -> Result<()> {
        let name = object
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .context("a workload without name")?;
        let path = format!(
            "{}/{name}",
            manifests::collection(object).context("an unknown kind")?
        );
        wait_for(&path, START, || async {
            let now = self.admin.read(&path).await?;
            Ok(is_ready(&now).then_some(()))
        })
        .await
    }

    /// Waits until a pod is Ready.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn wait_for_pod(&self, namespace: &str, name: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        wait_for(&path, START, || async {
            let pod = self.admin.read(&path).await?;
            Ok(is_true(&pod, "Ready").then_some(()))
        })
        .await
    }

    /// Where Tiller listens on 127.0.0.1, when there is one.
    #[must_use]
    pub fn tiller_port(&self) -> Option<u16> {
        self.tiller.as_ref().map(|tiller| tiller.port)
    }

    /// Ends Tiller at once; its pod stays, and forwards to it fail from then on.
    pub fn kill_tiller(&mut self) {
        self.tiller = None;
    }

    /// Starts Tiller again, where forwards lead to.
    ///
    /// # Errors
    /// When the cluster never had one, or it does not start.
    pub async fn start_tiller(&mut self) -> Result<()> {
        let port = self.tiller_at.context("the cluster has no Tiller")?;
        self.tiller = Some(crate::tiller::start_with(&self.place, Some(port), &[]).await?);
        Ok(())
    }

    async fn wait_for_default_account(&self, namespace: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        wait_for("the default ServiceAccount", START, || async {
            self.admin.read(&path).await.map(Some)
        })
        .await
        .map(drop)
    }
}

/// The items of a list.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Whether the condition of this type is True.
#[must_use]
pub fn is_true(object: &Value, condition: &str) -> bool {
    object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|entry| {
            entry.get("type").and_then(Value::as_str) == Some(condition)
                && entry.get("status").and_then(Value::as_str) == Some("True")
        })
}

fn is_ready(object: &Value) -> bool {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
    let seen = number("/status/observedGeneration") >= number("/metadata/generation");
    match object.get("kind").and_then(Value::as_str) {
        Some("Job") => is_true(object, "Complete"),
        Some("DaemonSet") => {
            let desired = number("/status/desiredNumberScheduled").unwrap_or(0);
            seen && desired > 0 && number("/status/numberReady") == Some(desired)
        }
        Some("CronJob") => true,
        _ => {
            let desired = number("/spec/replicas").unwrap_or(1);
            seen && number("/status/readyReplicas").unwrap_or(0) == desired
        }
    }
}

#[cfg(all(test, feature = "testbed"))]
mod tests;

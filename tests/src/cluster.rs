//! One real cluster: an API server, and as wanted its controllers, scheduler and nodes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::Client;
use crate::keys::{ADMIN_TOKEN, VIEWER_TOKEN};
use crate::manifests;
use crate::nodes;
use crate::ports::Reserved;
use crate::process::Process;
use crate::testbed::Testbed;
use crate::wait::wait_for;

/// A loaded machine with two cores starts a server in 2 to 14 s.
const START: Duration = Duration::from_secs(120);
/// What the API server may take to end in order.
const STOP: Duration = Duration::from_secs(30);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What a cluster consists of.
#[derive(Debug)]
pub struct Builder {
    testbed: Testbed,
    name: String,
    nodes: u32,
    has_controllers: bool,
    has_kwok: bool,
    flags: Vec<String>,
    forwards: Vec<(u16, u16)>,
}

impl Builder {
    pub(crate) fn new(testbed: Testbed, name: &str) -> Self {
        Self {
            testbed,
            name: name.to_owned(),
            nodes: 0,
            has_controllers: false,
            has_kwok: false,
            flags: Vec::new(),
            forwards: Vec::new(),
        }
    }

    /// Nodes `n0`, `n1`, …, Ready when the cluster is started. Brings kwok.
    #[must_use]
    pub fn nodes(mut self, count: u32) -> Self {
        self.nodes = count;
        self.has_kwok = true;
        self
    }

    /// Controller manager and scheduler: workloads get pods, and pods nodes.
    #[must_use]
    pub fn controllers(mut self) -> Self {
        self.has_controllers = true;
        self
    }

    /// Another flag for kube-apiserver.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// No queueing and no bound on requests in flight, for load tests.
    #[must_use]
    pub fn without_fairness(mut self) -> Self {
        for flag in [
            "--enable-priority-and-fairness=false",
            "--max-requests-inflight=0",
            "--max-mutating-requests-inflight=0",
        ] {
            self.flags.push(flag.to_owned());
        }
        self
    }

    /// A port-forward to `port` of any pod leads to `target` on 127.0.0.1. Brings kwok.
    #[must_use]
    pub fn forward(mut self, port: u16, target: u16) -> Self {
        self.forwards.push((port, target));
        self.has_kwok = true;
        self
    }

    /// Starts it, and waits until it is ready and its nodes are.
    ///
    /// # Errors
    /// When a server does not start; the error shows the end of its log.
    pub async fn start(self) -> Result<Cluster> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            folder: self.testbed.folder().join(format!("cluster-{number}")),
            testbed: self.testbed.clone(),
        };
        fs::create_dir_all(&place.folder)
            .with_context(|| format!("make {}", place.folder.display()))?;
        let port = Reserved::new()?;
        let server = format!("https://127.0.0.1:{}", port.port());
        let ca = self.testbed.keys().authority.pem().to_owned();
        let admin = Client::new(&server, Some(&ca), Some(ADMIN_TOKEN))?;
        let mut cluster = Cluster {
            name: self.name,
            prefix: format!("/cluster-{number}"),
            place,
            port,
            server,
            ca,
            admin,
            has_controllers: self.has_controllers,
            flags: self.flags,
            api_server: None,
            others: Vec::new(),
        };
        fs::write(
            cluster.kubeconfig_file(),
            cluster.kubeconfig(ADMIN_TOKEN).to_string(),
        )
        .context("write the kubeconfig")?;
        cluster
            .start_api_server()
            .await
            .with_context(|| format!("start cluster {}", cluster.name))?;
        if cluster.has_controllers {
            cluster.start_controllers()?;
        }
        if self.has_kwok {
            let kwok = nodes::start(
                &cluster.place,
                self.testbed.program("kwok")?,
                &self.testbed.stages(),
                &self.forwards,
            )
            .await?;
            cluster.others.push(kwok);
        }
        for node in 0..self.nodes {
            cluster
                .create(&manifests::node(&format!("n{node}")))
                .await?;
        }
        if self.nodes > 0 {
            cluster.wait_for_nodes(self.nodes).await?;
        }
        if cluster.has_controllers {
            cluster.wait_for_default_account("default").await?;
        }
        Ok(cluster)
    }
}

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

    async fn wait_for_default_account(&self, namespace: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        wait_for("the default ServiceAccount", START, || async {
            self.admin.read(&path).await.map(Some)
        })
        .await
        .map(drop)
    }

    /// Kills the API server at once, as a lost machine would; connections are refused from then on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill_api_server(&mut self) -> Result<()> {
        if let Some(mut process) = self.api_server.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Stops the API server in order.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop_api_server(&mut self) -> Result<()> {
        if let Some(mut process) = self.api_server.take() {
            process.terminate(STOP).await?;
        }
        Ok(())
    }

    /// Holds the API server still (SIGSTOP): connections are accepted by the system and never answered.
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze_api_server(&self) -> Result<()> {
        self.signal_api_server(rustix::process::Signal::STOP)
    }

    /// Lets a frozen API server go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn thaw_api_server(&self) -> Result<()> {
        self.signal_api_server(rustix::process::Signal::CONT)
    }

    fn signal_api_server(&self, signal: rustix::process::Signal) -> Result<()> {
        self.api_server
            .as_ref()
            .context("the API server is not running")?
            .signal(signal)
    }

    /// Starts the API server again, on the same port and with the same data.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_api_server(&mut self) -> Result<()> {
        self.kill_api_server()?;
        let process = Mutex::new(Process::start(
            "kube-apiserver",
            self.api_server_command()?,
            &self.place.file("kube-apiserver.log"),
        )?);
        wait_for("the API server", START, || async {
            process.lock().await.check()?;
            let reply = self.admin.get("/readyz").await?;
            Ok(reply.status.is_success().then_some(()))
        })
        .await?;
        self.api_server = Some(process.into_inner());
        Ok(())
    }

    fn api_server_command(&self) -> Result<Command> {
        let mut command = Command::new(self.place.testbed.program("kube-apiserver")?);
        let file = |flag: &str, name: &str| format!("{flag}={}", self.place.key(name).display());
        let plain = |flag: &str, value: &str| format!("{flag}={value}");
        command.args([
            plain("--etcd-servers", self.place.testbed.etcd_url()),
            plain("--etcd-prefix", &self.prefix),
            plain("--secure-port", &self.port.port().to_string()),
            plain("--permit-port-sharing", "true"),
            plain("--bind-address", "127.0.0.1"),
            plain("--advertise-address", "127.0.0.1"),
            plain("--endpoint-reconciler-type", "none"),
            plain("--authorization-mode", "RBAC"),
            plain("--allow-privileged", "true"),
            plain("--service-account-issuer", &self.server),
            plain("--service-cluster-ip-range", "10.0.0.0/24"),
            plain("--kubelet-preferred-address-types", "InternalIP"),
            file("--tls-cert-file", "apiserver.crt"),
            file("--tls-private-key-file", "apiserver.key"),
            file("--client-ca-file", "ca.crt"),
            file("--token-auth-file", "tokens.csv"),
            file("--service-account-key-file", "service-accounts.pub"),
            file("--service-account-signing-key-file", "service-accounts.key"),
            file("--kubelet-certificate-authority", "ca.crt"),
            file("--kubelet-client-certificate", "admin.crt"),
            file("--kubelet-client-key", "admin.key"),
        ]);
        // For aggregated API servers.
        command.args([
            file("--requestheader-client-ca-file", "front-ca.crt"),
            plain("--requestheader-allowed-names", "front-proxy-client"),
            plain("--requestheader-username-headers", "X-Remote-User"),
            plain("--requestheader-group-headers", "X-Remote-Group"),
            plain("--requestheader-extra-headers-prefix", "X-Remote-Extra-"),
            file("--proxy-client-cert-file", "front-proxy.crt"),
            file("--proxy-client-key-file", "front-proxy.key"),
        ]);
        if !self.has_controllers {
            // Nobody makes the account that it asks for.
            command.arg("--disable-admission-plugins=ServiceAccount");
        }
        command.args(&self.flags);
        Ok(command)
    }

    fn start_controllers(&mut self) -> Result<()> {
        let kubeconfig = self.kubeconfig_file();
        let mut manager = Command::new(self.place.testbed.program("kube-controller-manager")?);
        manager
            .arg("--service-account-private-key-file")
            .arg(self.place.key("service-accounts.key"))
            .arg("--root-ca-file")
            .arg(self.place.key("ca.crt"));
        let scheduler = Command::new(self.place.testbed.program("kube-scheduler")?);
        for (name, mut command) in [
            ("kube-controller-manager", manager),
            ("kube-scheduler", scheduler),
        ] {
            command
                .arg("--kubeconfig")
                .arg(&kubeconfig)
                .args(["--leader-elect=false", "--secure-port=0"]);
            let log = self.place.file(&format!("{name}.log"));
            self.others.push(Process::start(name, command, &log)?);
        }
        Ok(())
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
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cluster_runs_workloads_on_ready_nodes_and_comes_back_with_them() {
        let testbed = Testbed::start().await.unwrap();
        let mut cluster = testbed
            .cluster("edge")
            .controllers()
            .nodes(2)
            .start()
            .await
            .unwrap();
        cluster.create_namespace("shop").await.unwrap();
        for workload in manifests::one_of_each("shop") {
            cluster.create(&workload).await.unwrap();
            cluster.wait_for_workload(&workload).await.unwrap();
        }
        let printed = cluster
            .kubectl(&["get", "nodes", "-o", "name"])
            .await
            .unwrap();
        assert_eq!(printed, "node/n0\nnode/n1\n");

        let rules = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]);
        let token = cluster.account("default", "looker", &rules).await.unwrap();
        let looker = cluster.admin().with_token(Some(&token));
        looker.read("/api/v1/nodes").await.unwrap();
        assert_eq!(looker.get("/api/v1/pods").await.unwrap().status, 403);

        cluster.kill_api_server().unwrap();
        assert!(cluster.admin().get("/version").await.is_err());
        cluster.start_api_server().await.unwrap();
        let deployment = manifests::deployment("shop", "web", 3);
        cluster.wait_for_workload(&deployment).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_without_controllers_has_nodes_and_bound_pods() {
        let testbed = Testbed::start().await.unwrap();
        let cluster = testbed.cluster("small").nodes(1).start().await.unwrap();
        cluster
            .create(&manifests::pod("default", "bare", "n0"))
            .await
            .unwrap();
        wait_for("a running pod", START, || async {
            let pod = cluster
                .admin()
                .read("/api/v1/namespaces/default/pods/bare")
                .await?;
            Ok(is_true(&pod, "Ready").then_some(()))
        })
        .await
        .unwrap();
    }
}

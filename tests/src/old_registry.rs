//! The API server of cluster-registry v0.0.3, rebuilt with its oddities (`testbed/clusterregistry`), on an etcd of its own so
//! that a test may compact it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::cluster::Cluster;
use crate::etcd::Etcd;
use crate::keys::{ADMIN_TOKEN, Subject};
use crate::ports::Reserved;
use crate::process::Process;
use crate::wait::wait_for;
use crate::{Client, Testbed, scratch};

/// A loaded machine takes seconds.
const START: Duration = Duration::from_secs(60);
/// The group's collection, at the server itself and behind a hub.
pub const CLUSTERS: &str = "/apis/clusterregistry.k8s.io/v1alpha1/clusters";
const SERVICE: (&str, &str) = ("kube-system", "clusterregistry");

/// Who may do what.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// Everybody everything: the default of `standalone`.
    Everybody,
    /// The holders of the test bed's tokens everything.
    Tokens,
    /// `aggregated`: whom the hub's front proxy names, as far as the hub answers reviews.
    Hub(&'a Cluster),
}

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct OldRegistry {
    // Dropped in this order.
    process: Option<Process>,
    _etcd: Etcd,
    port: Reserved,
    arguments: Vec<String>,
    client: Client,
    ca: String,
    folder: TempDir,
    /// Who may do what is in its folder.
    _testbed: Testbed,
}

impl OldRegistry {
    /// An empty one. Builds the server when it is nowhere.
    ///
    /// # Errors
    /// When it cannot be built or does not start.
    pub async fn start(access: Access<'_>) -> Result<Self> {
        let testbed = Testbed::start().await?;
        let folder = scratch::folder()?;
        let etcd = Etcd::start(testbed.program("etcd")?, folder.path()).await?;
        let keys = testbed.keys();
        let service = format!("{}.{}.svc", SERVICE.1, SERVICE.0);
        let pair = keys.authority.issue(&Subject {
            common_name: "clusterregistry",
            hosts: &["127.0.0.1", "localhost", &service],
            ..Subject::default()
        })?;
        let file = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(file("tls.crt"), &pair.certificate).context("write the certificate")?;
        std::fs::write(file("tls.key"), &pair.key).context("write the key")?;
        let port = Reserved::new()?;
        let ca = keys.authority.pem().to_owned();
        let base = format!("https://127.0.0.1:{}", port.port());
        let mut arguments = vec![
            format!("-port={}", port.port()),
            format!("-etcd={}", etcd.url),
            format!("-cert={}", file("tls.crt")),
            format!("-key={}", file("tls.key")),
        ];
        let key = |name: &str| keys.file(name).display().to_string();
        let token = match access {
            Access::Everybody => None,
            Access::Tokens => {
                arguments.push(format!("-tokens={}", key("tokens.csv")));
                Some(ADMIN_TOKEN)
            }
            Access::Hub(hub) => {
                arguments.extend([
                    format!("-front-ca={}", key("front-ca.crt")),
                    format!("-hub={}", hub.server()),
                    format!("-hub-ca={}", key("ca.crt")),
                    format!("-hub-token={}", hub.admin_token()),
                ]);
                None
            }
        };
        let mut registry = Self {
            process: None,
            client: Client::new(&base, Some(&ca), token)?,
            _etcd: etcd,
            port,
            arguments,
            ca,
            folder,
            _testbed: testbed,
        };
        registry.start_again().await?;
        Ok(registry)
    }

    /// Starts it (again) on the same port and data.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_again(&mut self) -> Result<()> {
        self.kill()?;
        let mut command = Command::new(Testbed::clusterregistry()?);
        command.args(&self.arguments);
        let log = self.folder.path().join("clusterregistry.log");
        let process = Mutex::new(Process::start("clusterregistry", command, &log)?);
        wait_for("the registry's API server", START, || async {
            process.lock().await.check()?;
            let reply = self.client.get("/healthz").await?;
            Ok(reply.status.is_success().then_some(()))
        })
        .await?;
        self.process = Some(process.into_inner());
        Ok(())
    }

    /// Kills it at once.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Holds it still (SIGSTOP), or lets it go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn freeze(&self, is_frozen: bool) -> Result<()> {
        let process = self.process.as_ref().context("it is not running")?;
        process.signal(if is_frozen {
            Signal::STOP
        } else {
            Signal::CONT
        })
    }

    /// Speaks to it directly, with all rights that there are.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The authority of its certificate, PEM.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Its service on a hub, as `optikon registry setup --service` wants it.
    #[must_use]
    pub fn service(&self) -> String {
        format!("{}/{}:{}", SERVICE.0, SERVICE.1, self.port.port())
    }

    /// Makes that service on a hub; it leads here.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn make_service(&self, hub: &Cluster) -> Result<()> {
        let (namespace, name) = SERVICE;
        hub.apply(
            &json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
                "spec": {"type": "ExternalName", "externalName": "localhost"},
            })
            .to_string(),
        )
        .await?;
        Ok(())
    }

    /// Lets a hub serve its clusters: service and APIService. Returns when they are served.
    ///
    /// # Errors
    /// When the hub refuses, or does not serve them.
    pub async fn register(&self, hub: &Cluster) -> Result<()> {
        self.make_service(hub).await?;
        let (namespace, name) = SERVICE;
        let bundle = base64::engine::general_purpose::STANDARD.encode(&self.ca);
        let object = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1alpha1.clusterregistry.k8s.io"},
            "spec": {"group": "clusterregistry.k8s.io", "version": "v1alpha1", "groupPriorityMinimum": 1000,
                "versionPriority": 15, "caBundle": bundle,
                "service": {"name": name, "namespace": namespace, "port": self.port.port()}},
        });
        hub.apply(&object.to_string()).await?;
        wait_for("the hub to serve clusters", START, || async {
            Ok(hub.admin().read(CLUSTERS).await.ok())
        })
        .await?;
        Ok(())
    }

    /// Lets etcd forget everything but the present, so that older revisions are too old.
    ///
    /// # Errors
    /// When it is not running, or etcd refuses.
    pub async fn compact(&self) -> Result<()> {
        let process = self.process.as_ref().context("it is not running")?;
        let done = || process.log().matches(" compacted\n").count();
        let before = done();
        process.signal(Signal::USR1)?;
        wait_for("etcd to be compacted", START, || async {
            Ok((done() > before).then_some(()))
        })
        .await
    }
}

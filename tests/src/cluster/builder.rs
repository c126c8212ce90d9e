//! What a cluster consists of, and its start.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use super::{Cluster, Place};
use crate::client::Client;
use crate::etcd::Etcd;
use crate::keys::ADMIN_TOKEN;
use crate::ports::Reserved;
use crate::testbed::Testbed;
use crate::{manifests, nodes, tiller};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What a cluster consists of.
#[derive(Debug)]
pub struct Builder {
    testbed: Testbed,
    name: String,
    nodes: u32,
    has_controllers: bool,
    has_kwok: bool,
    has_tiller: bool,
    has_tiller_tls: bool,
    has_own_etcd: bool,
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
            has_tiller: false,
            has_tiller_tls: false,
            has_own_etcd: false,
            flags: Vec::new(),
            forwards: Vec::new(),
        }
    }

    /// Nodes `n0`, `n1`, …, Ready when the cluster is started. Brings kwok.
    #[must_use]
    pub fn nodes(mut self, count: u32) -> Self {
        self.nodes = self.nodes.max(count);
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

    /// An etcd of its own, which [`Cluster::compact`] may compact without taking anything from others, and every list
    /// straight from it: the API server's cache would go on knowing what etcd has forgotten.
    #[must_use]
    pub fn own_etcd(mut self) -> Self {
        self.has_own_etcd = true;
        self.flags.push("--watch-cache=false".to_owned());
        self
    }

    /// A port-forward to `port` of any pod leads to `target` on 127.0.0.1. Brings kwok.
    #[must_use]
    pub fn forward(mut self, port: u16, target: u16) -> Self {
        self.forwards.push((port, target));
        self.has_kwok = true;
        self
    }

    /// Tiller in kube-system, reached by a port-forward as by its clients. Brings a node.
    #[must_use]
    pub fn tiller(mut self) -> Self {
        self.has_tiller = true;
        self.nodes(1)
    }

    /// The same with TLS, and only for clients that have a certificate of the test bed's authority. Its own is for
    /// `localhost`.
    #[must_use]
    pub fn tiller_with_tls(mut self) -> Self {
        self.has_tiller_tls = true;
        self.tiller()
    }

    /// Starts it, and waits until it is ready and its nodes are.
    ///
    /// # Errors
    /// When a server does not start; the error shows the end of its log.
    pub async fn start(mut self) -> Result<Cluster> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            folder: self.testbed.folder().join(format!("cluster-{number}")),
            testbed: self.testbed.clone(),
        };
        fs::create_dir_all(&place.folder)
            .with_context(|| format!("make {}", place.folder.display()))?;
        let etcd = match self.has_own_etcd {
            true => Some(Etcd::start_known(self.testbed.program("etcd")?, &place.folder).await?),
            false => None,
        };
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
            etcd,
            api_server: None,
            others: Vec::new(),
            tiller: None,
            tiller_at: None,
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
        if self.has_tiller {
            let running = if self.has_tiller_tls {
                let arguments = tiller::tls_arguments(&cluster.place);
                tiller::start_with(&cluster.place, None, &arguments).await?
            } else {
                tiller::start(&cluster.place).await?
            };
            self.forwards.push((tiller::PORT, running.port));
            cluster.tiller_at = Some(running.port);
            cluster.tiller = Some(running);
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
        if self.has_tiller {
            cluster.create(&tiller::pod()).await?;
            cluster.wait_for_pod("kube-system", "tiller-deploy").await?;
        }
        Ok(cluster)
    }
}

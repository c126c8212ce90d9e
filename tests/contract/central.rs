//! The real central cluster that the suite shares; each test has a namespace of its own on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use async_trait::async_trait;
use optikon_core::ports::{Connection, Outbound as _, World};
use optikon_core::words::{
    Credential, Endpoint, Fault, FaultReason, Member, ResourceGrant, Rules, Secret, SlotName,
};
use optikon_engine::Peers;
use optikon_outbound::{Outbound, OutboundConfig};
use optikon_tests::cluster::Cluster;
use optikon_tests::{Testbed, wait_for};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::bed::PATIENCE;

/// What `optikon registry setup` installs.
pub(crate) const DEFINITION: &str = include_str!("../../host/optikon/src/cli/registry/crd.yaml");
/// Where the objects are.
const LIST: &str = "/apis/clusterregistry.k8s.io/v1alpha1/clusters";

/// A central cluster with the definition of clusters.
///
/// # Errors
/// When it does not start or does not take the definition.
pub(crate) async fn cluster_with(name: &str, definition: &str) -> Result<Cluster> {
    let cluster = Testbed::start().await?.cluster(name).start().await?;
    cluster.apply(definition).await?;
    wait_for("the definition to be served", PATIENCE, || async {
        Ok(cluster.admin().read(LIST).await.ok())
    })
    .await?;
    Ok(cluster)
}

async fn shared() -> Result<&'static Cluster> {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| cluster_with("central", DEFINITION))
        .await
}

/// A namespace of the central cluster.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) cluster: &'static Cluster,
    pub(crate) namespace: String,
}

impl Place {
    /// An empty one.
    pub(crate) async fn start() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let cluster = shared().await.context("the central cluster")?;
        let namespace = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        cluster.create_namespace(&namespace).await?;
        Ok(Self { cluster, namespace })
    }

    /// The path of its clusters.
    pub(crate) fn path(&self) -> String {
        let namespace = &self.namespace;
        format!("/apis/clusterregistry.k8s.io/v1alpha1/namespaces/{namespace}/clusters")
    }

    /// The plugin's configuration.
    pub(crate) fn config(&self) -> Value {
        json!({"namespace": self.namespace})
    }

    /// The way there, as administrator.
    pub(crate) fn peers(&self, world: Arc<dyn World>) -> Result<Arc<dyn Peers>> {
        peers(self.cluster, self.cluster.admin_token(), world)
    }
}

/// The way to a central cluster with this token.
pub(crate) fn peers(
    cluster: &Cluster,
    token: &str,
    world: Arc<dyn World>,
) -> Result<Arc<dyn Peers>> {
    peers_of(cluster.server(), cluster.ca(), token, world)
}

/// The way to whatever listens there.
pub(crate) fn peers_of(
    server: &str,
    ca: &str,
    token: &str,
    world: Arc<dyn World>,
) -> Result<Arc<dyn Peers>> {
    let config = OutboundConfig {
        allow_loopback: true,
        ..OutboundConfig::default()
    };
    Ok(Arc::new(Central {
        outbound: Outbound::new(config, world)?,
        member: Member {
            name: "central".parse()?,
            uid: "central".parse()?,
            endpoints: vec![Endpoint {
                client_cidr: None,
                url: server.to_owned(),
            }],
            ca: Some(ca.to_owned()),
            tls_server_name: None,
            proxy_url: None,
            direct: None,
            credential: Some(Credential::Token(Secret::new(token.to_owned()))),
        },
    }))
}

#[derive(Debug)]
struct Central {
    outbound: Outbound,
    member: Member,
}

#[async_trait]
impl Peers for Central {
    async fn central(
        &self,
        _slot: &SlotName,
        _name: Option<&str>,
        grants: &[ResourceGrant],
    ) -> Result<Arc<dyn Connection>, Fault> {
        let rules = Rules::Central {
            grants: grants.to_vec(),
        };
        Ok(self.outbound.connect(&self.member, rules, true))
    }

    async fn upstream(&self, _slot: &SlotName, _name: &str) -> Result<Arc<dyn Connection>, Fault> {
        Err(Fault::new(FaultReason::BadConfig, "there is no upstream"))
    }
}

//! Where `central` and `upstream` lead to: the binary joins this with outbound.

use std::sync::Arc;

use async_trait::async_trait;
use optikon_core::{
    ports::Connection,
    words::{Fault, FaultReason, ResourceGrant, SlotName},
};

/// Opens the connections that a plugin may ask for. Cheap: what a connection is made of is shared.
#[async_trait]
pub trait Peers: Send + Sync + std::fmt::Debug {
    /// The cluster that holds the registry, limited to `grants`: the one of that name, which came with what fills the slot,
    /// or the configured one.
    ///
    /// # Errors
    /// `BadConfig` when the operator configured none.
    async fn central(
        &self,
        slot: &SlotName,
        name: Option<&str>,
        grants: &[ResourceGrant],
    ) -> Result<Arc<dyn Connection>, Fault>;

    /// The upstream of that name, limited to the path prefix of its grant.
    ///
    /// # Errors
    /// `BadConfig` when the slot has no such upstream.
    async fn upstream(&self, slot: &SlotName, name: &str) -> Result<Arc<dyn Connection>, Fault>;
}

/// Neither a central cluster nor upstreams.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPeers;

#[async_trait]
impl Peers for NoPeers {
    async fn central(
        &self,
        _slot: &SlotName,
        _name: Option<&str>,
        _grants: &[ResourceGrant],
    ) -> Result<Arc<dyn Connection>, Fault> {
        let message = "no central cluster is configured: set [central] in the configuration";
        Err(Fault::new(FaultReason::BadConfig, message))
    }

    async fn upstream(&self, slot: &SlotName, name: &str) -> Result<Arc<dyn Connection>, Fault> {
        let name = crate::escape::line(name, 128);
        let message = format!("slot \"{slot}\" has no upstream \"{name}\"");
        Err(Fault::new(FaultReason::BadConfig, message))
    }
}

//! The only way to another machine.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::words::{
    Fault, FaultReason, GrpcCall, GrpcFailure, LineStream, Mapping, Member, MessageStream,
    PodTarget, Refusal, Request, Response, Rules, Secret, Uid,
};

/// One API server (or upstream), with the rules of whoever holds it. Cheap to make: what it is made
/// of (pool, breaker, discovery) is shared per member.
#[async_trait]
pub trait Connection: Send + Sync + std::fmt::Debug {
    /// The member's name, for messages.
    fn name(&self) -> &str;

    /// One request and its whole answer; any status is an answer, except that 401 to our own
    /// credential is the fault `Unauthorized`.
    async fn request(&self, request: Request) -> Result<Response, Fault>;

    /// The body line by line, for a watch or a log.
    async fn lines(&self, request: Request) -> Result<LineStream, Refusal>;

    /// Where objects of a kind live; from discovery, cached per member. `None` when it is not served.
    async fn mapping(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault>;

    /// A tunnel to a pod, through the API server. What is no API server of a member has none.
    async fn dial(&self, target: PodTarget) -> Result<Arc<dyn Channel>, Fault> {
        let PodTarget { namespace, .. } = target;
        let message = format!(
            "no tunnel to a pod of namespace \"{namespace}\" may be opened over the connection to {}",
            self.name()
        );
        Err(Fault::new(FaultReason::Denied, message))
    }
}

/// gRPC over one tunnel. It ends when the last of its channel and its streams is dropped.
#[async_trait]
pub trait Channel: Send + Sync + std::fmt::Debug {
    /// One message and its answer.
    async fn unary(&self, call: GrpcCall) -> Result<Bytes, GrpcFailure>;

    /// One message and a stream of answers.
    async fn server_stream(&self, call: GrpcCall) -> Result<MessageStream, GrpcFailure>;
}

/// A Secret of the cluster that holds the registry.
#[derive(Debug, Clone)]
pub struct CentralSecret {
    /// Its `resourceVersion`.
    pub version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its data, decoded.
    pub data: BTreeMap<String, Secret<Vec<u8>>>,
}

/// Secrets of the cluster that holds the registry, for the host alone.
#[async_trait]
pub trait CentralSecrets: Send + Sync + std::fmt::Debug {
    /// One Secret; none when it is not there.
    ///
    /// # Errors
    /// Why it cannot be read: no central cluster, no right, no answer.
    async fn read(&self, namespace: &str, name: &str) -> Result<Option<CentralSecret>, Fault>;

    /// Whether a cluster may name Secrets of a namespace that is not its own.
    fn is_allowed(&self, namespace: &str) -> bool;
}

/// Opens connections.
pub trait Outbound: Send + Sync + std::fmt::Debug {
    /// A connection to a member. `is_live` passes an open breaker (somebody asked right now).
    /// Nothing is sent before the first request; a bad address or CA shows there as `BadConfig`.
    fn connect(&self, member: &Member, rules: Rules, is_live: bool) -> Arc<dyn Connection>;

    /// Closes and forgets everything held for a member.
    fn forget(&self, uid: &Uid);

    /// The uids of members that closed a pooled connection: a reason to look at them now.
    fn closed(&self) -> BoxStream<'static, Uid>;
}

//! What is said over a tunnel to a pod, and how that can fail.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

use super::{Fault, Secret};

/// Which pod, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct PodTarget {
    /// The pod's namespace.
    pub namespace: String,
    /// Kubernetes' grammar.
    pub label_selector: String,
    /// The port inside the pod.
    pub port: u16,
    /// Whether several ready pods are a fault; otherwise the first by name is taken.
    pub is_only_one: bool,
    /// TLS to the pod; absent = clear text inside the tunnel.
    pub tls: Option<PodTls>,
}

/// TLS to a pod, inside the tunnel.
#[derive(Debug, Clone)]
pub struct PodTls {
    /// The name that its certificate must have.
    pub server_name: String,
    /// PEM of its CA; absent = the system's roots.
    pub ca: Option<String>,
    /// PEM of our certificate and key, where the pod wants them.
    pub client: Option<(String, Secret<String>)>,
}

/// One call.
#[derive(Debug, Clone)]
pub struct GrpcCall {
    /// `/package.Service/Method`.
    pub method: String,
    /// Lower-case names and printable values.
    pub metadata: Vec<(String, String)>,
    /// The request, encoded.
    pub message: Bytes,
    /// Less than what is left of the plugin's call; absent = all of it.
    pub timeout: Option<Duration>,
}

/// Why there is no message.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GrpcFailure {
    /// The peer's answer is not `OK`.
    #[error("gRPC status {code}: {message}")]
    Status {
        /// Never 0.
        code: u32,
        /// One bounded line.
        message: String,
    },
    /// No answer.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Messages in their order. A failure is the last item.
pub type MessageStream = BoxStream<'static, Result<Bytes, GrpcFailure>>;

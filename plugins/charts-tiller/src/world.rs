//! What the host offers, as parameters, so that everything else runs natively.

use optikon_plugin_sdk::{Error, Fault};
use serde::Deserialize;

/// The slot's configuration, as `config.schema.json` describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "each is described in `config.schema.json`")]
pub struct Settings {
    pub namespace: String,
    pub label_selector: String,
    pub port: u16,
    pub tls: Option<Tls>,
}

/// TLS to Tiller.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// The name that Tiller's certificate must have; the rest is the host's.
    pub server_name: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: "kube-system".into(),
            label_selector: "app=helm,name=tiller".into(),
            port: 44134,
            tls: None,
        }
    }
}

/// Why a call has no message.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// Tiller said so.
    Status(u32, String),
    /// No answer.
    Fault(Fault),
}

/// One call of Tiller.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The method's name.
    pub method: &'static str,
    /// The version that the client says it has; none for `GetVersion`.
    pub version: Option<String>,
    /// The request.
    pub message: Vec<u8>,
    /// How long Tiller may take, milliseconds.
    pub timeout_ms: u64,
}

/// A tunnel to Tiller.
pub trait Channel {
    /// One message and its answer.
    async fn unary(&self, ask: Ask) -> Result<Vec<u8>, Failure>;
    /// One message and a stream of answers, each handed over as it comes.
    async fn stream(
        &self,
        ask: Ask,
        each: &mut dyn FnMut(Vec<u8>) -> Result<(), Error>,
    ) -> Result<Result<(), Failure>, Error>;
}

/// The call that is served.
pub trait World {
    /// What `dial` gives.
    type Channel: Channel;
    /// Opens a tunnel to Tiller.
    async fn dial(&self) -> Result<Self::Channel, Fault>;
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;
    /// Returns after at least that many milliseconds.
    async fn sleep(&self, ms: u32);
    /// Tells who follows the operation how far it is.
    fn report(&self, phase: &str, message: &str);
    /// The operation that this call belongs to.
    fn operation(&self) -> Option<String>;
    /// Milliseconds until the host gives up.
    fn remaining_ms(&self) -> Option<u64>;
}

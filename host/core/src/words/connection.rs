//! What is said over a connection to one API server, and how that can fail.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures::stream::BoxStream;

/// The verbs a connection knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the HTTP methods of the same names")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As in an HTTP request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One request. Address and credential are added by outbound; nothing here can name another host.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// An absolute path, `/` first, without query or fragment; checked before anything is sent.
    pub path: String,
    /// Query parameters, not yet encoded.
    pub query: Vec<(String, String)>,
    /// The `Accept` header; absent = `application/json`.
    pub accept: Option<String>,
    /// The `Content-Type` header; absent = `application/json` where there is a body.
    pub content_type: Option<String>,
    /// The body, empty for none.
    pub body: Bytes,
    /// Less than what is left of the call; absent = all of it.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A plain `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            query: Vec::new(),
            accept: None,
            content_type: None,
            body: Bytes::new(),
            timeout: None,
        }
    }
}

/// Milliseconds by phase: `dns connect tls first-byte body total`. On a reused connection the first
/// three are absent, not 0.
pub type Phases = Vec<(String, u32)>;

/// An answer of the API server, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Lower-case names; only those of the allow-list in outbound.
    pub headers: Vec<(String, String)>,
    /// The decompressed body.
    pub body: Bytes,
    /// How long each phase took.
    pub phases: Phases,
}

/// Why there is no answer. The words are those of `optikon:host/kube` and of the typed reasons that
/// people see in `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultReason {
    /// The name does not resolve.
    Dns,
    /// Refused, unreachable, reset before TLS was done.
    Connect,
    /// The proxy on the way refused or failed.
    Proxy,
    /// The certificate's issuer is not trusted.
    TlsUntrusted,
    /// The certificate is expired or not yet valid.
    TlsExpired,
    /// The certificate is for another name.
    TlsName,
    /// Any other failure of TLS.
    TlsOther,
    /// The server did not accept our credential.
    Unauthorized,
    /// A deadline passed.
    Timeout,
    /// A body, header or line over its cap.
    TooLarge,
    /// The breaker is open: not asked again yet.
    BreakerOpen,
    /// The connection's rules or the destination policy forbid it; nothing was sent.
    Denied,
    /// The peer does not speak HTTP as it should.
    Protocol,
    /// The credential is bound to another address, CA or TLS name; nothing was sent.
    CredentialUnbound,
    /// The credential cannot be opened (lost key, missing Secret); nothing was sent.
    CredentialUnreadable,
    /// The cluster object has no usable endpoint, CA or proxy; nothing was sent.
    BadConfig,
    /// No pod has the labels that were asked for.
    NoPod,
    /// There is such a pod, and it is not ready.
    PodNotReady,
    /// Several pods are ready where there may be one.
    SeveralPods,
    /// The credential is accepted, and lacks a right that a tunnel needs.
    Forbidden,
    /// The tunnel was refused or cut.
    Tunnel,
    /// The peer at the end of a tunnel does not speak gRPC.
    NotGrpc,
}

impl FaultReason {
    /// The word in WIT (`optikon:host/kube.fault.reason`).
    pub fn wit_word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::TlsUntrusted => "tls-untrusted",
            Self::TlsExpired => "tls-expired",
            Self::TlsName => "tls-name",
            Self::TlsOther => "tls-other",
            Self::Unauthorized => "unauthorized",
            Self::Timeout => "timeout",
            Self::TooLarge => "too-large",
            Self::BreakerOpen => "breaker-open",
            Self::Denied => "denied",
            Self::Protocol => "protocol",
            Self::CredentialUnbound => "credential-unbound",
            Self::CredentialUnreadable => "credential-unreadable",
            Self::BadConfig => "bad-config",
            Self::NoPod => "no-pod",
            Self::PodNotReady => "pod-not-ready",
            Self::SeveralPods => "several-pods",
            Self::Forbidden => "forbidden",
            Self::Tunnel => "tunnel",
            Self::NotGrpc => "not-grpc",
        }
    }

    /// The reason of a word in WIT; none for one that is not known.
    pub fn of_wit_word(word: &str) -> Option<Self> {
        [
            Self::Dns,
            Self::Connect,
            Self::Proxy,
            Self::TlsUntrusted,
            Self::TlsExpired,
            Self::TlsName,
            Self::TlsOther,
            Self::Unauthorized,
            Self::Timeout,
            Self::TooLarge,
            Self::BreakerOpen,
            Self::Denied,
            Self::Protocol,
            Self::CredentialUnbound,
            Self::CredentialUnreadable,
            Self::BadConfig,
            Self::NoPod,
            Self::PodNotReady,
            Self::SeveralPods,
            Self::Forbidden,
            Self::Tunnel,
            Self::NotGrpc,
        ]
        .into_iter()
        .find(|reason| reason.wit_word() == word)
    }

    /// The word that people see as a condition's reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Dns => "Dns",
            Self::Connect => "Connect",
            Self::Proxy => "Proxy",
            Self::TlsUntrusted => "TlsUntrusted",
            Self::TlsExpired => "TlsExpired",
            Self::TlsName => "TlsName",
            Self::TlsOther => "TlsOther",
            Self::Unauthorized => "Unauthorized",
            Self::Timeout => "Timeout",
            Self::TooLarge => "TooLarge",
            Self::BreakerOpen => "BreakerOpen",
            Self::Denied => "Denied",
            Self::Protocol => "NotKubernetes",
            Self::CredentialUnbound => "CredentialUnbound",
            Self::CredentialUnreadable => "CredentialUnreadable",
            Self::BadConfig => "BadConfig",
            Self::NoPod => "NoPod",
            Self::PodNotReady => "PodNotReady",
            Self::SeveralPods => "SeveralPods",
            Self::Forbidden => "Forbidden",
            Self::Tunnel => "TunnelBroken",
            Self::NotGrpc => "NotGrpc",
        }
    }
}

/// A request that got no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What somebody can act on.
    pub reason: FaultReason,
    /// For people: one line, bounded, without secrets.
    pub message: String,
    /// Phases up to the failure.
    pub phases: Phases,
}

impl Fault {
    /// A fault before anything was sent.
    pub fn new(reason: FaultReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            phases: Vec::new(),
        }
    }
}

/// Why a stream of lines did not start.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// No answer.
    Fault(Fault),
    /// An answer that is not 2xx, with its body.
    Refused(Response),
}

/// The lines of a body, without their newline. A fault is the last item.
pub type LineStream = BoxStream<'static, Result<Bytes, Fault>>;

/// Where the objects of one kind live on an API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// `/api/v1` or `/apis/<group>/<version>`.
    pub path_prefix: String,
    /// The resource's plural.
    pub plural: String,
    /// Whether it lives in namespaces.
    pub is_namespaced: bool,
}

/// What may be done over a connection; checked on the parsed path before anything is sent.
///
/// Every role is refused `pods/exec`, `pods/attach`, every `proxy` subresource,
/// `serviceaccounts/token` and impersonation headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// get, list and watch of anything but Secrets.
    Prober,
    /// Everything that Helm needs, Secrets included.
    Charts {
        /// What may be changed.
        writes: Writes,
    },
    /// The registry's own cluster: never Secrets, and only what the grant lists.
    Central {
        /// API group, resource (`*`, or `plural`, or `plural/subresource`) and verbs.
        grants: Vec<ResourceGrant>,
    },
    /// A configured HTTPS base address: everything below one path prefix.
    Upstream {
        /// Path prefix, `/` first.
        path_prefix: String,
    },
    /// The host's own requests (identity, referenced Secrets, renewal of tokens).
    Host,
}

/// What a charts connection may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Nothing: a plan is being prepared or something is read.
    None,
    /// Only with `dryRun=All`.
    DryRun,
    /// Everything.
    All,
}

/// One line of a central grant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ResourceGrant {
    /// API group; the empty text is the core group.
    pub group: String,
    /// `plural` or `plural/subresource`.
    pub resource: String,
    /// Of `get list watch create update patch delete`.
    pub verbs: Vec<String>,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

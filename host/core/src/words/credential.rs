//! How the gateway proves itself to a member, and where that member is.

use super::{ClusterName, Endpoint, Secret, Uid};

/// What a member's API server accepts from us. Only outbound and the vault look inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A bearer token: visible ASCII without spaces.
    Token(Secret<String>),
    /// A client certificate with its key, both PEM.
    ClientCertificate {
        /// PEM, leaf first.
        certificate: String,
        /// PEM.
        key: Secret<String>,
    },
    /// HTTP basic authentication.
    Basic {
        /// Without `:`.
        username: String,
        /// Any visible text.
        password: Secret<String>,
    },
}

/// Everything outbound needs to speak to one member. Built by the use-cases from the registry's
/// object and the vault, after the binding of the credential was checked.
#[derive(Debug, Clone)]
pub struct Member {
    /// For messages only.
    pub name: ClusterName,
    /// What the pooled client, breaker and caches are keyed by.
    pub uid: Uid,
    /// In the order of the object; never empty.
    pub endpoints: Vec<Endpoint>,
    /// PEM bundle; absent = the system's roots.
    pub ca: Option<String>,
    /// The name to verify instead of the address's.
    pub tls_server_name: Option<String>,
    /// `http://host:port` of a proxy for this member.
    pub proxy_url: Option<String>,
    /// Where Tiller is reached without the API server, `host:port`, as objects of 2018 say. Used only where the destination
    /// policy allows it; nothing of the credential goes there.
    pub direct: Option<String>,
    /// Absent = anonymous.
    pub credential: Option<Credential>,
}

impl PartialEq for Member {
    /// Equal when a pooled client built for one serves the other; the name does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.endpoints == other.endpoints
            && self.ca == other.ca
            && self.tls_server_name == other.tls_server_name
            && self.proxy_url == other.proxy_url
            && self.direct == other.direct
            && self.credential == other.credential
    }
}

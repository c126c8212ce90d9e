//! What the operator wrote: one TOML file, overridden by `OPTIKON_…` of the environment
//! (`OPTIKON_SERVER__LISTEN` is `[server] listen`).

mod read;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use optikon_core::{flows::health::Periods, words::Role};
use optikon_outbound::OutboundConfig;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(crate) use read::read;

/// The whole configuration; every part has defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// `text` (default) or `json`.
    pub(crate) log_format: LogFormat,
    /// The listener.
    pub(crate) server: Server,
    /// What fills the slots.
    pub(crate) plugins: Plugins,
    /// Connections to members.
    pub(crate) outbound: OutboundConfig,
    /// The background.
    pub(crate) probing: Probing,
    /// The store.
    pub(crate) store: Store,
    /// Traces.
    pub(crate) telemetry: Telemetry,
    /// The cluster that holds the registry, for plugins that are granted `central`.
    pub(crate) central: Option<Central>,
    /// HTTPS base addresses that plugins may be granted, by name.
    pub(crate) upstreams: BTreeMap<String, Upstream>,
    /// The original API without a token, on a listener of its own.
    pub(crate) v0: V0,
    /// Which charts are taken.
    pub(crate) charts: Charts,
    /// Where credentials of clusters are kept.
    pub(crate) vault: Vault,
}

/// `[charts]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Charts {
    /// OpenPGP public keys, as `gpg --export` writes them, armoured or not; read at the start. A `.prov` that comes with a
    /// chart must be signed by one of them. Absent = no chart's signature is looked at.
    pub(crate) keyring: Option<PathBuf>,
    /// Whether a chart without a signature is refused. Default false; needs `keyring`.
    pub(crate) require_provenance: bool,
}

/// `[vault]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Vault {
    /// Where credentials that are given inline are kept. Default `store`.
    pub(crate) place: Place,
    /// The namespace of the Secrets on the central cluster. Default `optikon`.
    pub(crate) namespace: String,
    /// Writes tokens into the objects on the central cluster, as the tools of cluster-registry v0.0.3 expect. Everybody
    /// who may read clusters there reads them. Default false.
    pub(crate) compatible: bool,
}

/// Where credentials are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// Sealed in the gateway's own store.
    Store,
    /// As Secrets on the central cluster, while the registry is there; else in the store.
    Central,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            place: Place::Store,
            namespace: "optikon".into(),
            compatible: false,
        }
    }
}

/// `[v0]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct V0 {
    /// Where; absent = nowhere. Anything but loopback needs TLS and `allow_anonymous`.
    pub(crate) listen: Option<SocketAddr>,
    /// What everybody may do there. Default viewer.
    pub(crate) role: Role,
    /// Whether others than this machine may come without a token.
    pub(crate) allow_anonymous: bool,
}

impl Default for V0 {
    fn default() -> Self {
        Self {
            listen: None,
            role: Role::Viewer,
            allow_anonymous: false,
        }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// `[server]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// Default 127.0.0.1:7700. Anything but loopback needs TLS.
    pub(crate) listen: SocketAddr,
    /// Names that `Host` may have beside IP addresses and `localhost`.
    pub(crate) hosts: Vec<String>,
    /// Files of the listener's TLS.
    pub(crate) tls: Option<Tls>,
    /// Callers by client certificate.
    pub(crate) certificates: Vec<Certificate>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            hosts: Vec::new(),
            tls: None,
            certificates: Vec::new(),
        }
    }
}

/// `[server.tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM chain, leaf first; read again when it changes.
    pub(crate) cert: PathBuf,
    /// PEM key.
    pub(crate) key: PathBuf,
    /// PEM CA whose client certificates are accepted.
    #[serde(default)]
    pub(crate) client_ca: Option<PathBuf>,
}

/// `[[server.certificates]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The certificate's common name.
    pub(crate) name: String,
    /// What its holder may do.
    pub(crate) role: Role,
    /// Which clusters it may know of; empty = all.
    #[serde(default)]
    pub(crate) selector: String,
}

/// `[plugins]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plugins {
    /// Who decides what fills a slot after the first start.
    pub(crate) managed: Managed,
    /// Where plugin files are; `--plugins-dir` wins. Default: `plugins` beside the binary.
    pub(crate) dir: Option<PathBuf>,
    /// Linear memory of all guests together. Default 1 GiB; calls queue for it.
    pub(crate) total_memory_bytes: u64,
    /// Slots by name. `registry` and `prober` are there by default.
    pub(crate) slots: BTreeMap<String, Slot>,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            managed: Managed::Api,
            dir: None,
            total_memory_bytes: 1 << 30,
            slots: BTreeMap::new(),
        }
    }
}

/// Who decides what fills a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Managed {
    /// The API; the file is the first start's value.
    Api,
    /// The file; swaps by API answer 409.
    File,
}

/// `[plugins.slots.<name>]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slot {
    /// The plugin's name: the file `<plugin>.wasm` in the plugins folder.
    pub(crate) plugin: Option<String>,
    /// `sha256:…` that the file must have; absent = any.
    pub(crate) digest: Option<String>,
    /// The plugin's own configuration, checked against its schema.
    pub(crate) config: Map<String, Value>,
    /// Interfaces of `optikon:host` it may import; absent = what the slot's own shipped plugin asks for, for another one none.
    pub(crate) grants: Option<Vec<String>>,
    /// A charts slot: clusters that this label selector names are served by it, unless their label says otherwise.
    pub(crate) clusters: String,
    /// What `central` may touch; absent = what the plugin asks for.
    pub(crate) central: Option<Vec<optikon_core::words::ResourceGrant>>,
    /// Limits that differ from the defaults.
    pub(crate) limits: Map<String, Value>,
}

/// `[probing]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Probing {
    /// Default 10 s.
    pub(crate) reach_seconds: u64,
    /// Default 60 s.
    pub(crate) nodes_seconds: u64,
    /// Default 300 s.
    pub(crate) workloads_seconds: u64,
}

impl Default for Probing {
    fn default() -> Self {
        Self {
            reach_seconds: 10,
            nodes_seconds: 60,
            workloads_seconds: 300,
        }
    }
}

impl Probing {
    /// As the use-cases want them; never less than a second.
    pub(crate) fn periods(&self) -> Periods {
        let seconds = |n: u64| std::time::Duration::from_secs(n.max(1));
        Periods {
            reach: seconds(self.reach_seconds),
            nodes: seconds(self.nodes_seconds),
            workloads: seconds(self.workloads_seconds),
        }
    }
}

/// `[telemetry]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// `http://host:port` or `https://…` of an OTLP/HTTP collector, below which `/v1/traces` is; absent = no traces.
    pub(crate) otlp_endpoint: Option<String>,
    /// PEM file of its CA; absent = the system's roots.
    pub(crate) otlp_ca: Option<PathBuf>,
    /// Sent with each export, such as a collector's token. Best given by the environment.
    pub(crate) otlp_headers: BTreeMap<String, Header>,
    /// Which share of requests and operations is traced, 0 to 1; those whose caller decided follow it. Default 1.
    pub(crate) sample_ratio: f64,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_ca: None,
            otlp_headers: BTreeMap::new(),
            sample_ratio: 1.0,
        }
    }
}

/// A header's value, which does not print itself.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Header(pub(crate) String);

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Header(..)")
    }
}

/// `[store]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// The vault's key, 32 bytes in hex or base64, instead of `DIR/vault.key`. Best given by the
    /// environment: `OPTIKON_STORE__VAULT_KEY`.
    pub(crate) vault_key: Option<VaultKey>,
}

/// A key that does not print itself.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct VaultKey(pub(crate) String);

impl std::fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VaultKey(..)")
    }
}

/// `[central]`: a kubeconfig, or address and files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Central {
    /// A kubeconfig that holds its credential in itself; read at the start.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Its context; absent = the current one.
    pub(crate) context: Option<String>,
    /// `https://host[:port]`, instead of a kubeconfig.
    pub(crate) server: Option<String>,
    /// PEM file of its CA; absent = the system's roots.
    pub(crate) ca: Option<PathBuf>,
    /// A file that holds a bearer token and nothing else; read again every half minute, as a pod's token changes.
    pub(crate) token_file: Option<PathBuf>,
    /// The name in its certificate, where that is not the address.
    pub(crate) tls_server_name: Option<String>,
    /// A proxy on the way there.
    pub(crate) proxy_url: Option<String>,
    /// Namespaces whose Secrets a cluster of another namespace may name.
    pub(crate) secret_namespaces: Vec<String>,
}

/// `[upstreams.<name>]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// `https://host[:port]`.
    pub(crate) url: String,
    /// Only below this path. Default `/`.
    #[serde(default = "root")]
    pub(crate) path_prefix: String,
    /// PEM file of its CA; absent = the system's roots.
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// A file that holds a bearer token and nothing else; read at the start.
    #[serde(default)]
    pub(crate) token_file: Option<PathBuf>,
}

fn root() -> String {
    "/".into()
}

//! Tiller's messages, written from their field numbers. Where a message comes back with more than is needed, what is
//! not declared is skipped while it is read.

use std::collections::BTreeMap;

use prost::Message;

/// A file of a chart that is no template: the type URL is its name.
#[derive(Clone, PartialEq, Message)]
#[allow(
    missing_docs,
    reason = "the names are those of the protocol, here and below"
)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A chart as Tiller takes it.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Chart {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<Metadata>,
    #[prost(message, repeated, tag = "2")]
    pub templates: Vec<Template>,
    #[prost(message, repeated, tag = "3")]
    pub dependencies: Vec<Chart>,
    #[prost(message, optional, tag = "4")]
    pub values: Option<Config>,
    #[prost(message, repeated, tag = "5")]
    pub files: Vec<Any>,
}

/// What a chart says about itself.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Metadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub home: String,
    #[prost(string, repeated, tag = "3")]
    pub sources: Vec<String>,
    #[prost(string, tag = "4")]
    pub version: String,
    #[prost(string, tag = "5")]
    pub description: String,
    #[prost(string, repeated, tag = "6")]
    pub keywords: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub maintainers: Vec<Maintainer>,
    #[prost(string, tag = "8")]
    pub engine: String,
    #[prost(string, tag = "9")]
    pub icon: String,
    #[prost(string, tag = "10")]
    pub api_version: String,
    #[prost(string, tag = "11")]
    pub condition: String,
    #[prost(string, tag = "12")]
    pub tags: String,
    #[prost(string, tag = "13")]
    pub app_version: String,
    #[prost(bool, tag = "14")]
    pub deprecated: bool,
    #[prost(string, tag = "15")]
    pub tiller_version: String,
    #[prost(btree_map = "string, string", tag = "16")]
    pub annotations: BTreeMap<String, String>,
    #[prost(string, tag = "17")]
    pub kube_version: String,
}

/// Who looks after a chart.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Maintainer {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub email: String,
    #[prost(string, tag = "3")]
    pub url: String,
}

/// One template.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Template {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
}

/// Values, as the text of a YAML document.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Config {
    #[prost(string, tag = "1")]
    pub raw: String,
}

/// One revision.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Release {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub info: Option<Info>,
    #[prost(message, optional, tag = "3")]
    pub chart: Option<Chart>,
    #[prost(message, optional, tag = "4")]
    pub config: Option<Config>,
    #[prost(string, tag = "5")]
    pub manifest: String,
    #[prost(message, repeated, tag = "6")]
    pub hooks: Vec<Hook>,
    #[prost(int32, tag = "7")]
    pub version: i32,
    #[prost(string, tag = "8")]
    pub namespace: String,
}

/// The part of a revision that a list needs.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct ReleaseHead {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub info: Option<Info>,
    #[prost(message, optional, tag = "3")]
    pub chart: Option<ChartHead>,
    #[prost(int32, tag = "7")]
    pub version: i32,
    #[prost(string, tag = "8")]
    pub namespace: String,
}

/// The part of a chart that a list needs.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct ChartHead {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<Metadata>,
}

/// How a revision is.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Info {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub first_deployed: Option<Timestamp>,
    #[prost(message, optional, tag = "3")]
    pub last_deployed: Option<Timestamp>,
    #[prost(message, optional, tag = "4")]
    pub deleted: Option<Timestamp>,
    #[prost(string, tag = "5")]
    pub description: String,
}

/// The state of a revision.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Status {
    #[prost(enumeration = "Code", tag = "1")]
    pub code: i32,
    #[prost(string, tag = "3")]
    pub resources: String,
    #[prost(string, tag = "4")]
    pub notes: String,
}

/// Words of Tiller for states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
#[allow(missing_docs, reason = "as above")]
pub enum Code {
    Unknown = 0,
    Deployed = 1,
    Deleted = 2,
    Superseded = 3,
    Failed = 4,
    Deleting = 5,
    PendingInstall = 6,
    PendingUpgrade = 7,
    PendingRollback = 8,
}

/// An object that runs at some event.
#[derive(Clone, PartialEq, Message)]
#[allow(missing_docs, reason = "as above")]
pub struct Hook {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub path: String,
    #[prost(string, tag = "4")]
    pub manifest: String,
    #[prost(int32, repeated, tag = "5")]
    pub events: Vec<i32>,
    #[prost(message, optional, tag = "6")]
    pub last_run: Option<Timestamp>,
    #[prost(int32, tag = "7")]
    pub weight: i32,
    #[prost(int32, repeated, tag = "8")]
    pub delete_policies: Vec<i32>,
    #[prost(int64, tag = "9")]
    pub delete_timeout: i64,
}

impl Release {
    /// Its state; a number that is not known is `Unknown`.
    #[must_use]
    pub fn code(&self) -> Code {
        code_of(self.info.as_ref())
    }

    /// What somebody wrote about it.
    #[must_use]
    pub fn description(&self) -> &str {
        self.info.as_ref().map_or("", |info| &info.description)
    }

    /// The part that a list needs.
    #[must_use]
    pub fn head(&self) -> ReleaseHead {
        ReleaseHead {
            name: self.name.clone(),
            info: self.info.clone(),
            chart: self.chart.as_ref().map(|chart| ChartHead {
                metadata: chart.metadata.clone(),
            }),
            version: self.version,
            namespace: self.namespace.clone(),
        }
    }
}

/// A revision, whole or not.
pub trait Revision: Message + Default {
    /// The release's name.
    fn name(&self) -> &str;
    /// The release's namespace.
    fn namespace(&self) -> &str;
    /// Its number.
    fn version(&self) -> i32;
}

impl Revision for Release {
    fn name(&self) -> &str {
        &self.name
    }
    fn namespace(&self) -> &str {
        &self.namespace
    }
    fn version(&self) -> i32 {
        self.version
    }
}

impl Revision for ReleaseHead {
    fn name(&self) -> &str {
        &self.name
    }
    fn namespace(&self) -> &str {
        &self.namespace
    }
    fn version(&self) -> i32 {
        self.version
    }
}

impl ReleaseHead {
    /// Its state; a number that is not known is `Unknown`.
    #[must_use]
    pub fn code(&self) -> Code {
        code_of(self.info.as_ref())
    }

    /// What somebody wrote about it.
    #[must_use]
    pub fn description(&self) -> &str {
        self.info.as_ref().map_or("", |info| &info.description)
    }
}

fn code_of(info: Option<&Info>) -> Code {
    let code = info.and_then(|info| info.status.as_ref()).map(|s| s.code);
    code.and_then(|code| Code::try_from(code).ok())
        .unwrap_or(Code::Unknown)
}

impl Code {
    /// Whether somebody is at work, or died at it.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(
            self,
            Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback | Self::Deleting
        )
    }

    /// Helm 3's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Deployed => "deployed",
            Self::Deleted => "uninstalled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Deleting => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
        }
    }

    /// Tiller's own word, as in the labels of its records.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Deployed => "DEPLOYED",
            Self::Deleted => "DELETED",
            Self::Superseded => "SUPERSEDED",
            Self::Failed => "FAILED",
            Self::Deleting => "DELETING",
            Self::PendingInstall => "PENDING_INSTALL",
            Self::PendingUpgrade => "PENDING_UPGRADE",
            Self::PendingRollback => "PENDING_ROLLBACK",
        }
    }
}

/// Decodes a message.
///
/// # Errors
/// `unavailable` with the reason `not-tiller` when the bytes are none.
pub fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, optikon_plugin_sdk::Error> {
    M::decode(bytes).map_err(|_| {
        optikon_plugin_sdk::Error::unavailable(
            "what answers is not Tiller: its message does not parse",
        )
        .with("reason", "not-tiller")
    })
}

//! Facts that write down what was asked of them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use helm_functions::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme};

use crate::capabilities::KubeVersion;
use crate::facts::Facts;

/// One thing that a rendering depended on, with the answer where the answer is a fact of the target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// The release's name.
    ReleaseName(String),
    /// The release's namespace.
    ReleaseNamespace(String),
    /// The revision.
    ReleaseRevision(i64),
    /// Whether the release exists already.
    IsUpgrade(bool),
    /// The cluster's version.
    KubeVersion(String),
    /// Whether the cluster knows one API version.
    HasApiVersion(String, bool),
    /// All API versions of the cluster.
    ApiVersions(Vec<String>),
    /// An object of the cluster: API version, kind, namespace, name.
    Lookup(String, String, String, String),
    /// The clock.
    Clock,
    /// Random bytes.
    Random,
    /// A new key or a signature.
    Keys,
}

impl Read {
    /// Whether a second rendering for the same target would be another one.
    #[must_use]
    pub fn is_impure(&self) -> bool {
        matches!(
            self,
            Self::Lookup(..) | Self::Clock | Self::Random | Self::Keys
        )
    }
}

/// Passes everything on to other facts and keeps what was asked.
pub struct Recorder {
    facts: Rc<dyn Facts>,
    reads: RefCell<BTreeSet<Read>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// Records what is asked of these facts.
    #[must_use]
    pub fn new(facts: Rc<dyn Facts>) -> Self {
        Self {
            facts,
            reads: RefCell::default(),
        }
    }

    /// What was asked so far, each once.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<Read> {
        self.reads.borrow().clone()
    }

    fn note(&self, read: Read) {
        self.reads.borrow_mut().insert(read);
    }
}

impl Facts for Recorder {
    fn release_name(&self) -> String {
        let name = self.facts.release_name();
        self.note(Read::ReleaseName(name.clone()));
        name
    }

    fn release_namespace(&self) -> String {
        let namespace = self.facts.release_namespace();
        self.note(Read::ReleaseNamespace(namespace.clone()));
        namespace
    }

    fn release_revision(&self) -> i64 {
        let revision = self.facts.release_revision();
        self.note(Read::ReleaseRevision(revision));
        revision
    }

    fn is_upgrade(&self) -> bool {
        let is_upgrade = self.facts.is_upgrade();
        self.note(Read::IsUpgrade(is_upgrade));
        is_upgrade
    }

    fn kube_version(&self) -> KubeVersion {
        let version = self.facts.kube_version();
        self.note(Read::KubeVersion(version.version.clone()));
        version
    }

    fn has_api_version(&self, api_version: &str) -> bool {
        let has = self.facts.has_api_version(api_version);
        self.note(Read::HasApiVersion(api_version.to_owned(), has));
        has
    }

    fn api_versions(&self) -> Vec<String> {
        let versions = self.facts.api_versions();
        self.note(Read::ApiVersions(versions.clone()));
        versions
    }
}

impl Environment for Recorder {
    fn now(&self) -> i128 {
        self.note(Read::Clock);
        self.facts.now()
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError> {
        self.note(Read::Random);
        self.facts.random(buffer)
    }

    fn generate_key(&self, algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        self.note(Read::Keys);
        self.facts.generate_key(algorithm)
    }

    fn sign(
        &self,
        key: &[u8],
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError> {
        self.note(Read::Keys);
        self.facts.sign(key, scheme, message)
    }

    fn public_key(&self, key: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        self.facts.public_key(key)
    }

    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, EnvironmentError> {
        self.note(Read::Lookup(
            api_version.to_owned(),
            kind.to_owned(),
            namespace.to_owned(),
            name.to_owned(),
        ));
        self.facts.lookup(api_version, kind, namespace, name)
    }
}

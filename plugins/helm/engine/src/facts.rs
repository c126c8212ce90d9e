//! What a rendering may depend on beside the chart and its values.

use std::fmt;
use std::rc::Rc;

use helm_functions::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme};

use crate::capabilities::{DEFAULT_API_VERSIONS, KubeVersion};

/// The outside of a rendering: the release, the cluster, and through [`Environment`] clock,
/// randomness, keys and lookups. A method is called only when a template really asks for its fact
/// (or the chart constrains the cluster's version), so an implementation sees all that a
/// rendering depended on: where two sets of facts agree in what was asked, one rendering serves both.
pub trait Facts: Environment {
    /// The release's name.
    fn release_name(&self) -> String;

    /// The release's namespace.
    fn release_namespace(&self) -> String;

    /// The revision the release will have; 1 for a new one.
    fn release_revision(&self) -> i64;

    /// Whether an existing release is changed; otherwise one is installed.
    fn is_upgrade(&self) -> bool;

    /// The cluster's version.
    fn kube_version(&self) -> KubeVersion;

    /// Whether the cluster knows `group/version`, or on a live cluster `group/version/Kind`.
    fn has_api_version(&self, api_version: &str) -> bool;

    /// Everything that [`Facts::has_api_version`] says yes to, in the order templates see it.
    fn api_versions(&self) -> Vec<String>;
}

/// Facts that are known beforehand, the defaults being those of `helm template`; clock and the like
/// come from another environment.
#[derive(Clone)]
pub struct StaticFacts {
    /// The release's name.
    pub name: String,
    /// The release's namespace.
    pub namespace: String,
    /// The revision.
    pub revision: i64,
    /// Whether the release exists already.
    pub is_upgrade: bool,
    /// The cluster's version.
    pub kube_version: KubeVersion,
    /// API versions beside the default ones.
    pub extra_api_versions: Vec<String>,
    /// Clock, randomness, keys and lookups.
    pub environment: Rc<dyn Environment>,
}

impl fmt::Debug for StaticFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticFacts")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("revision", &self.revision)
            .field("is_upgrade", &self.is_upgrade)
            .field("kube_version", &self.kube_version)
            .field("extra_api_versions", &self.extra_api_versions)
            .finish_non_exhaustive()
    }
}

impl StaticFacts {
    /// A first revision on a cluster as Helm assumes it.
    pub fn new(
        name: impl Into<String>,
        namespace: impl Into<String>,
        environment: Rc<dyn Environment>,
    ) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            revision: 1,
            is_upgrade: false,
            kube_version: KubeVersion::default(),
            extra_api_versions: Vec::new(),
            environment,
        }
    }
}

impl Facts for StaticFacts {
    fn release_name(&self) -> String {
        self.name.clone()
    }

    fn release_namespace(&self) -> String {
        self.namespace.clone()
    }

    fn release_revision(&self) -> i64 {
        self.revision
    }

    fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }

    fn kube_version(&self) -> KubeVersion {
        self.kube_version.clone()
    }

    fn has_api_version(&self, api_version: &str) -> bool {
        DEFAULT_API_VERSIONS.contains(&api_version)
            || self
                .extra_api_versions
                .iter()
                .any(|extra| extra == api_version)
    }

    fn api_versions(&self) -> Vec<String> {
        let known = DEFAULT_API_VERSIONS.iter().map(|known| (*known).to_owned());
        known
            .chain(self.extra_api_versions.iter().cloned())
            .collect()
    }
}

impl Environment for StaticFacts {
    fn now(&self) -> i128 {
        self.environment.now()
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError> {
        self.environment.random(buffer)
    }

    fn generate_key(&self, algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        self.environment.generate_key(algorithm)
    }

    fn sign(
        &self,
        key: &[u8],
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError> {
        self.environment.sign(key, scheme, message)
    }

    fn public_key(&self, key: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        self.environment.public_key(key)
    }

    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, EnvironmentError> {
        self.environment.lookup(api_version, kind, namespace, name)
    }
}

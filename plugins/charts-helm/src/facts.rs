//! What templates see of the outside: the target's facts, the host's clock and dice, and objects that were looked up.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};

use helm_engine::{Facts, KubeVersion};
use helm_functions::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme};
use serde_json::Value;

use crate::world::Target;

/// API version, kind, namespace and name of what a template looked up.
pub(crate) type Lookup = (String, String, String, String);

/// Facts of one rendering. A rendering cannot wait, so a lookup that has no answer yet finds nothing and is noted; the
/// caller fetches what is missing and renders again.
pub(crate) struct RenderFacts<T> {
    target: Rc<T>,
    environment: Rc<dyn Environment>,
    /// Instead of what the host means to do: is it an upgrade, and to which revision.
    action: Option<(bool, u32)>,
    is_live: bool,
    known: RefCell<BTreeMap<Lookup, Value>>,
    missing: RefCell<BTreeSet<Lookup>>,
    revision: Cell<Option<u32>>,
    is_upgrade: Cell<Option<bool>>,
    /// Sorted; asked for once, as it is a thousand texts.
    versions: OnceCell<Vec<String>>,
}

impl<T> fmt::Debug for RenderFacts<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderFacts")
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

impl<T: Target> RenderFacts<T> {
    /// `is_live` says whether there is a cluster to look things up in.
    pub(crate) fn new(
        target: Rc<T>,
        environment: Rc<dyn Environment>,
        action: Option<(bool, u32)>,
        is_live: bool,
    ) -> Self {
        Self {
            target,
            environment,
            action,
            is_live,
            known: RefCell::default(),
            missing: RefCell::default(),
            revision: Cell::new(None),
            is_upgrade: Cell::new(None),
            versions: OnceCell::new(),
        }
    }

    /// What was looked up and is not known, and forgets it.
    pub(crate) fn take_missing(&self) -> BTreeSet<Lookup> {
        std::mem::take(&mut self.missing.borrow_mut())
    }

    /// Keeps the answer to a lookup.
    pub(crate) fn learn(&self, lookup: Lookup, found: Value) {
        self.known.borrow_mut().insert(lookup, found);
    }

    /// The revision that templates were told, if any asked.
    pub(crate) fn revision_read(&self) -> Option<u32> {
        self.revision.get()
    }

    /// What templates were told the action is, if any asked.
    pub(crate) fn is_upgrade_read(&self) -> Option<bool> {
        self.is_upgrade.get()
    }
}

impl<T: Target> RenderFacts<T> {
    fn versions(&self) -> &[String] {
        self.versions.get_or_init(|| {
            let mut versions = self.target.api_versions();
            if versions.is_empty() {
                versions = helm_engine::DEFAULT_API_VERSIONS
                    .iter()
                    .map(|v| (*v).to_owned())
                    .collect();
            }
            // In the order they were given: a template may print them.
            versions
        })
    }
}

impl<T: Target> Facts for RenderFacts<T> {
    fn release_name(&self) -> String {
        self.target.release()
    }

    fn release_namespace(&self) -> String {
        self.target.namespace()
    }

    fn release_revision(&self) -> i64 {
        let revision = self
            .action
            .map_or_else(|| self.target.revision(), |(_, revision)| revision);
        self.revision.set(Some(revision));
        i64::from(revision)
    }

    fn is_upgrade(&self) -> bool {
        let asked = || self.target.action() == "upgrade";
        let is_upgrade = self.action.map_or_else(asked, |(is_upgrade, _)| is_upgrade);
        self.is_upgrade.set(Some(is_upgrade));
        is_upgrade
    }

    fn kube_version(&self) -> KubeVersion {
        // What nobody knows is what Helm assumes without a cluster.
        KubeVersion::parse(&self.target.kube_version()).unwrap_or_default()
    }

    fn has_api_version(&self, api_version: &str) -> bool {
        self.versions().iter().any(|known| known == api_version)
    }

    fn api_versions(&self) -> Vec<String> {
        self.versions().to_vec()
    }
}

impl<T: Target> Environment for RenderFacts<T> {
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
    ) -> Result<Value, EnvironmentError> {
        let nothing = || Value::Object(serde_json::Map::new());
        if !self.is_live {
            return Ok(nothing());
        }
        let lookup = (
            api_version.into(),
            kind.into(),
            namespace.into(),
            name.into(),
        );
        if let Some(found) = self.known.borrow().get(&lookup) {
            return Ok(found.clone());
        }
        self.missing.borrow_mut().insert(lookup);
        Ok(nothing())
    }
}

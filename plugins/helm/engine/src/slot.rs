//! Where the functions of a parsed chart find the outside of the rendering that is running.

use std::cell::RefCell;
use std::rc::Rc;

use helm_functions::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme};

use crate::facts::Facts;

/// Functions are bound when templates are parsed, facts come with each rendering: this joins them.
#[derive(Default)]
pub(crate) struct Slot(RefCell<Option<Rc<dyn Facts>>>);

/// Empties the slot when the rendering ends.
pub(crate) struct Installed<'a>(&'a Slot);

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        self.0.0.replace(None);
    }
}

impl Slot {
    pub(crate) fn install(&self, facts: Rc<dyn Facts>) -> Installed<'_> {
        self.0.replace(Some(facts));
        Installed(self)
    }

    fn facts(&self) -> Result<Rc<dyn Facts>, EnvironmentError> {
        let facts = self.0.borrow().clone();
        facts.ok_or_else(|| EnvironmentError("no rendering is running".into()))
    }
}

impl Environment for Slot {
    fn now(&self) -> i128 {
        self.facts().map(|facts| facts.now()).unwrap_or_default()
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError> {
        self.facts()?.random(buffer)
    }

    fn generate_key(&self, algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        self.facts()?.generate_key(algorithm)
    }

    fn sign(
        &self,
        key: &[u8],
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError> {
        self.facts()?.sign(key, scheme, message)
    }

    fn public_key(&self, key: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        self.facts()?.public_key(key)
    }

    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, EnvironmentError> {
        self.facts()?.lookup(api_version, kind, namespace, name)
    }
}

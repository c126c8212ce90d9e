//! The host's functions behind the traits that everything else is written on.

use helm_functions::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme};
use optikon_plugin_sdk::{
    Error, call, charts, clock,
    private_keys::{self, Algorithm, Scheme},
    progress, random,
};
use serde_json::{Map, Value};

use crate::world::{Target, World};

/// The most that the host gives at once.
const MAX_RANDOM: usize = 65_536;

/// The call that is served.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostWorld;

impl World for HostWorld {
    fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    async fn sleep(&self, ms: u32) {
        clock::sleep(ms).await;
    }

    fn report(&self, phase: &str, message: &str, done: usize, total: usize) {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        progress::report(phase, message, count(done), count(total));
    }

    fn operation(&self) -> Option<String> {
        call::operation()
    }

    fn remaining_ms(&self) -> Option<u64> {
        call::remaining_ms()
    }
}

impl Target for charts::Target {
    fn release(&self) -> String {
        Self::release(self)
    }

    fn namespace(&self) -> String {
        Self::namespace(self)
    }

    fn action(&self) -> String {
        Self::action(self)
    }

    fn revision(&self) -> u32 {
        Self::revision(self)
    }

    fn kube_version(&self) -> String {
        Self::kube_version(self)
    }

    fn api_versions(&self) -> Vec<String> {
        Self::api_versions(self)
    }
}

/// Clock, dice and keys of templates. Lookups are answered before they come here.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostEnvironment;

fn failed(error: Error) -> EnvironmentError {
    EnvironmentError(error.message)
}

impl Environment for HostEnvironment {
    fn now(&self) -> i128 {
        i128::from(clock::now_ms()) * 1_000_000
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError> {
        for part in buffer.chunks_mut(MAX_RANDOM) {
            let bytes = random::bytes(u32::try_from(part.len()).unwrap_or_default());
            if bytes.len() != part.len() {
                return Err(EnvironmentError(
                    "the host gave too few random bytes".to_owned(),
                ));
            }
            part.copy_from_slice(&bytes);
        }
        Ok(())
    }

    fn generate_key(&self, algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        let algorithm = match algorithm {
            KeyAlgorithm::Rsa(2048) => Algorithm::Rsa2048,
            KeyAlgorithm::Rsa(3072) => Algorithm::Rsa3072,
            KeyAlgorithm::Rsa(4096) => Algorithm::Rsa4096,
            KeyAlgorithm::EcdsaP256 => Algorithm::EcdsaP256,
            KeyAlgorithm::Ed25519 => Algorithm::Ed25519,
            KeyAlgorithm::Rsa(_) | KeyAlgorithm::Dsa => {
                return Err(EnvironmentError(
                    "keys of this sort cannot be made here".to_owned(),
                ));
            }
        };
        private_keys::generate(algorithm).map_err(failed)
    }

    fn sign(
        &self,
        key: &[u8],
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError> {
        let scheme = match scheme {
            SignatureScheme::RsaSha256 => Scheme::RsaPkcs1Sha256,
            SignatureScheme::EcdsaSha256 => Scheme::EcdsaSha256,
            SignatureScheme::EcdsaSha384 => Scheme::EcdsaSha384,
            SignatureScheme::EcdsaSha512 => Scheme::EcdsaSha512,
            SignatureScheme::Ed25519 => Scheme::Ed25519,
        };
        private_keys::sign(key, scheme, message).map_err(failed)
    }

    fn public_key(&self, key: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        private_keys::public_key(key).map_err(failed)
    }

    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<Value, EnvironmentError> {
        Ok(Value::Object(Map::new()))
    }
}

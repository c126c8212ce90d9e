//! The environment of the machine itself, for command lines and tests; there is no cluster.

use std::time::{SystemTime, UNIX_EPOCH};

use dsa::{Components, KeySize, SigningKey as DsaKey};
use ed25519_dalek::{Signer as _, SigningKey as Ed25519Key};
use rand_core::{OsRng, RngCore};
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey as RsaSigner;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::signature::SignatureEncoding;
use sha2::Sha256;

use crate::environment::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme};

/// Clock, randomness and keys of this machine. A `lookup` finds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NativeEnvironment;

fn failed(error: impl std::fmt::Display) -> EnvironmentError {
    EnvironmentError(error.to_string())
}

impl Environment for NativeEnvironment {
    fn now(&self) -> i128 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
        }
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError> {
        OsRng.try_fill_bytes(buffer).map_err(failed)
    }

    fn generate_key(&self, algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError> {
        let document = match algorithm {
            KeyAlgorithm::Rsa(bits) => RsaPrivateKey::new(&mut OsRng, bits)
                .map_err(failed)?
                .to_pkcs8_der(),
            KeyAlgorithm::EcdsaP256 => p256::SecretKey::random(&mut OsRng).to_pkcs8_der(),
            KeyAlgorithm::Ed25519 => Ed25519Key::generate(&mut OsRng).to_pkcs8_der(),
            KeyAlgorithm::Dsa => {
                let components = Components::generate(&mut OsRng, KeySize::DSA_2048_256);
                DsaKey::generate(&mut OsRng, components).to_pkcs8_der()
            }
        };
        Ok(document.map_err(failed)?.as_bytes().to_vec())
    }

    fn sign(
        &self,
        key: &[u8],
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError> {
        Ok(match scheme {
            SignatureScheme::RsaSha256 => {
                let key = RsaPrivateKey::from_pkcs8_der(key).map_err(failed)?;
                RsaSigner::<Sha256>::new(key)
                    .try_sign(message)
                    .map_err(failed)?
                    .to_vec()
            }
            SignatureScheme::EcdsaSha256 => {
                let key = p256::ecdsa::SigningKey::from_pkcs8_der(key).map_err(failed)?;
                let signature: p256::ecdsa::DerSignature = key.try_sign(message).map_err(failed)?;
                signature.as_bytes().to_vec()
            }
            SignatureScheme::EcdsaSha384 => {
                let key = p384::ecdsa::SigningKey::from_pkcs8_der(key).map_err(failed)?;
                let signature: p384::ecdsa::DerSignature = key.try_sign(message).map_err(failed)?;
                signature.as_bytes().to_vec()
            }
            SignatureScheme::EcdsaSha512 => {
                let secret = p521::SecretKey::from_pkcs8_der(key).map_err(failed)?;
                let key =
                    p521::ecdsa::SigningKey::from_slice(&secret.to_bytes()).map_err(failed)?;
                let signature: p521::ecdsa::Signature = key.try_sign(message).map_err(failed)?;
                signature.to_der().as_bytes().to_vec()
            }
            SignatureScheme::Ed25519 => {
                let key = Ed25519Key::from_pkcs8_der(key).map_err(failed)?;
                key.try_sign(message).map_err(failed)?.to_bytes().to_vec()
            }
        })
    }

    fn public_key(&self, key: &[u8]) -> Result<Vec<u8>, EnvironmentError> {
        let document = if let Ok(key) = RsaPrivateKey::from_pkcs8_der(key) {
            key.to_public_key().to_public_key_der()
        } else if let Ok(key) = p256::SecretKey::from_pkcs8_der(key) {
            key.public_key().to_public_key_der()
        } else if let Ok(key) = p384::SecretKey::from_pkcs8_der(key) {
            key.public_key().to_public_key_der()
        } else if let Ok(key) = p521::SecretKey::from_pkcs8_der(key) {
            key.public_key().to_public_key_der()
        } else if let Ok(key) = Ed25519Key::from_pkcs8_der(key) {
            key.verifying_key().to_public_key_der()
        } else if let Ok(key) = DsaKey::from_pkcs8_der(key) {
            key.verifying_key().to_public_key_der()
        } else {
            return Err(EnvironmentError("unsupported private key".to_owned()));
        };
        Ok(document.map_err(failed)?.as_bytes().to_vec())
    }

    fn lookup(
        &self,
        _api_version: &str,
        _kind: &str,
        _namespace: &str,
        _name: &str,
    ) -> Result<serde_json::Value, EnvironmentError> {
        Ok(serde_json::json!({}))
    }
}

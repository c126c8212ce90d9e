//! `keys`: private keys, made and used on threads that may block; nothing is kept.

use ed25519_dalek::{Signer as _, SigningKey as Ed25519Key};
use rand_core_06::OsRng;
use rsa::{
    RsaPrivateKey,
    pkcs1v15::SigningKey as RsaSigner,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, SecretDocument},
    sha2::{Digest, Sha256, Sha384, Sha512},
    signature::{SignatureEncoding, hazmat::PrehashSigner},
};
use wasmtime::component::{Accessor, HasSelf};

use crate::{
    bindings::host::optikon::{
        common::types::{Error, ErrorCode},
        host::keys::{self, Algorithm, Scheme},
    },
    state::Ctx,
};

impl keys::Host for Ctx {}

type Made = Result<Vec<u8>, Error>;

fn error(code: ErrorCode, message: impl std::fmt::Display) -> Error {
    Error {
        code,
        message: message.to_string(),
        details: Vec::new(),
    }
}

fn invalid(problem: impl std::fmt::Display) -> Error {
    error(
        ErrorCode::Invalid,
        format!("the key does not serve here: {problem}"),
    )
}

/// Blocks: RSA takes up to seconds.
fn generate(algorithm: Algorithm) -> Made {
    let unmade = |problem: &dyn std::fmt::Display| {
        error(
            ErrorCode::Internal,
            format!("a key cannot be made: {problem}"),
        )
    };
    let rsa = |bits| match RsaPrivateKey::new(&mut OsRng, bits) {
        Ok(key) => key.to_pkcs8_der().map_err(|e| unmade(&e)),
        Err(problem) => Err(unmade(&problem)),
    };
    let document: SecretDocument = match algorithm {
        Algorithm::Rsa2048 => rsa(2048)?,
        Algorithm::Rsa3072 => rsa(3072)?,
        Algorithm::Rsa4096 => rsa(4096)?,
        Algorithm::EcdsaP256 => p256::SecretKey::random(&mut OsRng)
            .to_pkcs8_der()
            .map_err(|e| unmade(&e))?,
        Algorithm::EcdsaP384 => p384::SecretKey::random(&mut OsRng)
            .to_pkcs8_der()
            .map_err(|e| unmade(&e))?,
        Algorithm::EcdsaP521 => p521::SecretKey::random(&mut OsRng)
            .to_pkcs8_der()
            .map_err(|e| unmade(&e))?,
        Algorithm::Ed25519 => Ed25519Key::generate(&mut OsRng)
            .to_pkcs8_der()
            .map_err(|e| unmade(&e))?,
    };
    Ok(document.as_bytes().to_vec())
}

fn public_key(key: &[u8]) -> Made {
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
    } else {
        return Err(invalid("it is no PKCS #8 key of RSA, ECDSA or Ed25519"));
    };
    Ok(document.map_err(invalid)?.into_vec())
}

/// ECDSA over a digest, in DER.
fn ecdsa(key: &[u8], digest: &[u8]) -> Made {
    if let Ok(key) = p256::SecretKey::from_pkcs8_der(key) {
        let signer = p256::ecdsa::SigningKey::from(&key);
        let signature: p256::ecdsa::Signature = signer.sign_prehash(digest).map_err(invalid)?;
        return Ok(signature.to_der().as_bytes().to_vec());
    }
    if let Ok(key) = p384::SecretKey::from_pkcs8_der(key) {
        let signer = p384::ecdsa::SigningKey::from(&key);
        let signature: p384::ecdsa::Signature = signer.sign_prehash(digest).map_err(invalid)?;
        return Ok(signature.to_der().as_bytes().to_vec());
    }
    let key = p521::SecretKey::from_pkcs8_der(key).map_err(invalid)?;
    let signer = p521::ecdsa::SigningKey::from_bytes(&key.to_bytes()).map_err(invalid)?;
    let signature: p521::ecdsa::Signature = signer.sign_prehash(digest).map_err(invalid)?;
    Ok(signature.to_der().as_bytes().to_vec())
}

fn sign(key: &[u8], scheme: Scheme, message: &[u8]) -> Made {
    match scheme {
        Scheme::RsaPkcs1Sha256 => {
            let key = RsaPrivateKey::from_pkcs8_der(key).map_err(invalid)?;
            let signer = RsaSigner::<Sha256>::new(key);
            let signature = rsa::signature::Signer::try_sign(&signer, message).map_err(invalid)?;
            Ok(signature.to_vec())
        }
        Scheme::RsaPkcs1Sha512 => {
            let key = RsaPrivateKey::from_pkcs8_der(key).map_err(invalid)?;
            let signer = RsaSigner::<Sha512>::new(key);
            let signature = rsa::signature::Signer::try_sign(&signer, message).map_err(invalid)?;
            Ok(signature.to_vec())
        }
        Scheme::EcdsaSha256 => ecdsa(key, &Sha256::digest(message)),
        Scheme::EcdsaSha384 => ecdsa(key, &Sha384::digest(message)),
        Scheme::EcdsaSha512 => ecdsa(key, &Sha512::digest(message)),
        Scheme::Ed25519 => {
            let key = Ed25519Key::from_pkcs8_der(key).map_err(invalid)?;
            Ok(key.sign(message).to_bytes().to_vec())
        }
    }
}

/// Counts as a host request, is noted, and runs where blocking is no harm.
async fn run<T: Send>(
    accessor: &Accessor<T, HasSelf<Ctx>>,
    bytes: usize,
    work: impl FnOnce() -> Made + Send + 'static,
) -> wasmtime::Result<Made> {
    let requests = accessor.with(|mut access| {
        let ctx: &mut Ctx = access.get();
        ctx.serving.note_impure();
        std::sync::Arc::clone(&ctx.serving.requests)
    });
    let _place = requests.begin(bytes as u64).await?;
    Ok(tokio::task::spawn_blocking(work).await?)
}

impl<T: Send> keys::HostWithStore<T> for HasSelf<Ctx> {
    async fn generate(
        accessor: &Accessor<T, Self>,
        algorithm: Algorithm,
    ) -> wasmtime::Result<Made> {
        run(accessor, 0, move || generate(algorithm)).await
    }

    async fn public_key(accessor: &Accessor<T, Self>, key: Vec<u8>) -> wasmtime::Result<Made> {
        run(accessor, key.len(), move || public_key(&key)).await
    }

    async fn sign(
        accessor: &Accessor<T, Self>,
        key: Vec<u8>,
        scheme: Scheme,
        message: Vec<u8>,
    ) -> wasmtime::Result<Made> {
        run(accessor, key.len() + message.len(), move || {
            sign(&key, scheme, &message)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sign_what_their_public_half_verifies() {
        for (algorithm, scheme) in [
            (Algorithm::EcdsaP256, Scheme::EcdsaSha256),
            (Algorithm::EcdsaP384, Scheme::EcdsaSha384),
            (Algorithm::EcdsaP521, Scheme::EcdsaSha512),
            (Algorithm::Ed25519, Scheme::Ed25519),
        ] {
            let key = generate(algorithm).unwrap();
            assert!(!public_key(&key).unwrap().is_empty());
            assert!(!sign(&key, scheme, b"text").unwrap().is_empty());
        }
        let key = generate(Algorithm::EcdsaP256).unwrap();
        let signature = sign(&key, Scheme::EcdsaSha256, b"text").unwrap();
        let public = <p256::PublicKey as rsa::pkcs8::DecodePublicKey>::from_public_key_der(
            &public_key(&key).unwrap(),
        )
        .unwrap();
        let verifier = p256::ecdsa::VerifyingKey::from(public);
        let signature = p256::ecdsa::Signature::from_der(&signature).unwrap();
        assert!(rsa::signature::Verifier::verify(&verifier, b"text", &signature).is_ok());
    }

    #[test]
    fn a_key_of_another_sort_is_refused() {
        let key = generate(Algorithm::Ed25519).unwrap();
        assert_eq!(
            sign(&key, Scheme::RsaPkcs1Sha256, b"x").unwrap_err().code,
            ErrorCode::Invalid
        );
        assert_eq!(public_key(b"none").unwrap_err().code, ErrorCode::Invalid);
    }
}

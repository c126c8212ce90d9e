//! Everything a function may need from outside: clock, randomness, keys, the cluster.

use helm_template::Error;

/// A sort of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA with this many bits.
    Rsa(usize),
    /// ECDSA on the curve P-256.
    EcdsaP256,
    /// Ed25519.
    Ed25519,
    /// DSA with 2048 bits and a subgroup of 256.
    Dsa,
}

/// How a message is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureScheme {
    /// PKCS#1 v1.5 with SHA-256.
    RsaSha256,
    /// ECDSA with SHA-256, the signature in DER.
    EcdsaSha256,
    /// ECDSA with SHA-384, the signature in DER.
    EcdsaSha384,
    /// ECDSA with SHA-512, the signature in DER.
    EcdsaSha512,
    /// Plain Ed25519.
    Ed25519,
}

/// What the environment could not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EnvironmentError(pub String);

impl From<EnvironmentError> for Error {
    fn from(error: EnvironmentError) -> Self {
        Self::new(error.0)
    }
}

/// The outside of a rendering. Each method is called only when a template really asks, in the order
/// in which it asks, so that an implementation sees all a rendering depended on.
pub trait Environment {
    /// Nanoseconds since 1970. The local zone is always UTC.
    fn now(&self) -> i128;

    /// Fills the buffer with random bytes fit for secrets.
    ///
    /// # Errors
    /// When there is no source of randomness.
    fn random(&self, buffer: &mut [u8]) -> Result<(), EnvironmentError>;

    /// A new private key in PKCS#8 DER.
    ///
    /// # Errors
    /// When this sort of key cannot be made here.
    fn generate_key(&self, algorithm: KeyAlgorithm) -> Result<Vec<u8>, EnvironmentError>;

    /// Signs the message (not its digest) with a private key in PKCS#8 DER.
    ///
    /// # Errors
    /// When the key is unusable or does not fit the scheme.
    fn sign(
        &self,
        key: &[u8],
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, EnvironmentError>;

    /// The public half of a private key in PKCS#8 DER, as SubjectPublicKeyInfo DER.
    ///
    /// # Errors
    /// When the key is unusable.
    fn public_key(&self, key: &[u8]) -> Result<Vec<u8>, EnvironmentError>;

    /// One object of the cluster, or with an empty name a list of them; an empty object when
    /// there is none or no cluster.
    ///
    /// # Errors
    /// When the cluster could not be asked; the text becomes part of the rendering's error.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, EnvironmentError>;
}

/// An even choice below `bound`, which is above 0.
pub(crate) fn random_below(environment: &dyn Environment, bound: u64) -> Result<u64, Error> {
    // Values above the last whole multiple would favour small results.
    let limit = u64::MAX - u64::MAX % bound.max(1);
    for _ in 0..128 {
        let mut bytes = [0; 8];
        environment.random(&mut bytes)?;
        let value = u64::from_le_bytes(bytes);
        if value < limit {
            return Ok(value % bound.max(1));
        }
    }
    Err(Error::new("the source of randomness repeats itself"))
}

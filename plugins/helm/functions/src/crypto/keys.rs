//! Private keys: made by the environment, held as PKCS#8, written in the PEM form Go chooses.

use std::rc::Rc;

use helm_template::{Error, Functions, Signature, Type, Value};

use super::EXPENSIVE;
use super::der::{self, BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE, expect, sequence, tlv};
use super::pem;
use crate::args::text;
use crate::environment::{Environment, KeyAlgorithm, SignatureScheme};

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const ZERO: &[u8] = &[INTEGER, 1, 0];

pub(super) fn register(functions: &mut Functions, environment: &Rc<dyn Environment>) {
    let own = Rc::clone(environment);
    functions.add(
        "genPrivateKey",
        Signature::fixed(&[Type::Str]),
        move |context, args| {
            let sort = text(args, 0)?;
            let algorithm = match sort.as_bytes() {
                b"" | b"rsa" => KeyAlgorithm::Rsa(4096),
                b"dsa" => KeyAlgorithm::Dsa,
                b"ecdsa" => KeyAlgorithm::EcdsaP256,
                b"ed25519" => KeyAlgorithm::Ed25519,
                other => return Ok(Value::Str([b"Unknown type ", other].concat().into())),
            };
            context.charge(EXPENSIVE * 4)?;
            Ok(PrivateKey::generate(own.as_ref(), algorithm)?
                .to_pem(own.as_ref())?
                .into())
        },
    );
}

/// A private key in PKCS#8 DER, looked into far enough to know its sort.
#[derive(Debug, Clone)]
pub(super) struct PrivateKey {
    pub(super) pkcs8: Vec<u8>,
    algorithm: Vec<u8>,
    /// Encoded parameters, empty if there are none.
    parameters: Vec<u8>,
    inner: Vec<u8>,
}

impl PrivateKey {
    pub(super) fn generate(
        environment: &dyn Environment,
        algorithm: KeyAlgorithm,
    ) -> Result<Self, Error> {
        let pkcs8 = environment.generate_key(algorithm)?;
        Self::from_pkcs8(&pkcs8).ok_or_else(|| Error::new("the generated key is no PKCS#8"))
    }

    fn from_pkcs8(mut pkcs8: &[u8]) -> Option<Self> {
        let whole = pkcs8.to_vec();
        let mut key = expect(&mut pkcs8, SEQUENCE)?.content;
        expect(&mut key, INTEGER)?;
        let mut identifier = expect(&mut key, SEQUENCE)?.content;
        let algorithm = expect(&mut identifier, OID)?.content.to_vec();
        let parameters = identifier.to_vec();
        let inner = expect(&mut key, OCTET_STRING)?.content.to_vec();
        Some(Self {
            pkcs8: whole,
            algorithm,
            parameters,
            inner,
        })
    }

    fn wrap(algorithm: &[u8], parameters: &[u8], inner: &[u8]) -> Self {
        let identifier = sequence(&[&tlv(OID, algorithm), parameters]);
        Self {
            pkcs8: sequence(&[ZERO, &identifier, &tlv(OCTET_STRING, inner)]),
            algorithm: algorithm.to_vec(),
            parameters: parameters.to_vec(),
            inner: inner.to_vec(),
        }
    }

    /// Reads the PEM forms that sprig knows.
    ///
    /// # Errors
    /// Sprig's texts.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        let block = pem::decode(text).ok_or("no PEM data in input")?;
        if block.sort == "PRIVATE KEY" {
            return Self::from_pkcs8(&block.bytes)
                .ok_or_else(|| "decoding PEM as PKCS#8: asn1: structure error".to_owned());
        }
        let Some(sort) = block.sort.strip_suffix(" PRIVATE KEY") else {
            return Err(format!(
                "no private key data in PEM block of type {}",
                block.sort
            ));
        };
        let malformed = || format!("parsing {sort} private key from PEM: asn1: structure error");
        match sort {
            "RSA" => {
                let mut content = block.bytes.as_slice();
                let mut key = expect(&mut content, SEQUENCE)
                    .ok_or_else(malformed)?
                    .content;
                expect(&mut key, INTEGER).ok_or_else(malformed)?;
                expect(&mut key, INTEGER).ok_or_else(malformed)?;
                Ok(Self::wrap(RSA, der::NULL, &block.bytes))
            }
            "EC" => Self::from_sec1(&block.bytes).ok_or_else(malformed),
            "DSA" => Self::from_dsa(&block.bytes).ok_or_else(malformed),
            _ => Err(format!("invalid private key type {}", block.sort)),
        }
    }

    fn from_sec1(bytes: &[u8]) -> Option<Self> {
        let mut content = bytes;
        let mut key = expect(&mut content, SEQUENCE)?.content;
        expect(&mut key, INTEGER)?;
        expect(&mut key, OCTET_STRING)?;
        let curve = expect(&mut key, 0xa0)?.content;
        Some(Self::wrap(EC, curve, bytes))
    }

    fn from_dsa(mut bytes: &[u8]) -> Option<Self> {
        let mut key = expect(&mut bytes, SEQUENCE)?.content;
        expect(&mut key, INTEGER)?;
        let [p, q, g] = [
            expect(&mut key, INTEGER)?.whole,
            expect(&mut key, INTEGER)?.whole,
            expect(&mut key, INTEGER)?.whole,
        ];
        expect(&mut key, INTEGER)?;
        let secret = expect(&mut key, INTEGER)?.whole;
        Some(Self::wrap(DSA, &sequence(&[p, q, g]), secret))
    }

    /// The public key as encoded in a certificate: identifier and bit string.
    pub(super) fn public(&self, environment: &dyn Environment) -> Result<Vec<u8>, Error> {
        Ok(environment.public_key(&self.pkcs8)?)
    }

    /// The bits of the public key, without the count of unused ones.
    pub(super) fn public_bits(spki: &[u8]) -> Option<Vec<u8>> {
        let mut content = spki;
        let mut key = expect(&mut content, SEQUENCE)?.content;
        expect(&mut key, SEQUENCE)?;
        expect(&mut key, BIT_STRING)?
            .content
            .get(1..)
            .map(<[u8]>::to_vec)
    }

    /// How certificates are signed with it, and the encoded identifier of that.
    ///
    /// # Errors
    /// For keys that cannot sign certificates.
    pub(super) fn scheme(&self) -> Result<(SignatureScheme, Vec<u8>), Error> {
        const SHA256_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
        const ECDSA_SHA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
        let ecdsa = |last: u8| sequence(&[&tlv(OID, &[ECDSA_SHA, &[last]].concat())]);
        let curve = |oid: &[u8]| self.parameters == tlv(OID, oid);
        match self.algorithm.as_slice() {
            RSA => {
                let identifier = sequence(&[&tlv(OID, SHA256_RSA), der::NULL]);
                Ok((SignatureScheme::RsaSha256, identifier))
            }
            EC if curve(P256) => Ok((SignatureScheme::EcdsaSha256, ecdsa(2))),
            EC if curve(P384) => Ok((SignatureScheme::EcdsaSha384, ecdsa(3))),
            EC if curve(P521) => Ok((SignatureScheme::EcdsaSha512, ecdsa(4))),
            ED25519 => Ok((SignatureScheme::Ed25519, sequence(&[&tlv(OID, ED25519)]))),
            DSA => Err(Error::new(
                "error creating certificate: x509: certificate private key does not implement \
                 crypto.Signer",
            )),
            _ => Err(Error::new(
                "error creating certificate: x509: unsupported elliptic curve",
            )),
        }
    }

    /// The PEM form Go writes: PKCS#1, SEC 1, or PKCS#8.
    pub(super) fn to_pem(&self, environment: &dyn Environment) -> Result<String, Error> {
        let malformed = || Error::new("the private key has an unexpected form");
        match self.algorithm.as_slice() {
            RSA => Ok(pem::encode("RSA PRIVATE KEY", &self.inner)),
            EC => {
                let mut content = self.inner.as_slice();
                let mut key = expect(&mut content, SEQUENCE)
                    .ok_or_else(malformed)?
                    .content;
                let version = expect(&mut key, INTEGER).ok_or_else(malformed)?.whole;
                let secret = expect(&mut key, OCTET_STRING).ok_or_else(malformed)?.whole;
                let spki = self.public(environment)?;
                let bits = Self::public_bits(&spki).ok_or_else(malformed)?;
                let point = tlv(BIT_STRING, &[&[0], bits.as_slice()].concat());
                let curve = tlv(0xa0, &self.parameters);
                let sec1 = sequence(&[version, secret, &curve, &tlv(0xa1, &point)]);
                Ok(pem::encode("EC PRIVATE KEY", &sec1))
            }
            DSA => {
                let mut content = self.parameters.as_slice();
                let numbers = expect(&mut content, SEQUENCE)
                    .ok_or_else(malformed)?
                    .content;
                let spki = self.public(environment)?;
                let public = Self::public_bits(&spki).ok_or_else(malformed)?;
                let key = sequence(&[ZERO, numbers, &public, &self.inner]);
                Ok(pem::encode("DSA PRIVATE KEY", &key))
            }
            _ => {
                // Only the secret: a public key may follow it in what was read.
                let plain = Self::wrap(&self.algorithm, &self.parameters, &self.inner);
                Ok(pem::encode("PRIVATE KEY", &plain.pkcs8))
            }
        }
    }
}

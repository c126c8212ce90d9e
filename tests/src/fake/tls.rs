//! Certificates of the fakes, made once per process: thousands of fakes share them.

use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, anyhow};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::keys::{Authority, Subject};

/// What a fake shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// A valid one for 127.0.0.1 and localhost.
    Good,
    /// Valid until 2020.
    Expired,
    /// For another host.
    WrongName,
    /// Signed by another authority than the one to register.
    Untrusted,
}

/// The authority of all fakes but the untrusted.
///
/// # Errors
/// When no key can be made.
pub fn fake_authority() -> Result<&'static Authority> {
    static MADE: OnceLock<Result<Authority, String>> = OnceLock::new();
    made(&MADE, "optikon-fakes")
}

/// An authority that nobody registers.
///
/// # Errors
/// When no key can be made.
pub fn other_authority() -> Result<&'static Authority> {
    static MADE: OnceLock<Result<Authority, String>> = OnceLock::new();
    made(&MADE, "optikon-strangers")
}

fn made(
    place: &'static OnceLock<Result<Authority, String>>,
    name: &str,
) -> Result<&'static Authority> {
    place
        .get_or_init(|| Authority::new(name).map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}

/// The TLS side for a certificate, shared by all fakes that show it.
pub(super) fn acceptor(certificate: Certificate) -> Result<TlsAcceptor> {
    static GOOD: OnceLock<Result<TlsAcceptor, String>> = OnceLock::new();
    static EXPIRED: OnceLock<Result<TlsAcceptor, String>> = OnceLock::new();
    static WRONG_NAME: OnceLock<Result<TlsAcceptor, String>> = OnceLock::new();
    static UNTRUSTED: OnceLock<Result<TlsAcceptor, String>> = OnceLock::new();
    let place = match certificate {
        Certificate::Good => &GOOD,
        Certificate::Expired => &EXPIRED,
        Certificate::WrongName => &WRONG_NAME,
        Certificate::Untrusted => &UNTRUSTED,
    };
    place
        .get_or_init(|| make(certificate).map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!("{error}"))
}

fn make(certificate: Certificate) -> Result<TlsAcceptor> {
    let authority = match certificate {
        Certificate::Untrusted => other_authority()?,
        Certificate::Good | Certificate::Expired | Certificate::WrongName => fake_authority()?,
    };
    let hosts: &[&str] = match certificate {
        Certificate::WrongName => &["elsewhere.example"],
        Certificate::Good | Certificate::Expired | Certificate::Untrusted => {
            &["127.0.0.1", "localhost"]
        }
    };
    let pair = authority.issue(&Subject {
        common_name: "fake",
        hosts,
        expired: certificate == Certificate::Expired,
        ..Subject::default()
    })?;
    let chain = vec![
        CertificateDer::from_pem_slice(pair.certificate.as_bytes())
            .context("read the certificate just made")?,
    ];
    let key =
        PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).context("read the key just made")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

//! What TLS to one member is checked against, and what we show of ourselves.

use std::sync::{Arc, LazyLock};

use optikon_core::{
    ports::World,
    words::{Credential, Fault, FaultReason, Member, PodTls, Secret},
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use tokio::sync::OnceCell;

use crate::fault::fault;

/// More certificates than any CA bundle holds.
const MAX_CERTIFICATES: usize = 1000;

/// One for all members.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(ring::default_provider()));

/// The system's roots, loaded when the first member needs them.
#[derive(Debug, Default)]
pub(crate) struct SystemRoots(OnceCell<Arc<RootCertStore>>);

impl SystemRoots {
    async fn get(&self) -> Arc<RootCertStore> {
        let load = || async {
            let loaded = tokio::task::spawn_blocking(load_system_roots).await;
            Arc::new(loaded.unwrap_or_else(|_| bundled_roots()))
        };
        self.0.get_or_init(load).await.clone()
    }
}

fn load_system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "cannot read some of the system's root certificates");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "loaded the system's root certificates");
    if added == 0 {
        tracing::warn!("the system has no root certificates, using those of Mozilla");
        return bundled_roots();
    }
    roots
}

fn bundled_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

/// Certificates are judged by the same clock as everything else.
#[derive(Debug)]
struct Clock(Arc<dyn World>);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(
            std::time::Duration::from_millis(self.0.now_ms()),
        ))
    }
}

fn bad_config(message: impl AsRef<str>) -> Fault {
    fault(FaultReason::BadConfig, message)
}

/// The TLS configuration for one member.
pub(crate) async fn client_config(
    member: &Member,
    roots: &SystemRoots,
    world: Arc<dyn World>,
) -> Result<Arc<ClientConfig>, Fault> {
    let roots = match &member.ca {
        Some(pem) => Arc::new(parse_ca(pem, "spec.kubernetesApiEndpoints.caBundle")?),
        None => roots.get().await,
    };
    let client = match &member.credential {
        Some(Credential::ClientCertificate { certificate, key }) => Some((certificate, key)),
        Some(Credential::Token(_) | Credential::Basic { .. }) | None => None,
    };
    let mut config = config(roots, client.map(|(c, k)| (c.as_str(), k)), world)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session skips the certificates, so an expired or exchanged one would go unnoticed;
    // and the sessions of 5,000 members take memory. One handshake per pooled connection is cheap.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The TLS configuration for a pod inside a tunnel, and the name to verify.
pub(crate) async fn pod_config(
    pod: &PodTls,
    roots: &SystemRoots,
    world: Arc<dyn World>,
) -> Result<(Arc<ClientConfig>, ServerName<'static>), Fault> {
    let roots = match &pod.ca {
        Some(pem) => Arc::new(parse_ca(pem, "tls.ca")?),
        None => roots.get().await,
    };
    let client = pod.client.as_ref().map(|(c, k)| (c.as_str(), k));
    let mut config = config(roots, client, world)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from(pod.server_name.clone())
        .map_err(|_| bad_config("tls.serverName is not a host name or IP address"))?;
    Ok((Arc::new(config), name))
}

fn config(
    roots: Arc<RootCertStore>,
    client: Option<(&str, &Secret<String>)>,
    world: Arc<dyn World>,
) -> Result<ClientConfig, Fault> {
    let builder = ClientConfig::builder_with_details(PROVIDER.clone(), Arc::new(Clock(world)))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad_config(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = client else {
        return Ok(builder.with_no_client_auth());
    };
    let (chain, key) = parse_client(certificate, key.expose())?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        bad_config(format!(
            "client certificate and key do not serve together: {error}"
        ))
    })
}

fn parse_ca(pem: &str, field: &str) -> Result<RootCertStore, Fault> {
    let bad = |why: String| bad_config(format!("{field} {why}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()).take(MAX_CERTIFICATES) {
        let certificate = certificate.map_err(|_| bad("is not PEM".into()))?;
        roots
            .add(certificate)
            .map_err(|error| bad(format!("holds a certificate that cannot be used: {error}")))?;
    }
    if roots.is_empty() {
        return Err(bad("holds no certificate".into()));
    }
    Ok(roots)
}

fn parse_client(
    certificate: &str,
    key: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Fault> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .take(MAX_CERTIFICATES)
        .collect::<Result<_, _>>()
        .map_err(|_| bad_config("the client certificate is not PEM"))?;
    if chain.is_empty() {
        return Err(bad_config(
            "the client certificate's PEM holds no certificate",
        ));
    }
    // The error could quote the key, so it is not shown.
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| bad_config("the client certificate's key is not a PEM private key"))?;
    Ok((chain, key))
}

/// The name to verify.
pub(crate) fn server_name(member: &Member, host: &str) -> Result<ServerName<'static>, Fault> {
    let (name, field) = match &member.tls_server_name {
        Some(name) => (name.as_str(), "tlsServerName"),
        None => (host, "serverAddress"),
    };
    ServerName::try_from(name.to_owned()).map_err(|_| {
        bad_config(format!(
            "{field} \"{name}\" is not a host name or IP address"
        ))
    })
}

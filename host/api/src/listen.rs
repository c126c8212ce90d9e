//! Accepts connections, with or without TLS, and ends them in order.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{Router, extract::Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::{idle::Activity, layers::PeerCertificate};

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 8_192;
/// A client that does not finish its handshake or its request's head by then is let go.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Certificates are looked at for changes this often.
const RELOAD_EVERY: Duration = Duration::from_secs(5);

/// PEM files of a TLS listener.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// A CA whose client certificates are accepted; absent = none are asked for.
    pub client_ca: Option<PathBuf>,
}

/// Why a TLS listener cannot start, or keeps its old certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsProblem {
    /// A file cannot be read as PEM.
    #[error("cannot read {what} from {}", file.display())]
    File {
        /// What was wanted.
        what: &'static str,
        /// Where.
        file: PathBuf,
        /// Why not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not fit, or the CA is none.
    #[error("the TLS files do not fit together")]
    Rustls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A bound listener that does not serve yet.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<Tls>>,
}

#[derive(Debug)]
struct Tls {
    files: TlsFiles,
    state: Mutex<(Arc<ServerConfig>, Vec<Option<SystemTime>>)>,
}

/// What ends a server.
#[derive(Debug)]
pub struct Serving {
    /// True: take no more connections, finish what is under way.
    pub shutdown: watch::Receiver<bool>,
    /// What is still under way after this is cut off.
    pub grace: Duration,
}

impl Listener {
    /// Binds; port 0 lets the system choose.
    ///
    /// # Errors
    /// The system's.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            tcp: TcpListener::bind(address).await?,
            tls: None,
        })
    }

    /// Speaks TLS with these files, which are read again when they change.
    ///
    /// # Errors
    /// [`TlsProblem`].
    pub fn with_tls(mut self, files: TlsFiles) -> Result<Self, TlsProblem> {
        let config = server_config(&files)?;
        let times = times(&files);
        self.tls = Some(Arc::new(Tls {
            files,
            state: Mutex::new((config, times)),
        }));
        Ok(self)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Serves until told to end; returns when every connection ended or the grace ran out.
    pub async fn serve(self, router: Router, serving: Serving) {
        let Serving {
            mut shutdown,
            grace,
        } = serving;
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut reload = tokio::time::interval(RELOAD_EVERY);
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                _ = reload.tick() => {
                    if let Some(tls) = &self.tls {
                        tls.reload();
                    }
                    continue;
                }
                Some(_) = connections.join_next() => continue,
                _ = shutdown.wait_for(|is_ending| *is_ending) => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, usually: others will end theirs.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().acquire_owned().await else {
                break;
            };
            let tls = self.tls.as_ref().map(|tls| tls.acceptor());
            let (router, shutdown) = (router.clone(), shutdown.clone());
            connections.spawn(async move {
                let _place = place;
                connection(stream, tls, router, shutdown).await;
            });
        }
        drop(self.tcp);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, ended).await.is_err() {
            tracing::warn!("connections were cut off at the end");
        }
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: watch::Receiver<bool>,
) {
    // Small answers go out at once.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(TokioIo::new(stream), router, None, shutdown).await,
        Some(acceptor) => {
            let stream = match tokio::time::timeout(HEAD_DEADLINE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => return tracing::debug!("a TLS handshake took too long"),
            };
            let (_, session) = stream.get_ref();
            let leaf = session.peer_certificates().and_then(<[_]>::first);
            let peer = leaf.and_then(|leaf| common_name(leaf)).map(PeerCertificate);
            serve(TokioIo::new(stream), router, peer, shutdown).await;
        }
    }
}

async fn serve<I>(
    io: I,
    router: Router,
    peer: Option<PeerCertificate>,
    mut shutdown: watch::Receiver<bool>,
) where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let begun = activity.clone();
    let service =
        hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut router = router.clone();
            let mut request: Request = request.map(axum::body::Body::new);
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            let busy = begun.begin();
            async move {
                router
                    .call(request)
                    .await
                    .map(|answer| busy.until_sent(answer))
            }
        });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(30));
    let connection = builder.serve_connection_with_upgrades(io, service);
    tokio::pin!(connection);
    let ending = async {
        // An error means that the process is going away: the same thing.
        let _ = shutdown.wait_for(|is_ending| *is_ending).await;
    };
    let ended = tokio::select! {
        // The watch for rest begins before the first byte is read.
        biased;
        () = activity.rests() => {
            connection.as_mut().graceful_shutdown();
            // What is asked at this very moment is answered; who does not take the leave loses the connection.
            tokio::time::timeout(HEAD_DEADLINE, connection)
                .await
                .unwrap_or(Ok(()))
        }
        ended = connection.as_mut() => ended,
        () = ending => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn common_name(leaf: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let name = certificate
        .subject()
        .iter_common_name()
        .next()?
        .as_str()
        .ok()?;
    Some(name.to_owned())
}

impl Tls {
    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(
            self.state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .0
                .clone(),
        )
    }

    fn reload(&self) {
        let now = times(&self.files);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.1 == now {
            return;
        }
        state.1 = now;
        match server_config(&self.files) {
            Ok(config) => {
                state.0 = config;
                tracing::info!("the TLS certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the changed TLS files are not used; the old ones stay")
            }
        }
    }
}

fn times(files: &TlsFiles) -> Vec<Option<SystemTime>> {
    let all = [
        Some(&files.certificate),
        Some(&files.key),
        files.client_ca.as_ref(),
    ];
    let modified = |file: &PathBuf| std::fs::metadata(file).and_then(|m| m.modified()).ok();
    all.into_iter().flatten().map(modified).collect()
}

fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsProblem> {
    let problem = |what, file: &PathBuf| {
        let file = file.clone();
        move |source| TlsProblem::File { what, file, source }
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(problem("a certificate", &files.certificate))?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(problem("a private key", &files.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let rustls = |error: rustls::Error| TlsProblem::Rustls(Box::new(error));
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(rustls)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in
                CertificateDer::pem_file_iter(file).map_err(problem("a client CA", file))?
            {
                roots
                    .add(certificate.map_err(problem("a client CA", file))?)
                    .map_err(rustls)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| TlsProblem::Rustls(Box::new(error)))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(rustls)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

//! Servers that behave, and servers that do not.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use optikon_core::{
    ports::{Connection, Outbound as _, World},
    words::{Credential, Endpoint, Member, Rules, Secret},
};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{Outbound, OutboundConfig};

pub(crate) const TOKEN: &str = "t0ken-0f-the-member-9a8b7c6d";

/// The real clock and dice that always fall alike.
#[derive(Debug, Default)]
pub(crate) struct TestWorld(AtomicU64);

impl World for TestWorld {
    fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(now.as_millis()).unwrap()
    }

    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(u8::try_from(self.0.fetch_add(1, Ordering::Relaxed) % 256).unwrap());
    }
}

/// A certificate authority.
pub(crate) struct Ca {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
    der: rustls::pki_types::CertificateDer<'static>,
}

/// A certificate with its key, both PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
        }
    }

    /// For `127.0.0.1` and `localhost`.
    pub(crate) fn server(&self) -> Identity {
        self.issue(&["127.0.0.1", "localhost"], |_| {})
    }

    pub(crate) fn client(&self) -> Identity {
        self.client_named(&["client"])
    }

    /// A certificate that may only be a client's.
    pub(crate) fn client_named(&self, names: &[&str]) -> Identity {
        self.issue(names, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }
}

/// TLS of a server.
pub(crate) struct Tls {
    pub(crate) identity: Identity,
    pub(crate) alpn: Vec<&'static [u8]>,
    /// Who must have signed a client's certificate.
    pub(crate) clients: Option<rustls::pki_types::CertificateDer<'static>>,
    pub(crate) versions: &'static [&'static rustls::SupportedProtocolVersion],
}

impl Tls {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            alpn: vec![b"h2", b"http/1.1"],
            clients: None,
            versions: rustls::ALL_VERSIONS,
        }
    }

    pub(crate) fn http1(mut self) -> Self {
        self.alpn = vec![b"http/1.1"];
        self
    }

    pub(crate) fn wants_client_of(mut self, ca: &Ca) -> Self {
        self.clients = Some(ca.der.clone());
        self
    }

    fn acceptor(self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca).unwrap();
                builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .unwrap(),
                )
            }
        };
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes()).unwrap();
        let mut config = builder
            .with_single_cert(vec![self.identity.der], key)
            .unwrap();
        config.alpn_protocols = self.alpn.iter().map(|p| p.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

pub(crate) type ServerBody = BoxBody<Bytes, Infallible>;

pub(crate) fn full(body: impl Into<Bytes>) -> ServerBody {
    Full::new(body.into()).boxed()
}

pub(crate) fn ok(body: impl Into<Bytes>) -> Response<ServerBody> {
    Response::new(full(body))
}

/// What a server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: Mutex<Vec<(String, HeaderMap)>>,
}

impl Seen {
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|(path, _)| path.clone()).collect()
    }
}

/// A server; dropped, it closes all its connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers HTTP over TLS.
    pub(crate) async fn http<F>(tls: Tls, handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> BoxFuture<'static, Response<ServerBody>>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let seen = Arc::new(Seen::default());
        let seen_by_handler = seen.clone();
        let serve = move |stream: TlsStream<TcpStream>| -> BoxFuture<'static, ()> {
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let (handler, seen) = (handler.clone(), seen_by_handler.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let path = request.uri().path_and_query().unwrap().to_string();
                let noted = (path, request.headers().clone());
                seen.requests.lock().unwrap().push(noted);
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let io = TokioIo::new(stream);
            Box::pin(async move {
                let _ended = if is_h2 {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await
                } else {
                    hyper::server::conn::http1::Builder::new()
                        .max_buf_size(1 << 20)
                        .serve_connection(io, service)
                        .await
                };
            })
        };
        Self::start(seen, Some(tls.acceptor()), serve, |_| Box::pin(async {})).await
    }

    /// Speaks whatever it likes over TLS.
    pub(crate) async fn raw_tls<F>(tls: Tls, serve: F) -> Self
    where
        F: Fn(TlsStream<TcpStream>) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static,
    {
        let seen = Arc::new(Seen::default());
        Self::start(seen, Some(tls.acceptor()), serve, |_| Box::pin(async {})).await
    }

    /// Speaks whatever it likes over TCP.
    pub(crate) async fn raw_tcp<F>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static,
    {
        let seen = Arc::new(Seen::default());
        Self::start(seen, None, |_| Box::pin(async {}), serve).await
    }

    async fn start<S, R>(
        seen: Arc<Seen>,
        acceptor: Option<TlsAcceptor>,
        over_tls: S,
        over_tcp: R,
    ) -> Self
    where
        S: Fn(TlsStream<TcpStream>) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static,
        R: Fn(TcpStream) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let counted = seen.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, over_tls, over_tcp) =
                    (acceptor.clone(), over_tls.clone(), over_tcp.clone());
                connections.spawn(async move {
                    match acceptor {
                        None => over_tcp(tcp).await,
                        Some(acceptor) => {
                            if let Ok(tls) = acceptor.accept(tcp).await {
                                over_tls(tls).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// A member with a token, at these addresses.
pub(crate) fn member(ca: &Ca, urls: &[String]) -> Member {
    Member {
        name: "edge-1".parse().unwrap(),
        uid: "uid-1".parse().unwrap(),
        endpoints: urls
            .iter()
            .map(|url| Endpoint {
                client_cidr: None,
                url: url.clone(),
            })
            .collect(),
        ca: Some(ca.pem.clone()),
        tls_server_name: None,
        proxy_url: None,
        direct: None,
        credential: Some(Credential::Token(Secret::new(TOKEN.into()))),
    }
}

/// Small limits, so that a fault shows soon.
pub(crate) fn config() -> OutboundConfig {
    OutboundConfig {
        connect_timeout_ms: 2_500,
        request_timeout_ms: 20_000,
        body_bytes: 1 << 20,
        charts_body_bytes: 1 << 20,
        allow_loopback: true,
        ..OutboundConfig::default()
    }
}

pub(crate) fn outbound(config: OutboundConfig) -> Outbound {
    Outbound::new(config, Arc::new(TestWorld::default())).unwrap()
}

/// A live connection with the prober's rules, from an outbound of its own.
pub(crate) fn connect(member: &Member) -> Arc<dyn Connection> {
    outbound(config()).connect(member, Rules::Prober, true)
}

/// An address at which nobody listens.
pub(crate) async fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("https://{}", listener.local_addr().unwrap())
}

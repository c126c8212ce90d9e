//! A proxy in front of a real API server that takes TLS apart: to refuse what the real one would not, to count round trips,
//! and to make the way longer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::cluster::Cluster;
use crate::keys::{Keys, Subject};

/// What one read takes.
const CHUNK: usize = 64 << 10;
/// Requests' heads are shorter.
const MAX_HEAD: usize = 64 << 10;

/// What the front does beside passing everything on.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// A first request with this text in its head gets 400.
    pub refused: Option<String>,
    /// How long each direction takes.
    pub delay: Duration,
}

/// Which way the last bytes of a connection went, and how often that turned to the server.
#[derive(Debug, Default)]
struct Turns(Mutex<bool>, Arc<AtomicUsize>);

impl Turns {
    fn note(&self, is_up: bool) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_up && !*last {
            self.1.fetch_add(1, Ordering::AcqRel);
        }
        *last = is_up;
    }
}

/// A running front; it ends when it is dropped.
#[derive(Debug)]
pub struct Front {
    port: u16,
    turns: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    tunnels: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Front {
    /// Starts one in front of a cluster, with a certificate of the same authority.
    ///
    /// # Errors
    /// When no certificate can be made or no port be had.
    pub async fn start(cluster: &Cluster, keys: &Keys, manner: Manner) -> Result<Self> {
        let acceptor = acceptor(keys)?;
        let connector = connector(keys)?;
        let upstream: SocketAddr = cluster
            .server()
            .strip_prefix("https://")
            .context("the server has no https address")?
            .parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let turns = Arc::new(AtomicUsize::new(0));
        let connections = Arc::new(AtomicUsize::new(0));
        let tunnels = Arc::new(AtomicUsize::new(0));
        let (counted, opened, upgraded) = (turns.clone(), connections.clone(), tunnels.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::AcqRel);
                let turns = Turns(Mutex::default(), counted.clone());
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                let (manner, upgraded) = (manner.clone(), upgraded.clone());
                serving.spawn(async move {
                    // A connection that breaks is the test's business.
                    let _ended = serve(
                        stream,
                        (&acceptor, &connector),
                        upstream,
                        &manner,
                        &turns,
                        &upgraded,
                    )
                    .await;
                });
            }
        });
        Ok(Self {
            port,
            turns,
            connections,
            tunnels,
            _tasks: tasks,
        })
    }

    /// Its address, `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// How often bytes went to the server after bytes had come from it: round trips, those of TCP and TLS not counted.
    #[must_use]
    pub fn round_trips(&self) -> usize {
        self.turns.load(Ordering::Acquire)
    }

    /// Port-forwards that are open now.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Acquire)
    }

    /// Connections that were opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

fn acceptor(keys: &Keys) -> Result<TlsAcceptor> {
    let pair = keys.authority.issue(&Subject {
        common_name: "front",
        hosts: &["127.0.0.1"],
        ..Subject::default()
    })?;
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // What is passed on is not looked into, so both sides speak the same.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn connector(keys: &Keys) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(
        keys.authority.pem().as_bytes(),
    )?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Counts a tunnel as long as it is open.
struct Open<'a>(&'a AtomicUsize);

impl<'a> Open<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn serve(
    stream: TcpStream,
    (acceptor, connector): (&TlsAcceptor, &TlsConnector),
    upstream: SocketAddr,
    manner: &Manner,
    turns: &Turns,
    tunnels: &AtomicUsize,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut client = acceptor.accept(stream).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    turns.note(true);
    let text = String::from_utf8_lossy(&head);
    if manner
        .refused
        .as_ref()
        .is_some_and(|refused| text.contains(refused))
    {
        let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await?;
        return Ok(());
    }
    let _open = text.contains("/portforward").then(|| Open::new(tunnels));
    let tcp = TcpSocket::new_v4()?.connect(upstream).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("127.0.0.1")?;
    let mut server = connector.connect(name, tcp).await?;
    tokio::time::sleep(manner.delay).await;
    server.write_all(&head).await?;
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    tokio::select! {
        ended = pass(from_client, to_server, manner.delay, || turns.note(true)) => ended,
        ended = pass(from_server, to_client, manner.delay, || turns.note(false)) => ended,
    }
}

/// Passes bytes on, each after the delay, however many follow meanwhile.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
    note: impl Fn(),
) -> Result<()> {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let due = waiting.front().map(|(due, _)| *due);
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = sleep => {
                if let Some((_, bytes)) = waiting.pop_front() {
                    to.write_all(&bytes).await?;
                    to.flush().await?;
                }
            }
            count = from.read(&mut buffer) => {
                let count = count?;
                if count == 0 {
                    for (due, bytes) in waiting {
                        tokio::time::sleep_until(due.into()).await;
                        to.write_all(&bytes).await?;
                    }
                    to.shutdown().await?;
                    return Ok(());
                }
                note();
                let bytes = buffer.get(..count).unwrap_or_default().to_vec();
                waiting.push_back((Instant::now() + delay, bytes));
            }
        }
    }
}

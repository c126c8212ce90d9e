//! The same requests without gateway and plugin: one warm HTTP/2 connection to each member, all members at once.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::future::try_join_all;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use optikon_tests::FakeMember;
use optikon_tests::fake::Seen;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Connections to all members.
#[derive(Debug)]
pub(crate) struct Native {
    members: Vec<(String, SendRequest<Empty<Bytes>>)>,
    _connections: JoinSet<()>,
}

impl Native {
    #[expect(
        clippy::disallowed_methods,
        reason = "what the gateway is compared with goes around it"
    )]
    pub(crate) async fn connect(members: &[FakeMember]) -> Result<Self> {
        let mut connections = JoinSet::new();
        let mut opened = Vec::new();
        let Some(first) = members.first() else {
            bail!("no members");
        };
        let connector = TlsConnector::from(Arc::new(trusting(&first.ca()?)?));
        for member in members {
            let stream = TcpStream::connect(("127.0.0.1", member.port())).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("127.0.0.1")?;
            let stream = connector.connect(name, stream).await?;
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            connections.spawn(async move {
                // It ends with the run.
                let _ = connection.await;
            });
            opened.push((member.url(), sender));
        }
        Ok(Self {
            members: opened,
            _connections: connections,
        })
    }

    /// Asks every member, wave by wave.
    pub(crate) async fn fan_out(&self, waves: &[Vec<Seen>]) -> Result<()> {
        let mut tasks = JoinSet::new();
        for (url, sender) in &self.members {
            let (url, sender) = (url.clone(), sender.clone());
            let waves: Vec<Vec<Seen>> = waves.to_vec();
            tasks.spawn(async move {
                for wave in &waves {
                    try_join_all(wave.iter().map(|seen| ask(&url, sender.clone(), seen))).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }
}

async fn ask(url: &str, mut sender: SendRequest<Empty<Bytes>>, seen: &Seen) -> Result<()> {
    let mut request = Request::builder()
        .method(seen.method.as_str())
        .uri(format!("{url}{}", seen.target));
    for (name, value) in seen.headers.iter().filter(|(name, _)| name != "host") {
        request = request.header(name, value);
    }
    sender.ready().await?;
    let response = sender
        .send_request(request.body(Empty::new())?)
        .await
        .with_context(|| seen.target.clone())?;
    response.into_body().collect().await?;
    Ok(())
}

fn trusting(ca: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

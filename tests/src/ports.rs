//! Ports without races.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Mutex;

use crate::process::Process;
use crate::wait::wait_for;

/// How many ports are tried for a program that needs [`probably_free`].
pub(crate) const TRIES: u32 = 5;

/// A port on 127.0.0.1 that belongs to us for as long as this lives, while another process that shares ports
/// (`SO_REUSEPORT`) listens on it. Until one does, connections are refused.
#[derive(Debug)]
pub struct Reserved {
    _socket: Socket,
    port: u16,
}

impl Reserved {
    /// Reserves a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn new() -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket
            .set_reuse_port(true)
            .context("share a port (SO_REUSEPORT)")?;
        socket
            .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
            .context("bind a free port")?;
        let port = socket
            .local_addr()?
            .as_socket()
            .context("a socket without address")?
            .port();
        Ok(Self {
            _socket: socket,
            port,
        })
    }

    /// Its number.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A port that was free a moment ago, for programs that neither take 0 nor share: start, and try another on failure.
///
/// # Errors
/// When there is none.
pub fn probably_free() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("bind a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Waits until the program accepts connections on its port, and fails as soon as it ends.
#[expect(
    clippy::disallowed_methods,
    reason = "looks whether a child of ours listens"
)]
pub(crate) async fn listens(process: Process, what: &str, port: u16) -> Result<Process> {
    let process = Mutex::new(process);
    wait_for(what, Duration::from_secs(60), || async {
        process.lock().await.check()?;
        let connection = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        Ok(connection.is_ok().then_some(()))
    })
    .await?;
    Ok(process.into_inner())
}

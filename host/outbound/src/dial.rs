//! From an endpoint to a TLS stream: resolve, check every address, connect to one of those, shake
//! hands. One place, so that no address is connected to that the policy did not see.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use futures::stream::{FuturesUnordered, StreamExt};
use optikon_core::words::{Fault, FaultReason};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    time::{Duration, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    address::{Base, Proxy, Range},
    clock::{Clock, Phase},
    fault::{fault, from_io},
    policy::{Policy, source_towards},
};

/// Lookups at the same time: each holds a thread for as long as the system's resolver likes.
const LOOKUPS: usize = 64;
/// How long one address may keep the next from being tried (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;
/// A proxy's answer to CONNECT.
const MAX_PROXY_HEAD_BYTES: usize = 8 << 10;

/// What dialling needs beside the endpoint.
#[derive(Debug)]
pub(crate) struct Dialer {
    pub(crate) policy: Policy,
    pub(crate) timeout: Duration,
    lookups: Arc<Semaphore>,
}

/// The way to an endpoint.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    Direct,
    Via {
        proxy: Proxy,
        /// From the configuration file, not from an object.
        is_operators: bool,
    },
}

impl Dialer {
    pub(crate) fn new(policy: Policy, timeout: Duration) -> Self {
        Self {
            policy,
            timeout,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }

    /// Opens a TLS stream to `base`.
    pub(crate) async fn dial(
        &self,
        base: &Base,
        route: &Route,
        tls: Arc<ClientConfig>,
        name: ServerName<'static>,
        clock: &Clock,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let tcp = match route {
            Route::Direct => {
                clock.enter(Phase::Dns);
                let addresses = self.resolve(&base.host, base.port, false, clock).await?;
                clock.enter(Phase::Connect);
                self.connect(&addresses, &base.authority, clock).await?
            }
            Route::Via {
                proxy,
                is_operators,
            } => self.tunnel(base, proxy, *is_operators, clock).await?,
        };
        clock.enter(Phase::Tls);
        let handshake = TlsConnector::from(tls).connect(name, tcp);
        match timeout(self.timeout, handshake).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(from_io(
                &error,
                &format!("{} broke off the TLS handshake", base.authority),
            )),
            Err(_) => Err(clock.timeout(self.timeout, &base.authority)),
        }
    }

    /// A plain stream to `host:port`, where every address of the host is in one of the ranges.
    pub(crate) async fn plain(
        &self,
        (host, port): (&str, u16),
        ranges: &[Range],
        clock: &Clock,
    ) -> Result<TcpStream, Fault> {
        let addresses = self.resolve(host, port, false, clock).await?;
        let is_allowed = |ip: IpAddr| ranges.iter().any(|range| range.fits(Some(ip)).is_some());
        if let Some(address) = addresses.iter().find(|address| !is_allowed(address.ip())) {
            let ip = address.ip();
            let message = format!("{ip} is in no range of [outbound] direct_tillers");
            return Err(fault(FaultReason::Denied, message));
        }
        self.connect(&addresses, host, clock).await
    }

    /// Every address of a host, each allowed by the policy. One that is not spoils the name: who
    /// mixes them in wants us to connect there one day.
    async fn resolve(
        &self,
        host: &str,
        port: u16,
        is_operators: bool,
        clock: &Clock,
    ) -> Result<Vec<SocketAddr>, Fault> {
        let found = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => timeout(self.timeout, self.look_up(host, port))
                .await
                .map_err(|_| clock.timeout(self.timeout, host))??,
        };
        let checked = found
            .into_iter()
            .map(|address| self.policy.check(address, is_operators));
        let mut addresses = checked.collect::<Result<Vec<_>, _>>().map_err(|why| {
            fault(
                FaultReason::Denied,
                format!("\"{host}\" is refused by the destination policy: {why}"),
            )
        })?;
        addresses.dedup();
        Ok(addresses)
    }

    async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
        let failed = |why: String| {
            fault(
                FaultReason::Dns,
                format!("\"{host}\" does not resolve: {why}"),
            )
        };
        let permit = self.lookups.clone().acquire_owned().await;
        let target = (host.to_owned(), port);
        // The thread goes on after the caller left; the permit is its to keep.
        let lookup = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let found = target.to_socket_addrs()?;
            io::Result::Ok(found.take(MAX_ADDRESSES).collect::<Vec<_>>())
        });
        let found = match lookup.await {
            Ok(found) => found.map_err(|error| failed(error.to_string()))?,
            Err(error) => return Err(failed(error.to_string())),
        };
        if found.is_empty() {
            return Err(failed("no address".into()));
        }
        Ok(found)
    }

    /// The address that this machine would reach an endpoint from; `None` when it has none.
    pub(crate) async fn source(&self, base: &Base) -> Option<IpAddr> {
        let address = match base.host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, base.port),
            Err(_) => {
                let lookup = timeout(self.timeout, self.look_up(&base.host, base.port));
                *lookup.await.ok()?.ok()?.first()?
            }
        };
        source_towards(address)
    }

    /// Connects to the first address that answers, starting the next when one is slow.
    async fn connect(
        &self,
        addresses: &[SocketAddr],
        name: &str,
        clock: &Clock,
    ) -> Result<TcpStream, Fault> {
        let race = async {
            let mut running = FuturesUnordered::new();
            let mut waiting = addresses.iter();
            let mut errors = Vec::new();
            loop {
                if let Some(address) = waiting.next() {
                    running.push(connect_to(*address));
                }
                let is_last = waiting.len() == 0;
                let next = if is_last {
                    running.next().await
                } else {
                    match timeout(STAGGER, running.next()).await {
                        Ok(next) => next,
                        Err(_) => continue,
                    }
                };
                match next {
                    Some(Ok(stream)) => return Ok(stream),
                    Some(Err(error)) => errors.push(error),
                    None if is_last => return Err(errors.join("; ")),
                    None => {}
                }
            }
        };
        match timeout(self.timeout, race).await {
            Ok(connected) => connected.map_err(|why| {
                fault(
                    FaultReason::Connect,
                    format!("cannot connect to {name}: {why}"),
                )
            }),
            Err(_) => Err(clock.timeout(self.timeout, name)),
        }
    }

    /// A tunnel through a proxy. Its own address is under the policy; of the target only what can be
    /// known without the proxy's resolver.
    async fn tunnel(
        &self,
        base: &Base,
        proxy: &Proxy,
        is_operators: bool,
        clock: &Clock,
    ) -> Result<TcpStream, Fault> {
        let denied = |why: String| {
            fault(
                FaultReason::Denied,
                format!(
                    "\"{}\" is refused by the destination policy: {why}",
                    base.host
                ),
            )
        };
        if let Ok(ip) = base.host.parse::<IpAddr>() {
            let address = SocketAddr::new(ip, base.port);
            self.policy.check(address, false).map_err(denied)?;
        } else if base.host == "localhost" || base.host.ends_with(".localhost") {
            let loopback = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), base.port);
            self.policy.check(loopback, false).map_err(denied)?;
        }
        let at = format!("proxy {}:{}", proxy.host, proxy.port);
        let as_proxy = |mut failure: Fault| {
            if matches!(failure.reason, FaultReason::Dns | FaultReason::Connect) {
                failure.reason = FaultReason::Proxy;
            }
            failure.message = format!("{at}: {}", failure.message);
            failure
        };
        clock.enter(Phase::Dns);
        let addresses = self
            .resolve(&proxy.host, proxy.port, is_operators, clock)
            .await
            .map_err(as_proxy)?;
        clock.enter(Phase::Connect);
        let mut tcp = self
            .connect(&addresses, &proxy.host, clock)
            .await
            .map_err(as_proxy)?;
        match timeout(self.timeout, ask_for_tunnel(&mut tcp, base)).await {
            Ok(Ok(())) => Ok(tcp),
            Ok(Err(why)) => Err(fault(FaultReason::Proxy, format!("{at}: {why}"))),
            Err(_) => Err(clock.timeout(self.timeout, &at)),
        }
    }
}

async fn connect_to(address: SocketAddr) -> Result<TcpStream, String> {
    let attempt = async {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_keepalive(true)?;
        socket.set_nodelay(true)?;
        socket.connect(address).await
    };
    attempt.await.map_err(|error| format!("{address}: {error}"))
}

async fn ask_for_tunnel(tcp: &mut TcpStream, base: &Base) -> Result<(), String> {
    let host = if base.host.contains(':') {
        format!("[{}]", base.host)
    } else {
        base.host.clone()
    };
    let target = format!("{host}:{}", base.port);
    let ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let broke = |error: io::Error| format!("the connection broke: {error}");
    tcp.write_all(ask.as_bytes()).await.map_err(broke)?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to TLS.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_PROXY_HEAD_BYTES {
            return Err("its answer has no end".into());
        }
        match tcp.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err("it closed the connection without an answer".into());
            }
            Err(error) => return Err(broke(error)),
        }
    }
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|v| v.starts_with("HTTP/1."));
    match words.next().and_then(|s| s.parse::<u16>().ok()) {
        Some(200..=299) if is_http => Ok(()),
        Some(status) if is_http => Err(format!("it refused the tunnel with status {status}")),
        _ => Err("it does not speak HTTP".into()),
    }
}

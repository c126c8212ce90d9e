//! The only crate that opens connections.
//!
//! It implements core's ports [`Outbound`](ports::Outbound) and [`Connection`](ports::Connection):
//! per member one pooled HTTP/2 connection (HTTP/1.1 where the server has no better) with TLS by
//! rustls, built from the parts of a [`Member`] and never from anybody's kubeconfig.
//!
//! | module | for |
//! |---|---|
//! | `path` `rules` | what may be asked for: the path is parsed and checked before anything is sent |
//! | `policy` `address` | where a connection may lead: every resolved address is checked, and that very address is connected to |
//! | `dial` `tls` `pool` | resolve, connect, shake hands, keep |
//! | `breaker` `budget` | leaving a dead member alone, and not flooding a living one |
//! | `message` `body` `echo` | headers and bodies that cross, within caps; a reply that repeats the credential does not |
//! | `discovery` | where objects of a kind live |
//! | `fetch` | plain reads for charts, redirects included |
//! | `pods` `forward` `spdy` `grpc` | a ready pod, a tunnel to it through the API server, gRPC on top |
//! | `fault` `clock` | why it failed, and in which phase |
//!
//! # Why not kube's client?
//!
//! It stands on the same stack (hyper, rustls), but resolves, connects and shakes hands inside of one
//! opaque step. Here each of those is a phase with its own time and its own fault, every resolved
//! address passes a policy before it is connected to, and TLS errors keep their type; none of it can
//! be put into that client from outside. What remains of it then is typed objects, which this crate
//! never sees.
//!
//! # What ends when
//!
//! Dropping a request's future or a stream of lines cancels the request at the server and frees its
//! place. Dropping a client (its member changed or was forgotten, and nobody holds a connection any
//! more) closes its connections. No task outlives the [`Outbound`].

mod address;
mod body;
mod breaker;
mod budget;
mod client;
mod clock;
mod config;
mod connection;
mod dial;
mod discovery;
mod echo;
mod fault;
mod fetch;
mod forward;
mod grpc;
mod message;
mod path;
mod pods;
mod policy;
mod pool;
mod rules;
mod setup;
mod spdy;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
};

use futures::stream::{self, BoxStream};
use optikon_core::{
    Error, FieldError,
    ports::{self, World},
    words::{Member, Rules, Uid},
};
use tokio::sync::broadcast;

use crate::{
    address::Proxy, client::Client, connection::MemberConnection, dial::Dialer, policy::Policy,
    tls::SystemRoots,
};

pub use config::OutboundConfig;

/// Closed connections that a slow listener may be behind.
const CLOSED_BACKLOG: usize = 1024;

/// What all members' clients share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: OutboundConfig,
    pub(crate) world: Arc<dyn World>,
    pub(crate) dialer: Dialer,
    pub(crate) roots: SystemRoots,
    pub(crate) closed: broadcast::Sender<Uid>,
    /// Tunnels that are open now.
    pub(crate) tunnels: Arc<AtomicUsize>,
    /// The operator's, for members without one of their own.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) no_proxy: Vec<String>,
}

/// Opens connections to members, to the central cluster and to configured HTTPS bases: the same
/// machinery for all, told apart by [`Rules`].
///
/// Must be used within a tokio runtime with time and I/O.
#[derive(Debug)]
pub struct Outbound {
    shared: Arc<Shared>,
    clients: Mutex<HashMap<Uid, Arc<Client>>>,
}

impl Outbound {
    /// Makes one from its configuration; nothing is opened, resolved or read yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every bad field of the configuration.
    pub fn new(config: OutboundConfig, world: Arc<dyn World>) -> Result<Self, Error> {
        let mut errors = config.check();
        let (proxy_text, no_proxy) = proxy_settings(&config);
        let mut proxy = None;
        if errors.is_empty()
            && let Some(text) = proxy_text
        {
            match address::parse_proxy(&text) {
                Ok(parsed) => proxy = Some(parsed),
                Err(why) => errors.push(FieldError::new(
                    "outbound.proxy_from_environment",
                    format!("HTTPS_PROXY {why}"),
                )),
            }
        }
        if !errors.is_empty() {
            return Err(Error::Invalid(errors));
        }
        let policy = Policy::new(config.allow_loopback);
        let dialer = Dialer::new(policy, config.connect_timeout());
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                world,
                dialer,
                roots: SystemRoots::default(),
                closed: broadcast::channel(CLOSED_BACKLOG).0,
                tunnels: Arc::default(),
                proxy,
                no_proxy,
            }),
            clients: Mutex::default(),
        })
    }

    /// Tells where this gateway listens, so that no member can lead there. May be called again; counts
    /// for connections that are opened from then on.
    pub fn set_own_listeners(&self, listeners: Vec<SocketAddr>) {
        self.shared.dialer.policy.set_own_listeners(listeners);
    }

    /// The number of tunnels to pods that are open now.
    pub fn tunnels(&self) -> Arc<AtomicUsize> {
        self.shared.tunnels.clone()
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<Uid, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, member: &Member) -> Arc<Client> {
        let mut clients = self.clients();
        match clients.get(&member.uid) {
            Some(client) if client.member == *member => client.clone(),
            // What is under way on the old one ends by itself.
            _ => {
                let client = Arc::new(Client::new(member.clone(), self.shared.clone()));
                clients.insert(member.uid.clone(), client.clone());
                client
            }
        }
    }
}

/// The operator's proxy and its exemptions, from the configuration or, when that says so, from the
/// environment.
fn proxy_settings(config: &OutboundConfig) -> (Option<String>, Vec<String>) {
    let read = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let value = std::env::var(name).or_else(|_| std::env::var(lower));
        value.ok().filter(|value| !value.is_empty())
    };
    if config.proxy.is_some() || !config.proxy_from_environment {
        return (config.proxy.clone(), config.no_proxy.clone());
    }
    let mut no_proxy = config.no_proxy.clone();
    let exempt = read("NO_PROXY").unwrap_or_default();
    no_proxy.extend(exempt.split(',').map(|entry| entry.trim().to_owned()));
    (read("HTTPS_PROXY"), no_proxy)
}

impl ports::Outbound for Outbound {
    fn connect(&self, member: &Member, rules: Rules, is_live: bool) -> Arc<dyn ports::Connection> {
        let client = self.client(member);
        Arc::new(MemberConnection::new(
            client,
            member.clone(),
            rules,
            is_live,
        ))
    }

    fn forget(&self, uid: &Uid) {
        let client = self.clients().remove(uid);
        if let Some(client) = client {
            client.forget();
        }
    }

    fn closed(&self) -> BoxStream<'static, Uid> {
        let receiver = self.shared.closed.subscribe();
        Box::pin(stream::unfold(receiver, |mut receiver| async {
            loop {
                match receiver.recv().await {
                    Ok(uid) => return Some((uid, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        }))
    }
}

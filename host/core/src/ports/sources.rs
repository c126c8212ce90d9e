//! Where charts come from: plain reads of addresses that a request, a repository or an index names.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::words::{Credential, Fault, Link};

/// One read.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// What is read.
    pub link: Link,
    /// The `Accept` header; absent = anything.
    pub accept: Option<String>,
    /// The body is compressed already: no encoding is offered, and one that is named is the file's own.
    pub is_packed: bool,
    /// Sent only to the authorities of `trusted`, and never again once a redirect has left them.
    pub credential: Option<Credential>,
    /// Authorities (`host[:port]`) that may get the credential.
    pub trusted: Vec<String>,
    /// PEM bundle that certificates are checked against; absent = the system's roots.
    pub ca: Option<String>,
    /// A larger body is `TooLarge`.
    pub limit_bytes: u64,
    /// For the whole of it, redirects included.
    pub timeout: Duration,
}

impl Fetch {
    /// Of this address, without a credential and against the system's roots.
    pub fn new(link: Link, limit_bytes: u64, timeout: Duration) -> Self {
        Self {
            link,
            accept: None,
            is_packed: false,
            credential: None,
            trusted: Vec::new(),
            ca: None,
            limit_bytes,
            timeout,
        }
    }
}

/// An answer that is no redirect, whatever its status.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// Where it came from, after redirects.
    pub link: Link,
    /// Media type, without parameters, in lower case.
    pub media_type: String,
    /// `WWW-Authenticate` headers.
    pub challenges: Vec<String>,
    /// The decompressed body.
    pub body: Bytes,
}

/// Reads addresses. Every host on the way, those of redirects too, is under the destination policy.
#[async_trait]
pub trait Fetcher: Send + Sync + std::fmt::Debug {
    /// Reads one; at most 5 redirects, https only.
    ///
    /// # Errors
    /// A typed fault; `Denied` when the policy or a rule of redirects forbids it.
    async fn fetch(&self, fetch: Fetch) -> Result<Fetched, Fault>;
}

/// A text under which a trusted key's signature stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What was signed, with whatever line ends.
    pub text: String,
    /// Whose key it was, for people.
    pub by: String,
}

/// The keys whose signatures count.
pub trait Keyring: Send + Sync + std::fmt::Debug {
    /// Checks a text that is signed in the clear, at this time in Unix milliseconds.
    ///
    /// # Errors
    /// One line that says why it does not count.
    fn verify(&self, signed: &[u8], now_ms: u64) -> Result<Signed, String>;
}

//! What a fake answers.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

/// A scripted answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) delay: Duration,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
}

/// How an answer's body comes.
#[derive(Debug, Clone)]
pub enum Body {
    /// All at once.
    Whole(Vec<u8>),
    /// In pieces of this many bytes, with a pause before each.
    Trickle {
        /// All of it.
        bytes: Vec<u8>,
        /// Bytes per piece.
        piece: usize,
        /// Before each piece.
        pause: Duration,
    },
    /// This piece again and again, as fast as it is read, without end.
    Endless(Vec<u8>),
    /// These bytes, then silence; the connection stays open.
    Stuck(Vec<u8>),
    /// These bytes, then the connection breaks.
    Cut(Vec<u8>),
}

impl Answer {
    /// JSON with a status.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        Self::bytes(status, "application/json", value.to_string().into_bytes())
    }

    /// Bytes with a status and a content type.
    #[must_use]
    pub fn bytes(status: u16, content_type: &str, bytes: Vec<u8>) -> Self {
        Self::with_body(status, content_type, Body::Whole(bytes))
    }

    /// Any body.
    #[must_use]
    pub fn with_body(status: u16, content_type: &str, body: Body) -> Self {
        Self {
            delay: Duration::ZERO,
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body,
        }
    }

    /// A Kubernetes `Status` of a failure.
    #[must_use]
    pub fn failure(status: u16, reason: &str) -> Self {
        Self::json(
            status,
            &json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure",
                "reason": reason, "message": reason, "code": status,
            }),
        )
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::bytes(status, "text/plain", Vec::new()).header("location", location)
    }

    /// A valid list whose gzip stream opens to about `megabytes` MB, a thousandth of that on the wire.
    #[must_use]
    pub fn gzip_bomb(megabytes: usize) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let mut write = |bytes: &[u8]| encoder.write_all(bytes);
        let spaces = vec![b' '; 1 << 20];
        // Spaces are legal JSON, so only a bound on size can refuse it.
        let written = write(b"{\"kind\":\"NodeList\",\"apiVersion\":\"v1\",\"items\":[")
            .and_then(|()| (0..megabytes).try_for_each(|_| write(&spaces)))
            .and_then(|()| write(b"]}"))
            .and_then(|()| encoder.finish());
        // Writing to memory does not fail.
        Self::bytes(200, "application/json", written.unwrap_or_default())
            .header("content-encoding", "gzip")
    }

    /// The same after a delay.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

//! A connection whose faults the host sees for itself.
//!
//! A backend says in words of its own that a cluster did not answer. What the connection met is the better reason: the same
//! one that `/cluster` shows.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::plan::reason_of;
use crate::{
    error::{Error, Result},
    flows::health::one_line,
    ports::{Channel, Connection},
    words::{
        Fault, FaultReason, GrpcCall, GrpcFailure, LineStream, Mapping, MessageStream, Method,
        PodTarget, Refusal, Request, Response,
    },
};

/// A reason and one line for people.
pub(super) type Problem = (String, String);

/// A fault as a problem.
pub(super) fn of_fault(fault: &Fault) -> Problem {
    (fault.reason.reason().to_owned(), one_line(&fault.message))
}

/// An error that is no matter of a connection.
pub(super) fn of_error(error: &Error) -> Problem {
    (reason_of(error).to_owned(), one_line(&error.to_string()))
}

/// Remembers the last fault, and whether anything was asked to change.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Arc<dyn Connection>,
    has_written: Arc<AtomicBool>,
    met: Mutex<Option<FaultReason>>,
}

impl Watched {
    /// Over this connection; `has_written` becomes true with the first request that may change something.
    pub(super) fn new(inner: Arc<dyn Connection>, has_written: Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            has_written,
            met: Mutex::default(),
        })
    }

    /// Over a connection that only reads.
    pub(super) fn reading(inner: Arc<dyn Connection>) -> Arc<Self> {
        Self::new(inner, Arc::default())
    }

    /// What a backend's error is about: where it says no more than that the cluster is away, what the connection met.
    pub(super) fn problem(&self, error: &Error) -> Problem {
        let (reason, message) = of_error(error);
        let is_away = matches!(error, Error::Unavailable { .. } | Error::Timeout(_));
        let met = *self.met.lock().unwrap_or_else(PoisonError::into_inner);
        // Too large is not away, whatever a plugin makes of it.
        match met.filter(|met| is_away && *met != FaultReason::TooLarge) {
            Some(met) => (met.reason().to_owned(), message),
            None => (reason, message),
        }
    }

    fn note<T>(&self, answer: Result<T, Fault>) -> Result<T, Fault> {
        let met = answer.as_ref().err().map(|fault| fault.reason);
        *self.met.lock().unwrap_or_else(PoisonError::into_inner) = met;
        answer
    }
}

/// What is said to a pod is not looked into; whether it may change something, its method's name tells.
#[derive(Debug)]
struct WatchedChannel {
    inner: Arc<dyn Channel>,
    has_written: Arc<AtomicBool>,
}

impl WatchedChannel {
    fn note(&self, call: &GrpcCall) {
        if !is_read(&call.method) {
            self.has_written.store(true, Ordering::Relaxed);
        }
    }
}

/// Methods that begin with these only read, as is the custom with gRPC.
fn is_read(method: &str) -> bool {
    let name = method.rsplit('/').next().unwrap_or_default();
    ["Get", "List"].iter().any(|verb| name.starts_with(verb))
}

#[async_trait]
impl Channel for WatchedChannel {
    async fn unary(&self, call: GrpcCall) -> Result<Bytes, GrpcFailure> {
        self.note(&call);
        self.inner.unary(call).await
    }

    async fn server_stream(&self, call: GrpcCall) -> Result<MessageStream, GrpcFailure> {
        self.note(&call);
        self.inner.server_stream(call).await
    }
}

#[async_trait]
impl Connection for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        if request.method != Method::Get {
            self.has_written.store(true, Ordering::Relaxed);
        }
        self.note(self.inner.request(request).await)
    }

    async fn lines(&self, request: Request) -> Result<LineStream, Refusal> {
        self.inner.lines(request).await
    }

    async fn mapping(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault> {
        self.note(self.inner.mapping(group, version, kind).await)
    }

    async fn dial(&self, target: PodTarget) -> Result<Arc<dyn Channel>, Fault> {
        let inner = self.note(self.inner.dial(target).await)?;
        Ok(Arc::new(WatchedChannel {
            inner,
            has_written: self.has_written.clone(),
        }))
    }
}

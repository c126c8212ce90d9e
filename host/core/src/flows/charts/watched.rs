//! A connection whose faults the host sees for itself.
//!
//! A backend says in words of its own that a cluster did not answer. What the connection met is the better reason: the same
//! one that `/cluster` shows.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

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

/// Whether a target was asked to change anything, and whether it may be yet.
#[derive(Debug, Clone)]
pub(super) struct Writing {
    pub(super) has_written: Arc<AtomicBool>,
    /// Whether the journal knows that the target is begun; none while that is being written. What is only read does not
    /// wait for it.
    journaled: watch::Receiver<Option<bool>>,
    waited: Arc<OnceLock<Duration>>,
}

impl Writing {
    pub(super) fn new(has_written: bool, journaled: watch::Receiver<Option<bool>>) -> Self {
        Self {
            has_written: Arc::new(AtomicBool::new(has_written)),
            journaled,
            waited: Arc::default(),
        }
    }

    /// How long the first change waited for the journal; none where there was none.
    pub(super) fn waited(&self) -> Option<Duration> {
        self.waited.get().copied()
    }

    /// Of a target that the journal knows.
    pub(super) fn journaled(has_written: bool) -> Self {
        Self::new(has_written, watch::channel(Some(true)).1)
    }

    /// Waits until something may be changed, and notes that it is.
    async fn begin(&self) -> Result<(), Fault> {
        let (mut journaled, begun) = (self.journaled.clone(), Instant::now());
        let known = journaled.wait_for(Option::is_some).await;
        self.waited.get_or_init(|| begun.elapsed());
        if !known.is_ok_and(|known| *known == Some(true)) {
            let message =
                "the journal could not note that this cluster is begun; it was left alone";
            return Err(Fault::new(FaultReason::Denied, message));
        }
        self.has_written.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Remembers the last fault, and whether anything was asked to change.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Arc<dyn Connection>,
    writing: Writing,
    met: Mutex<Option<FaultReason>>,
}

impl Watched {
    /// Over this connection; a request that may change something waits until it may, and is noted.
    pub(super) fn new(inner: Arc<dyn Connection>, writing: Writing) -> Arc<Self> {
        Arc::new(Self {
            inner,
            writing,
            met: Mutex::default(),
        })
    }

    /// Over a connection that only reads.
    pub(super) fn reading(inner: Arc<dyn Connection>) -> Arc<Self> {
        Self::new(inner, Writing::journaled(false))
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
    writing: Writing,
}

impl WatchedChannel {
    async fn begin(&self, call: &GrpcCall) -> Result<(), GrpcFailure> {
        if is_read(&call.method) {
            return Ok(());
        }
        self.writing.begin().await.map_err(GrpcFailure::Fault)
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
        self.begin(&call).await?;
        self.inner.unary(call).await
    }

    async fn server_stream(&self, call: GrpcCall) -> Result<MessageStream, GrpcFailure> {
        self.begin(&call).await?;
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
            self.writing.begin().await?;
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
            writing: self.writing.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use serde_json::json;

    use super::*;
    use crate::flows::fakes::FakeConnection;

    fn change() -> Request {
        Request {
            method: Method::Post,
            ..Request::get("/api/v1/namespaces/a/configmaps")
        }
    }

    /// What a cluster was asked to do.
    type Asked = Arc<Mutex<Vec<Method>>>;

    fn over(writing: &Writing) -> (Arc<Watched>, Asked) {
        let asked = Asked::default();
        let noted = asked.clone();
        let cluster = FakeConnection(move |request: &Request| {
            noted.lock().unwrap().push(request.method);
            (200, json!({}))
        });
        (Watched::new(Arc::new(cluster), writing.clone()), asked)
    }

    #[tokio::test]
    async fn a_change_waits_for_the_journal_and_a_look_does_not() {
        let (told, journaled) = watch::channel(None);
        let writing = Writing::new(false, journaled);
        let (watched, asked) = over(&writing);
        let mut write = Box::pin(watched.request(change()));
        assert!(poll!(&mut write).is_pending());
        watched.request(Request::get("/version")).await.unwrap();
        assert_eq!(*asked.lock().unwrap(), [Method::Get]);
        assert!(!writing.has_written.load(Ordering::Relaxed));
        told.send_replace(Some(true));
        write.await.unwrap();
        assert_eq!(*asked.lock().unwrap(), [Method::Get, Method::Post]);
        assert!(writing.has_written.load(Ordering::Relaxed));
        assert!(writing.waited().is_some());
    }

    #[tokio::test]
    async fn without_a_journal_nothing_is_changed() {
        let (failed, journaled) = watch::channel(None);
        failed.send_replace(Some(false));
        // Nor when whoever was to tell has gone.
        let gone = watch::channel(None).1;
        for journaled in [journaled, gone] {
            let writing = Writing::new(false, journaled);
            let (watched, asked) = over(&writing);
            let refused = watched.request(change()).await.unwrap_err();
            assert_eq!(refused.reason, FaultReason::Denied);
            assert!(asked.lock().unwrap().is_empty());
            assert!(!writing.has_written.load(Ordering::Relaxed));
        }
    }
}

//! The open connections of one member: one HTTP/2 connection for all requests, or a few HTTP/1.1 ones
//! where the server has no better.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use optikon_core::words::{Fault, FaultReason};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::JoinSet,
    time::Duration,
};
use tokio_rustls::client::TlsStream;

use crate::fault::{fault, from_hyper, from_tls, tls_error};

pub(crate) type Body = Full<Bytes>;

/// Idle HTTP/1.1 connections that are kept.
const MAX_IDLE: usize = 8;
/// Flow control: what a member may have under way to us.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// The tasks that drive the connections. They end with their pool.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    fn with(&self, f: impl FnOnce(&mut JoinSet<()>)) {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.with(|set| {
            while set.try_join_next().is_some() {}
            set.spawn(task);
        });
    }
}

/// Weak, as the tasks hold it themselves.
#[derive(Debug, Clone)]
pub(crate) struct TaskSpawner(pub(crate) Weak<Tasks>);

impl<F> Executor<F> for TaskSpawner
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.spawn(async move {
                future.await;
            });
        }
    }
}

/// What is known about one connection beside its use.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// HTTP/2 keeps only the text of what breaks a connection, so TLS errors are caught below it.
    tls_error: OnceLock<rustls::Error>,
    has_answered: AtomicBool,
    is_discarded: AtomicBool,
}

impl Marks {
    fn note(&self, error: &io::Error) {
        if let Some(error) = tls_error(error) {
            // The first one is the cause of the others.
            let _is_first = self.tls_error.set(error.clone());
        }
    }

    /// The fault behind a failed exchange.
    pub(crate) fn explain(&self, error: &hyper::Error) -> Fault {
        match self.tls_error.get() {
            Some(error) => from_tls(error),
            None => from_hyper(error),
        }
    }

    pub(crate) fn set_answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }
}

/// One connection, ready for a request.
pub(crate) struct Lease {
    sender: Sender,
    pub(crate) marks: Arc<Marks>,
    /// Which of the member's endpoints it leads to.
    pub(crate) endpoint: usize,
    pub(crate) is_reused: bool,
}

enum Sender {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("is_h2", &self.is_h2())
            .field("endpoint", &self.endpoint)
            .field("is_reused", &self.is_reused)
            .finish_non_exhaustive()
    }
}

/// A request that got no answer over its connection.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) fault: Fault,
    /// Nothing of it was sent.
    pub(crate) is_unsent: bool,
}

impl Lease {
    pub(crate) fn is_h2(&self) -> bool {
        matches!(self.sender, Sender::H2(_))
    }

    /// Sends a request. Dropped, it cancels the request: a reset of the stream, or the end of an
    /// HTTP/1.1 connection.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let sent = match &mut self.sender {
            Sender::H1(sender) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(error) => return Err(self.unanswered(&error, true)),
            },
            Sender::H2(sender) => match sender.ready().await {
                Ok(()) => sender.try_send_request(request).await,
                Err(error) => return Err(self.unanswered(&error, true)),
            },
        };
        match sent {
            Ok(response) => {
                self.marks.set_answered();
                Ok(response)
            }
            Err(mut error) => {
                let is_unsent = error.take_message().is_some();
                Err(self.unanswered(error.error(), is_unsent))
            }
        }
    }

    fn unanswered(&self, error: &hyper::Error, is_unsent: bool) -> Unanswered {
        Unanswered {
            fault: self.marks.explain(error),
            is_unsent,
        }
    }
}

/// Called when the server closes a connection that had served.
pub(crate) type OnClosed = Arc<dyn Fn() + Send + Sync>;

/// One member's connections.
pub(crate) struct Pool {
    tasks: Arc<Tasks>,
    open: Mutex<Open>,
    on_closed: OnClosed,
    header_bytes: usize,
    keep_alive: Duration,
}

#[derive(Default)]
struct Open {
    h2: Option<(http2::SendRequest<Body>, Arc<Marks>, usize)>,
    idle: Vec<(http1::SendRequest<Body>, Arc<Marks>, usize)>,
    /// The server's last word was HTTP/1.1: connections need not wait for one another.
    is_h1: bool,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(header_bytes: usize, keep_alive: Duration, on_closed: OnClosed) -> Self {
        Self {
            tasks: Arc::default(),
            open: Mutex::default(),
            on_closed,
            header_bytes,
            keep_alive,
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Open) -> T) -> T {
        f(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_h1(&self) -> bool {
        self.with(|open| open.is_h1)
    }

    /// An open connection, if there is one.
    pub(crate) fn reuse(&self) -> Option<Lease> {
        let lease = |sender, marks, endpoint| Lease {
            sender,
            marks,
            endpoint,
            is_reused: true,
        };
        self.with(|open| {
            if let Some((sender, marks, endpoint)) = &open.h2 {
                if !sender.is_closed() {
                    return Some(lease(Sender::H2(sender.clone()), marks.clone(), *endpoint));
                }
                open.h2 = None;
            }
            while let Some((sender, marks, endpoint)) = open.idle.pop() {
                if !sender.is_closed() {
                    return Some(lease(Sender::H1(sender), marks, endpoint));
                }
            }
            None
        })
    }

    /// Gives an HTTP/1.1 connection back whose answer was read to its end.
    pub(crate) fn give_back(&self, lease: Lease) {
        if let Sender::H1(sender) = lease.sender {
            self.with(|open| {
                if !sender.is_closed() && open.idle.len() < MAX_IDLE {
                    open.idle.push((sender, lease.marks, lease.endpoint));
                }
            });
        }
    }

    /// Takes a connection out that failed a request; the next one opens another.
    pub(crate) fn drop_broken(&self, lease: &Lease) {
        self.with(|open| {
            if let Some((_, marks, _)) = &open.h2
                && Arc::ptr_eq(marks, &lease.marks)
            {
                open.h2 = None;
            }
        });
    }

    /// Takes no further request to the present connections; those under way may end.
    pub(crate) fn distrust(&self) {
        self.with(|open| {
            if let Some((_, marks, _)) = &open.h2 {
                marks.is_discarded.store(true, Ordering::Relaxed);
            }
            open.h2 = None;
            open.idle.clear();
        });
    }

    /// Ends everything at once.
    pub(crate) fn close(&self) {
        self.distrust();
        self.tasks.with(JoinSet::abort_all);
    }

    /// Speaks HTTP over a fresh stream and keeps the connection.
    pub(crate) async fn adopt(
        &self,
        stream: TlsStream<TcpStream>,
        endpoint: usize,
    ) -> Result<Lease, Fault> {
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let marks = Arc::new(Marks::default());
        let io = TokioIo::new(Watched {
            stream,
            marks: marks.clone(),
        });
        let sender = if is_h2 {
            self.adopt_h2(io, &marks, endpoint).await
        } else {
            self.adopt_h1(io).await
        };
        let sender = sender.map_err(|error| marks.explain(&error))?;
        Ok(Lease {
            sender,
            marks,
            endpoint,
            is_reused: false,
        })
    }

    async fn adopt_h1(&self, io: TokioIo<Watched>) -> Result<Sender, hyper::Error> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(self.header_bytes)
            .handshake(io)
            .await?;
        self.with(|open| open.is_h1 = true);
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/1.1 connection ended");
            }
        });
        Ok(Sender::H1(sender))
    }

    async fn adopt_h2(
        &self,
        io: TokioIo<Watched>,
        marks: &Arc<Marks>,
        endpoint: usize,
    ) -> Result<Sender, hyper::Error> {
        // Twice the limit, so that a head somewhat above it can be told from a broken one.
        let header_bytes = u32::try_from(self.header_bytes.saturating_mul(2)).unwrap_or(u32::MAX);
        let (sender, connection) = http2::Builder::new(TaskSpawner(Arc::downgrade(&self.tasks)))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(header_bytes)
            .keep_alive_interval(self.keep_alive)
            .keep_alive_timeout(self.keep_alive.min(Duration::from_secs(10)))
            .keep_alive_while_idle(true)
            .handshake(io)
            .await?;
        self.with(|open| {
            open.is_h1 = false;
            open.h2 = Some((sender.clone(), marks.clone(), endpoint));
        });
        let (marks, on_closed) = (marks.clone(), self.on_closed.clone());
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection ended");
            }
            let is_ours = marks.is_discarded.load(Ordering::Relaxed);
            if marks.has_answered.load(Ordering::Relaxed) && !is_ours {
                on_closed();
            }
        });
        Ok(Sender::H2(sender))
    }
}

/// A TLS stream that remembers why it broke.
struct Watched {
    stream: TlsStream<TcpStream>,
    marks: Arc<Marks>,
}

impl Watched {
    fn note<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled {
            self.marks.note(error);
        }
        polled
    }

    /// After a failed write: the server may have said why before it hung up.
    fn note_last_words<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if matches!(polled, Poll::Ready(Err(_))) && self.marks.tls_error.get().is_none() {
            let mut scratch = [0; 512];
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
            let _read = self.note(read);
        }
        self.note(polled)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.note(polled)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_last_words(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.note_last_words(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.note_last_words(polled, cx)
    }
}

/// A pool that was closed under its users.
pub(crate) fn forgotten() -> Fault {
    fault(FaultReason::Connect, "the cluster was forgotten meanwhile")
}

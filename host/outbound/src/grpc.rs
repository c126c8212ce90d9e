//! gRPC over one tunnel: HTTP/2 by hyper, frames of five bytes and a message, the status in the trailers.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use optikon_core::{
    ports::Channel,
    words::{Fault, FaultReason, GrpcCall, GrpcFailure, MessageStream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OwnedSemaphorePermit,
    time::{Duration, Instant, timeout_at},
};

use crate::{
    Shared,
    fault::{clean, fault, from_hyper},
    forward::Cut,
    pool::{TaskSpawner, Tasks},
};

/// Flow control: what the peer may have under way to us.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// Heads and trailers of the peer.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// Pings while a call runs: Tiller hangs up on those that come closer than 20 s, or on an idle connection.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a ping may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Compressed flag and length before each message.
const PREFIX_BYTES: usize = 5;
const MAX_METHOD_BYTES: usize = 256;
const MAX_METADATA: usize = 32;
const MAX_METADATA_BYTES: usize = 8 << 10;
/// Tiller's words may hold a whole rendering error.
const MAX_STATUS_BYTES: usize = 1024;
/// The longest timeout that the protocol has digits for, in milliseconds.
const MAX_TIMEOUT_MS: u128 = 99_999_999;

/// What HTTP/2 is spoken over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
pub(crate) type Io = Box<dyn Stream>;

/// Counts a tunnel as long as it is open.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One tunnel with one HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct GrpcChannel {
    sender: http2::SendRequest<Full<Bytes>>,
    held: Arc<Held>,
}

/// What ends with the last user of a tunnel.
#[derive(Debug)]
struct Held {
    /// The task that drives the connection; dropping it closes the socket.
    _tasks: Arc<Tasks>,
    _open: Open,
    _place: OwnedSemaphorePermit,
    name: String,
    cut: Cut,
    /// Why the connection ended, once it has, where it was not in order.
    ended: Arc<OnceLock<Fault>>,
    message_bytes: usize,
}

impl fmt::Debug for GrpcChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcChannel")
            .field("to", &self.held.name)
            .finish_non_exhaustive()
    }
}

impl GrpcChannel {
    pub(crate) async fn new(
        io: Io,
        name: String,
        cut: Cut,
        shared: &Shared,
        place: OwnedSemaphorePermit,
    ) -> Result<Self, Fault> {
        shared.tunnels.fetch_add(1, Ordering::AcqRel);
        let open = Open(shared.tunnels.clone());
        let tasks = Arc::new(Tasks::default());
        let (sender, connection) = http2::Builder::new(TaskSpawner(Arc::downgrade(&tasks)))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(MAX_HEADER_BYTES)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(false)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| cut.fault().unwrap_or_else(|| from_hyper(&error)))?;
        let ended = Arc::new(OnceLock::new());
        let why = ended.clone();
        tasks.spawn(async move {
            // Dropped after its end is written down: whoever waits for an answer wakes with it.
            let mut connection = std::pin::pin!(connection);
            if let Err(error) = connection.as_mut().await {
                tracing::debug!(%error, "a tunnel's connection ended");
                why.get_or_init(|| from_hyper(&error));
            }
        });
        Ok(Self {
            sender,
            held: Arc::new(Held {
                _tasks: tasks,
                _open: open,
                _place: place,
                name,
                cut,
                ended,
                message_bytes: shared.config.grpc_message_bytes,
            }),
        })
    }

    /// Sends a call and waits for the head of its answer.
    async fn send(&self, call: &GrpcCall) -> Result<Response<Incoming>, GrpcFailure> {
        let request = self.request(call)?;
        let mut sender = self.sender.clone();
        let broken = |error: hyper::Error| self.broken(&error);
        sender.ready().await.map_err(broken)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::OK || !is_grpc(response.headers()) {
            let message = format!(
                "{} does not speak gRPC (status {})",
                self.held.name,
                response.status().as_u16()
            );
            return Err(fault(FaultReason::NotGrpc, message).into());
        }
        Ok(response)
    }

    fn request(&self, call: &GrpcCall) -> Result<Request<Full<Bytes>>, Fault> {
        let denied = |why: &str| fault(FaultReason::Denied, why);
        let is_path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-');
        let method = &call.method;
        if !method.starts_with('/')
            || method.len() > MAX_METHOD_BYTES
            || !method.bytes().all(is_path)
        {
            return Err(denied("the method must be /package.Service/Method"));
        }
        let limit = self.held.message_bytes;
        if call.message.len() > limit {
            let size = call.message.len();
            let message = format!("the message of {size} bytes is larger than {limit} bytes");
            return Err(fault(FaultReason::TooLarge, message));
        }
        let length = u32::try_from(call.message.len())
            .map_err(|_| fault(FaultReason::TooLarge, "the message is too large"))?;
        let mut body = BytesMut::with_capacity(PREFIX_BYTES + call.message.len());
        body.put_u8(0);
        body.put_u32(length);
        body.extend_from_slice(&call.message);
        let mut request = Request::builder()
            .method("POST")
            // The authority says nothing here: the tunnel has one end.
            .uri(format!("http://localhost{method}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(
                header::USER_AGENT,
                concat!("optikon/", env!("CARGO_PKG_VERSION")),
            )
            .body(Full::new(body.freeze()))
            .map_err(|error| denied(&format!("no call can be made: {error}")))?;
        if let Some(timeout) = call.timeout {
            let ms = timeout.as_millis().clamp(1, MAX_TIMEOUT_MS);
            let value = HeaderValue::from_str(&format!("{ms}m"));
            let value = value.map_err(|_| denied("the timeout is none"))?;
            request.headers_mut().insert("grpc-timeout", value);
        }
        add_metadata(request.headers_mut(), &call.metadata).map_err(denied)?;
        Ok(request)
    }

    fn broken(&self, error: &hyper::Error) -> GrpcFailure {
        if let Some(fault) = self.held.cut.fault() {
            return fault.into();
        }
        // A call that came too late knows only that the connection is closed.
        let late = error.is_closed() || error.is_canceled();
        let ended = self.held.ended.get().filter(|_| late);
        let mut found = ended.cloned().unwrap_or_else(|| from_hyper(error));
        found.reason = match found.reason {
            // A peer that answers the preface with something else.
            FaultReason::Protocol => FaultReason::NotGrpc,
            FaultReason::Connect => FaultReason::Tunnel,
            other => other,
        };
        found.message = clean(&format!("{}: {}", self.held.name, found.message), 1024);
        found.into()
    }
}

fn add_metadata(
    headers: &mut HeaderMap,
    metadata: &[(String, String)],
) -> Result<(), &'static str> {
    let size: usize = metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
    if metadata.len() > MAX_METADATA || size > MAX_METADATA_BYTES {
        return Err("there is too much metadata");
    }
    for (name, value) in metadata {
        let is_reserved = name.starts_with("grpc-")
            || name.starts_with(':')
            || [
                "te",
                "host",
                "connection",
                "content-type",
                "content-length",
                "transfer-encoding",
                "user-agent",
                "upgrade",
                "keep-alive",
                "proxy-connection",
                "authorization",
            ]
            .contains(&name.as_str());
        let name = HeaderName::from_lowercase(name.as_bytes());
        let name = name.ok().filter(|_| !is_reserved);
        let value = HeaderValue::from_str(value).ok();
        let (Some(name), Some(value)) = (name, value) else {
            return Err("metadata has a name or a value that may not be sent");
        };
        headers.append(name, value);
    }
    Ok(())
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    value.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The status that ends a call; `None` when there is none.
fn status_of(trailers: &HeaderMap) -> Option<Result<(), GrpcFailure>> {
    let code = trailers.get("grpc-status")?;
    let code = code.to_str().ok().and_then(|text| text.parse::<u32>().ok());
    let code = code.unwrap_or(2);
    if code == 0 {
        return Some(Ok(()));
    }
    let message = trailers.get("grpc-message");
    let message = message
        .map(|value| decoded(value.as_bytes()))
        .unwrap_or_default();
    Some(Err(GrpcFailure::Status {
        code,
        message: clean(&message, MAX_STATUS_BYTES),
    }))
}

/// `%41` as `A`; what is no such triple stays as it is.
fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let byte = match (first, after) {
            (b'%', [high, low, ..]) => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The messages of one answer.
struct Messages {
    body: Incoming,
    unread: BytesMut,
    status: Option<Result<(), GrpcFailure>>,
    deadline: Option<Instant>,
    is_over: bool,
    channel: GrpcChannel,
}

impl Messages {
    fn new(response: Response<Incoming>, deadline: Option<Instant>, channel: GrpcChannel) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            body,
            unread: BytesMut::new(),
            // An answer without messages may have its status in the head.
            status: status_of(&parts.headers),
            deadline,
            is_over: false,
            channel,
        }
    }

    /// The next message; `None` after the last one of an answer that is `OK`.
    async fn next(&mut self) -> Result<Option<Bytes>, GrpcFailure> {
        loop {
            if let Some(message) = self.whole()? {
                return Ok(Some(message));
            }
            if self.is_over {
                return Ok(None);
            }
            match within(self.deadline, self.body.frame()).await? {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.unread.extend_from_slice(&data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        self.status = status_of(&trailers).or(self.status.take());
                    }
                },
                Some(Err(error)) => return Err(self.channel.broken(&error)),
                None => {
                    self.is_over = true;
                    self.end()?;
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), GrpcFailure> {
        if let Some(status) = self.status.take() {
            status?;
            if self.unread.is_empty() {
                return Ok(());
            }
        }
        let cut = self.channel.held.cut.fault();
        Err(cut
            .unwrap_or_else(|| fault(FaultReason::NotGrpc, "the answer ended without a status"))
            .into())
    }

    /// A message that came whole.
    fn whole(&mut self) -> Result<Option<Bytes>, GrpcFailure> {
        let [flag, a, b, c, d, ..] = *self.unread else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let limit = self.channel.held.message_bytes;
        if length > limit {
            let message = format!("a message of {length} bytes is larger than {limit} bytes");
            return Err(fault(FaultReason::TooLarge, message).into());
        }
        if flag != 0 {
            let message = "the message is compressed, which was not asked for";
            return Err(fault(FaultReason::NotGrpc, message).into());
        }
        if self.unread.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.unread.advance(PREFIX_BYTES);
        Ok(Some(self.unread.split_to(length).freeze()))
    }
}

async fn within<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = T>,
) -> Result<T, GrpcFailure> {
    let Some(deadline) = deadline else {
        return Ok(work.await);
    };
    timeout_at(deadline, work).await.map_err(|_| {
        let message = "timeout: the peer did not answer in the time of the call";
        fault(FaultReason::Timeout, message).into()
    })
}

#[async_trait]
impl Channel for GrpcChannel {
    async fn unary(&self, call: GrpcCall) -> Result<Bytes, GrpcFailure> {
        let deadline = call.timeout.map(|timeout| Instant::now() + timeout);
        let response = within(deadline, self.send(&call)).await??;
        let mut messages = Messages::new(response, deadline, self.clone());
        let Some(message) = messages.next().await? else {
            let message = "the answer has no message";
            return Err(fault(FaultReason::NotGrpc, message).into());
        };
        match messages.next().await? {
            None => Ok(message),
            Some(_) => {
                let message = "the answer has more than one message";
                Err(fault(FaultReason::NotGrpc, message).into())
            }
        }
    }

    async fn server_stream(&self, call: GrpcCall) -> Result<MessageStream, GrpcFailure> {
        let deadline = call.timeout.map(|timeout| Instant::now() + timeout);
        let response = within(deadline, self.send(&call)).await??;
        let messages = Messages::new(response, deadline, self.clone());
        Ok(Box::pin(stream::unfold(
            Some(messages),
            |messages| async move {
                let mut messages = messages?;
                match messages.next().await {
                    Ok(Some(message)) => Some((Ok(message), Some(messages))),
                    Ok(None) => None,
                    Err(failure) => Some((Err(failure), None)),
                }
            },
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_trailers() {
        let mut trailers = HeaderMap::new();
        assert!(status_of(&trailers).is_none());
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        assert!(matches!(status_of(&trailers), Some(Ok(()))));
        trailers.insert("grpc-status", HeaderValue::from_static("2"));
        trailers.insert(
            "grpc-message",
            HeaderValue::from_static("a%20%C3%A9%zz%0Ab"),
        );
        let Some(Err(GrpcFailure::Status { code, message })) = status_of(&trailers) else {
            panic!()
        };
        assert_eq!((code, message.as_str()), (2, "a é%zz\u{fffd}b"));
    }

    #[test]
    fn names_of_the_protocol_are_no_metadata() {
        let mut headers = HeaderMap::new();
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert!(add_metadata(&mut headers, &one("x-helm-api-client", "v2.17.0")).is_ok());
        for (name, value) in [
            ("grpc-timeout", "1S"),
            ("te", "x"),
            ("X-Upper", "x"),
            ("x", "a\nb"),
            ("authorization", "x"),
        ] {
            assert!(
                add_metadata(&mut headers, &one(name, value)).is_err(),
                "{name}"
            );
        }
    }
}

//! A port-forward through the API server: a WebSocket whose messages are a byte stream to one port of a pod.
//!
//! The protocol is `v4.channel.k8s.io`: the first byte of a message is its channel, 0 for data and 1 for errors, and the
//! first message on each holds the port (two bytes, little-endian). There is no half-close: the stream ends with the socket.
//! A server that refuses it is asked for the newer `SPDY/3.1+portforward.k8s.io`, where messages are pieces of a SPDY
//! connection.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream};
use optikon_core::words::{Fault, FaultReason};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        error::ProtocolError,
        handshake::client::Request,
        http::{HeaderValue, StatusCode, header},
        protocol::WebSocketConfig,
    },
};

use crate::{
    clock::Clock,
    dial::Dialer,
    fault::{clean, fault, from_io},
    setup::{Setup, Way},
    spdy::{self, Event, Spdy},
};

const DATA: u8 = 0;
/// What is written into one message; servers read 32 KiB at a time.
const CHUNK_BYTES: usize = 32 << 10;
/// Servers send what they read at once, which is far less.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Unsent bytes, beyond which writing waits.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
/// Of a refusal's text.
const MAX_TEXT_BYTES: usize = 512;
/// Answers to pings that wait to be sent; a peer that sends more does not read.
const MAX_REPLIES: usize = 64;

/// What is spoken inside the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Channels,
    Tunnelled,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Channels => "v4.channel.k8s.io",
            Self::Tunnelled => "SPDY/3.1+portforward.k8s.io",
        }
    }
}

/// How bytes of the port are found in messages.
#[derive(Debug)]
enum Framing {
    /// Whether the port was announced on the channel of that number.
    Channels([bool; 2]),
    Tunnelled {
        spdy: Spdy,
        replies: VecDeque<Bytes>,
    },
}

/// Why a tunnel broke, where the far end said so: HTTP/2 on top keeps no texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut(Arc<OnceLock<String>>);

impl Cut {
    fn note(&self, why: impl Into<String>) {
        // The first one is the cause of the others.
        let _is_first = self.0.set(why.into());
    }

    /// The fault of a tunnel that broke, if it did.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let why = self.0.get()?;
        Some(fault(
            FaultReason::Tunnel,
            format!("the tunnel to the pod broke: {why}"),
        ))
    }
}

/// One port of one pod as a byte stream.
#[derive(Debug)]
pub(crate) struct Forward {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    unread: BytesMut,
    framing: Framing,
    is_over: bool,
    cut: Cut,
}

/// Opens a tunnel over a connection of its own: an upgrade takes a whole HTTP/1.1 connection. Servers since Kubernetes 1.6
/// speak the channels; one that refuses them gets a second connection and the newer protocol.
///
/// # Errors
/// Those of dialling; `Forbidden`, `NoPod`, `Unauthorized` and `Tunnel` by the server's status.
pub(crate) async fn open(
    dialer: &Dialer,
    setup: &Setup,
    way: &Way,
    path: &str,
    port: u16,
    cut: Cut,
) -> Result<Forward, Fault> {
    let ask = |protocol| Box::pin(attempt(dialer, setup, way, (path, port), protocol, &cut));
    let first = match ask(Protocol::Channels).await {
        Ok(forward) => return Ok(forward),
        Err(Failed::Dialling(fault)) => return Err(fault),
        Err(Failed::Upgrading(error)) => error,
    };
    if !is_of_protocol(&first) {
        return Err(refused(first, setup));
    }
    // What the first protocol was refused with says more.
    ask(Protocol::Tunnelled)
        .await
        .map_err(|failed| match failed {
            Failed::Dialling(fault) => fault,
            Failed::Upgrading(_) => refused(first, setup),
        })
}

enum Failed {
    Dialling(Fault),
    Upgrading(Error),
}

/// Whether a refusal may be about the protocol, and not about the pod or our rights.
fn is_of_protocol(error: &Error) -> bool {
    match error {
        Error::Http(response) => matches!(
            response.status(),
            StatusCode::BAD_REQUEST
                | StatusCode::NOT_ACCEPTABLE
                | StatusCode::UPGRADE_REQUIRED
                | StatusCode::NOT_IMPLEMENTED
        ),
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => true,
        _ => false,
    }
}

async fn attempt(
    dialer: &Dialer,
    setup: &Setup,
    way: &Way,
    (path, port): (&str, u16),
    protocol: Protocol,
    cut: &Cut,
) -> Result<Forward, Failed> {
    let mut tls = (*setup.tls).clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let clock = Clock::start();
    let (base, route, name) = (&way.base, &way.route, way.name.clone());
    let dialled = dialer.dial(base, route, Arc::new(tls), name, &clock).await;
    let stream = dialled.map_err(Failed::Dialling)?;
    let request = upgrade(setup, way, path, port, protocol).map_err(Failed::Dialling)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
        .max_write_buffer_size(WRITE_BUFFER_BYTES + MAX_MESSAGE_BYTES)
        .write_buffer_size(0);
    let upgraded = client_async_with_config(request, stream, Some(config)).await;
    let (mut socket, _) = upgraded.map_err(Failed::Upgrading)?;
    let framing = match protocol {
        Protocol::Channels => Framing::Channels([false; 2]),
        Protocol::Tunnelled => {
            let hello = Message::Binary(spdy::hello(port));
            socket.send(hello).await.map_err(Failed::Upgrading)?;
            Framing::Tunnelled {
                spdy: Spdy::default(),
                replies: VecDeque::new(),
            }
        }
    };
    Ok(Forward {
        socket,
        unread: BytesMut::new(),
        framing,
        is_over: false,
        cut: cut.clone(),
    })
}

fn upgrade(
    setup: &Setup,
    way: &Way,
    path: &str,
    port: u16,
    protocol: Protocol,
) -> Result<Request, Fault> {
    let base = &way.base;
    let url = format!("wss://{}{}{path}?ports={port}", base.authority, base.path);
    let mut request = url.into_client_request().map_err(|error| {
        fault(
            FaultReason::BadConfig,
            format!("no tunnel can be asked for: {error}"),
        )
    })?;
    let headers = request.headers_mut();
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(protocol.name()),
    );
    if let Some(authorization) = &setup.authorization {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}

/// Why there is no tunnel. The body is the server's `Status`, of which the message is shown.
fn refused(error: Error, setup: &Setup) -> Fault {
    let response = match error {
        Error::Http(response) => response,
        Error::Io(error) => return from_io(&error, "the tunnel could not be opened"),
        other => {
            let message = format!("the server does not upgrade to a tunnel: {other}");
            return fault(FaultReason::Tunnel, message);
        }
    };
    let status = response.status();
    let body = response.body().as_deref().unwrap_or_default();
    if setup.echo.is_in(body) {
        let message = "the refusal of a tunnel repeats the credential, so it was dropped";
        return fault(FaultReason::Protocol, message);
    }
    let text = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|status| Some(status.get("message")?.as_str()?.to_owned()))
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let text = clean(text.trim(), MAX_TEXT_BYTES);
    let reason = match status {
        StatusCode::UNAUTHORIZED => FaultReason::Unauthorized,
        StatusCode::FORBIDDEN => FaultReason::Forbidden,
        StatusCode::NOT_FOUND => FaultReason::NoPod,
        _ => FaultReason::Tunnel,
    };
    let message = match reason {
        FaultReason::Forbidden => format!(
            "the credential may not forward ports; it needs get and create of pods/portforward: {text}"
        ),
        _ => format!(
            "the server refused the tunnel with status {}: {text}",
            status.as_u16()
        ),
    };
    fault(reason, message)
}

/// The channel of a message and what came on it, without the announcement of the port.
fn of_channel(has_port: &mut [bool; 2], mut bytes: Bytes) -> Result<(u8, Bytes), &'static str> {
    let Some(channel) = bytes.first().copied() else {
        return Ok((DATA, bytes));
    };
    bytes.advance(1);
    let Some(has_port) = has_port.get_mut(usize::from(channel)) else {
        return Err("a message came on an unknown channel");
    };
    if !*has_port {
        *has_port = true;
        if bytes.len() < 2 {
            return Err("the port was not announced");
        }
        bytes.advance(2);
    }
    Ok((channel, bytes))
}

impl Forward {
    /// Takes one message in. An error is the end.
    fn take(&mut self, message: Message) -> io::Result<()> {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => {
                self.is_over = true;
                self.cut.note("it was closed");
                return Ok(());
            }
            // Pings are answered below.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Ok(()),
            Message::Text(_) => return Err(self.broken("a text message came")),
        };
        match &mut self.framing {
            Framing::Channels(has_port) => match of_channel(has_port, bytes) {
                Ok((DATA, bytes)) => self.give(&bytes),
                Ok((_, text)) if text.is_empty() => {}
                Ok((_, text)) => return Err(self.told(&text)),
                Err(why) => return Err(self.broken(why)),
            },
            Framing::Tunnelled { spdy, .. } => {
                spdy.take(&bytes);
                while let Some(event) = self.event()? {
                    self.follow(event)?;
                }
            }
        }
        Ok(())
    }

    fn event(&mut self) -> io::Result<Option<Event>> {
        let Framing::Tunnelled { spdy, .. } = &mut self.framing else {
            return Ok(None);
        };
        let event = spdy.next();
        event.map_err(|why| self.broken(why))
    }

    fn follow(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Data(bytes) => self.give(&bytes),
            Event::Failed(text) => return Err(self.told(&text)),
            Event::Over => {
                self.is_over = true;
                self.cut.note("it was closed");
            }
            Event::Reply(bytes) => {
                if let Framing::Tunnelled { replies, .. } = &mut self.framing {
                    replies.push_back(bytes);
                    if replies.len() > MAX_REPLIES {
                        return Err(self.broken("too many pings came"));
                    }
                }
            }
        }
        Ok(())
    }

    fn give(&mut self, bytes: &Bytes) {
        self.unread.extend_from_slice(bytes);
    }

    /// What the far end said before it gave up.
    fn told(&mut self, text: &[u8]) -> io::Error {
        let text = clean(&String::from_utf8_lossy(text), MAX_TEXT_BYTES);
        self.broken(&text)
    }

    /// Answers to pings, as far as the socket takes them.
    fn send_replies(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let Framing::Tunnelled { replies, .. } = &mut self.framing else {
            return Ok(());
        };
        let mut socket = Pin::new(&mut self.socket);
        while let Some(reply) = replies.front().cloned() {
            match socket.as_mut().poll_ready(cx)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) => {}
            }
            socket.as_mut().start_send(Message::Binary(reply))?;
            replies.pop_front();
            if socket.as_mut().poll_flush(cx)?.is_pending() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn broken(&mut self, why: &str) -> io::Error {
        self.is_over = true;
        self.cut.note(why);
        io::Error::new(io::ErrorKind::ConnectionReset, why.to_owned())
    }

    fn failed(&mut self, error: Error) -> io::Error {
        self.is_over = true;
        match error {
            Error::Io(error) => {
                self.cut.note(error.to_string());
                error
            }
            other => self.broken(&other.to_string()),
        }
    }
}

impl AsyncRead for Forward {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.unread.is_empty() {
                let count = self.unread.len().min(buffer.remaining());
                buffer.put_slice(&self.unread.split_to(count));
                return Poll::Ready(Ok(()));
            }
            if self.is_over {
                return Poll::Ready(Ok(()));
            }
            if let Err(error) = self.send_replies(cx) {
                return Poll::Ready(Err(self.failed(error)));
            }
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => self.take(message)?,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.failed(error))),
                Poll::Ready(None) => {
                    self.is_over = true;
                    self.cut.note("it was closed");
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncWrite for Forward {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Err(error) = std::task::ready!(Pin::new(&mut self.socket).poll_ready(cx)) {
            return Poll::Ready(Err(self.failed(error)));
        }
        let chunk = bytes
            .get(..bytes.len().min(CHUNK_BYTES))
            .unwrap_or_default();
        let message = Message::Binary(match self.framing {
            Framing::Channels(_) => [&[DATA], chunk].concat().into(),
            Framing::Tunnelled { .. } => spdy::data(chunk),
        });
        match Pin::new(&mut self.socket).start_send(message) {
            Ok(()) => Poll::Ready(Ok(chunk.len())),
            Err(error) => Poll::Ready(Err(self.failed(error))),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = std::task::ready!(Pin::new(&mut self.socket).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| self.failed(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match std::task::ready!(Pin::new(&mut self.socket).poll_close(cx)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(self.failed(error))),
        }
    }
}

//! A port-forward through the API server: a WebSocket whose messages are a byte stream to one port of a pod.
//!
//! The protocol is `v4.channel.k8s.io`: the first byte of a message is its channel, 0 for data and 1 for errors, and the
//! first message on each holds the port (two bytes, little-endian). There is no half-close: the stream ends with the socket.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Sink, Stream};
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
};

/// What both sides must speak.
const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;
/// What is written into one message; servers read 32 KiB at a time.
const CHUNK_BYTES: usize = 32 << 10;
/// Servers send what they read at once, which is far less.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Unsent bytes, beyond which writing waits.
const WRITE_BUFFER_BYTES: usize = 256 << 10;
/// Of a refusal's text.
const MAX_TEXT_BYTES: usize = 512;

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
    unread: Bytes,
    /// Whether the port was announced on the channel of that number.
    has_port: [bool; 2],
    is_over: bool,
    cut: Cut,
}

/// Opens a tunnel over a connection of its own: an upgrade takes a whole HTTP/1.1 connection.
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
    let mut tls = (*setup.tls).clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let clock = Clock::start();
    let stream = dialer
        .dial(
            &way.base,
            &way.route,
            Arc::new(tls),
            way.name.clone(),
            &clock,
        )
        .await?;
    let request = upgrade(setup, way, path, port)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
        .max_write_buffer_size(WRITE_BUFFER_BYTES + MAX_MESSAGE_BYTES)
        .write_buffer_size(0);
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(Forward {
            socket,
            unread: Bytes::new(),
            has_port: [false; 2],
            is_over: false,
            cut,
        }),
        Err(error) => Err(refused(error, setup)),
    }
}

fn upgrade(setup: &Setup, way: &Way, path: &str, port: u16) -> Result<Request, Fault> {
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
        HeaderValue::from_static(PROTOCOL),
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

impl Forward {
    /// Takes one message in. An error is the end.
    fn take(&mut self, message: Message) -> io::Result<()> {
        let mut bytes = match message {
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
        let Some(channel) = bytes.first().copied() else {
            return Ok(());
        };
        bytes.advance(1);
        let Some(has_port) = self.has_port.get_mut(usize::from(channel)) else {
            return Err(self.broken("a message came on an unknown channel"));
        };
        if !*has_port {
            *has_port = true;
            if bytes.len() < 2 {
                return Err(self.broken("the port was not announced"));
            }
            bytes.advance(2);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if channel == ERROR {
            let text = clean(&String::from_utf8_lossy(&bytes), MAX_TEXT_BYTES);
            return Err(self.broken(&text));
        }
        debug_assert_eq!(channel, DATA);
        if self.unread.is_empty() {
            self.unread = bytes;
        } else {
            let mut joined = BytesMut::from(&*self.unread);
            joined.extend_from_slice(&bytes);
            self.unread = joined.freeze();
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
        let mut message = BytesMut::with_capacity(chunk.len() + 1);
        message.extend_from_slice(&[DATA]);
        message.extend_from_slice(chunk);
        let message = Message::Binary(message.freeze());
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

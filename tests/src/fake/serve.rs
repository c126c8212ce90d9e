//! The server side of a fake.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::{Answer, Body, Door, Script, Seen, State};

type Pieces = BoxStream<'static, io::Result<Frame<Bytes>>>;

/// Accepts for as long as the fake lives; its connections end with this task.
pub(super) async fn listen(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Ended connections are forgotten on the way.
            Some(_) = connections.join_next() => continue,
        };
        if let Ok((stream, _)) = accepted {
            connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&state)));
        }
    }
}

struct Counted<'a>(&'a State);

impl<'a> Counted<'a> {
    fn new(state: &'a State) -> Self {
        let open = state.connections.fetch_add(1, Ordering::Relaxed) + 1;
        state.most_connections.fetch_max(open, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(mut stream: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) {
    let _counted = Counted::new(&state);
    // Small answers must not wait for each other; a socket that refuses this is slower, nothing else.
    let _ = stream.set_nodelay(true);
    let door = state.script().door;
    match door {
        Door::Open => {
            // A client that dislikes the certificate leaves here: that is its test.
            if let Ok(stream) = acceptor.accept(stream).await {
                http(stream, Arc::clone(&state)).await;
            }
        }
        Door::PlainHttp => http(stream, Arc::clone(&state)).await,
        Door::Close => {}
        Door::Garbage => {
            // The client may be gone before all of it is out.
            let _ = stream.write_all(&[0xEE; 512]).await;
        }
        Door::BlackHole => drain(stream).await,
    }
}

/// Reads and says nothing until the other side leaves.
async fn drain(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {}
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(move |request| respond(request, Arc::clone(&state)));
    // An error here is a client that left, or an answer that was ordered to break.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<StreamBody<Pieces>>, Infallible> {
    let path = request.uri().path().to_owned();
    let seen = record(request).await;
    let gate = enter(&state, &seen.target);
    if gate == Some(false) {
        opened(&state).await;
    }
    let (answer, latency) = choose(&state, &path, &seen);
    state.seen().push(seen);
    let wait = latency + answer.delay;
    if !wait.is_zero() {
        sleep(wait).await;
    }
    if gate == Some(true) {
        opened(&state).await;
    }
    Ok(render(answer))
}

/// Whether a request has to wait at the gate, and if so, whether only its answer does.
fn enter(state: &State, target: &str) -> Option<bool> {
    let mut waits = None;
    state.gate.send_if_modified(|gate| {
        let Some(gate) = gate.as_mut().filter(|gate| target.contains(&gate.part)) else {
            return false;
        };
        match gate.left.checked_sub(1) {
            Some(left) => gate.left = left,
            None => {
                gate.held += 1;
                waits = Some(gate.is_after);
            }
        }
        false
    });
    waits
}

async fn opened(state: &State) {
    // The sender lives as long as the state.
    let _ = state.gate.subscribe().wait_for(Option::is_none).await;
}

async fn record(request: Request<Incoming>) -> Seen {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let target = head
        .uri
        .path_and_query()
        .map_or_else(|| head.uri.path().to_owned(), ToString::to_string);
    Seen {
        at,
        method: head.method.to_string(),
        target,
        headers,
        // A body cut off by its sender is seen as none.
        body: body
            .collect()
            .await
            .map(|whole| whole.to_bytes().to_vec())
            .unwrap_or_default(),
    }
}

fn choose(state: &State, path: &str, seen: &Seen) -> (Answer, Duration) {
    let mut script = state.script();
    let authorization = seen.header("authorization");
    let expected = script.token.as_ref().map(|token| format!("Bearer {token}"));
    let answer = if expected.is_some() && expected.as_deref() != authorization {
        Answer::failure(401, "Unauthorized")
    } else if let Some((_, _, refusal)) =
        guard(&script, path).filter(|(_, wanted, _)| authorization != Some(wanted.as_str()))
    {
        refusal.clone()
    } else if script.keeps_puts && seen.method == "PUT" {
        let kind = seen.headers.iter().find(|(name, _)| name == "content-type");
        let kind = kind.map_or("application/octet-stream", |(_, kind)| kind);
        let length = seen.body.len().to_string();
        let kept = Answer::bytes(200, kind, seen.body.clone()).header("content-length", &length);
        script.paths.insert(path.to_owned(), kept);
        Answer::bytes(201, "text/plain", Vec::new())
    } else if let Some(answer) = script
        .paths
        .get(&format!("{} {path}", seen.method))
        .or(script.paths.get(path))
        .or(script.everywhere.as_ref())
    {
        answer.clone()
    } else if let Some(answer) = script
        .objects
        .as_mut()
        .and_then(|objects| objects.answer(&seen.method, &seen.target, &seen.body))
    {
        answer
    } else if let Some(body) = script.healthy.get(path) {
        Answer::json(200, body)
    } else if ["/readyz", "/livez", "/healthz"].contains(&path) {
        Answer::bytes(200, "text/plain", b"ok".to_vec())
    } else {
        Answer::failure(404, "NotFound")
    };
    (answer, script.latency)
}

/// The guard of the longest prefix.
fn guard<'a>(script: &'a Script, path: &str) -> Option<&'a (String, String, Answer)> {
    let of_path = script.guards.iter().filter(|g| path.starts_with(&g.0));
    of_path.max_by_key(|g| g.0.len())
}

fn render(answer: Answer) -> Response<StreamBody<Pieces>> {
    let mut response = Response::new(StreamBody::new(pieces(answer.body)));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (
            hyper::header::HeaderName::try_from(name),
            hyper::header::HeaderValue::try_from(value),
        ) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn pieces(body: Body) -> Pieces {
    let piece = |bytes: Vec<u8>| Ok(Frame::data(Bytes::from(bytes)));
    match body {
        Body::Whole(bytes) => stream::once(async move { piece(bytes) }).boxed(),
        Body::Trickle {
            bytes,
            piece: size,
            pause,
        } => {
            let parts: Vec<Vec<u8>> = bytes.chunks(size.max(1)).map(<[u8]>::to_vec).collect();
            stream::iter(parts)
                .then(move |part| async move {
                    sleep(pause).await;
                    piece(part)
                })
                .boxed()
        }
        Body::Endless(bytes) => {
            let bytes = Bytes::from(bytes);
            stream::repeat_with(move || Ok(Frame::data(bytes.clone()))).boxed()
        }
        Body::Stuck(bytes) => stream::once(async move { piece(bytes) })
            .chain(stream::pending())
            .boxed(),
        Body::Cut(bytes) => stream::once(async move { piece(bytes) })
            .chain(stream::once(async {
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            }))
            .boxed(),
    }
}

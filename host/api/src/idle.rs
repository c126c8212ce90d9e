//! Connections on which nothing happens, and which would keep their place from others: of a client that never asks, be it
//! silent or only opening HTTP/2, and of one that is long done.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;

/// The first request has come by then.
const FIRST: Duration = Duration::from_secs(10);
/// The next one on HTTP/2: its clients keep connections for up to 90 s, and are to be the ones that close them. HTTP/1
/// has the deadline of a head for it.
const NEXT: Duration = Duration::from_secs(180);

/// The requests under way on a connection.
#[derive(Debug, Clone)]
pub(crate) struct Activity(watch::Sender<usize>);

/// A request, until the last byte of its answer.
#[derive(Debug)]
pub(crate) struct Busy(watch::Sender<usize>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(watch::channel(0).0)
    }

    pub(crate) fn begin(&self) -> Busy {
        self.0.send_modify(|running| *running += 1);
        Busy(self.0.clone())
    }

    /// Returns when nothing has happened for too long.
    pub(crate) async fn rests(&self) {
        let mut running = self.0.subscribe();
        let mut patience = FIRST;
        loop {
            if *running.borrow_and_update() == 0 {
                match tokio::time::timeout(patience, running.changed()).await {
                    Ok(_) => patience = NEXT,
                    Err(_) => return,
                }
            } else {
                patience = NEXT;
                // We hold a sender, so it does not end.
                let _ = running.wait_for(|running| *running == 0).await;
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Busy {
    /// The answer, during which the connection is not idle.
    pub(crate) fn until_sent(self, answer: Response) -> Response {
        answer.map(|body| Body::new(Sent { body, _busy: self }))
    }
}

struct Sent {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use crate::{Listener, Serving};

    use super::*;

    /// Serves one client. Time passes as fast as nothing happens.
    #[expect(clippy::disallowed_methods, reason = "the client of the test")]
    async fn serving(client: impl AsyncFnOnce(TcpStream)) {
        let slow = || async {
            let line = |n: u64| async move {
                tokio::time::sleep(NEXT).await;
                Some((Ok::<_, axum::Error>(format!("line {n}\n")), n + 1))
            };
            let lines = futures::stream::unfold(1, line);
            Body::from_stream(futures::StreamExt::take(lines, 3))
        };
        let router = Router::new()
            .route("/fast", get(|| async { "done" }))
            .route("/slow", get(slow));
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.address().unwrap();
        let (_end, shutdown) = watch::channel(false);
        let grace = Duration::ZERO;
        let serving = listener.serve(router, Serving { shutdown, grace });
        let client = async { client(TcpStream::connect(address).await.unwrap()).await };
        tokio::select! {
            () = serving => unreachable!(),
            () = client => {}
        }
    }

    /// What a client that sends this is told until the connection ends, and after how long.
    async fn told(sent: &[u8]) -> (String, Duration) {
        let begun = tokio::time::Instant::now();
        let mut all = Vec::new();
        serving(async |mut stream: TcpStream| {
            stream.write_all(sent).await.unwrap();
            stream.read_to_end(&mut all).await.unwrap();
        })
        .await;
        (String::from_utf8_lossy(&all).into_owned(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_asks_is_let_go() {
        let opened = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        for sent in [&b""[..], b"GET / HT", opened] {
            let (_, after) = told(sent).await;
            assert!(after < 2 * FIRST + FIRST / 2, "{after:?}: {sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_long_is_no_rest() {
        let (said, _) = told(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(said.contains("line 3\n"), "{said}");
    }

    /// `GET /fast` on HTTP/2: preface, settings, one stream.
    const ASKED: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
        \0\0\x0c\x01\x05\0\0\0\x01\x82\x86\x04\x05/fast\x01\x01a";
    const PING: u8 = 6;

    #[tokio::test(start_paused = true)]
    async fn who_is_done_is_let_go_later_even_if_it_is_there() {
        let begun = tokio::time::Instant::now();
        let mut said = Vec::new();
        serving(async |mut stream: TcpStream| {
            stream.write_all(ASKED).await.unwrap();
            let mut head = [0; 9];
            while stream.read_exact(&mut head).await.is_ok() {
                let [a, b, c, kind, flags, ..] = head;
                let mut payload =
                    vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
                stream.read_exact(&mut payload).await.unwrap();
                said.extend_from_slice(&payload);
                if kind == PING && flags == 0 {
                    head[4] = 1;
                    stream
                        .write_all(&[&head[..], &payload].concat())
                        .await
                        .unwrap();
                }
            }
        })
        .await;
        let after = begun.elapsed();
        assert!(after >= NEXT && after < NEXT + 2 * FIRST, "{after:?}");
        assert!(said.windows(4).any(|word| word == b"done"));
    }
}

//! Bodies, within their caps: whole, or line by line.

use std::{
    io::{self, Write},
    pin::Pin,
};

use bytes::{Buf, Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use futures::stream::{self, Stream};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use optikon_core::words::{Fault, FaultReason};
use tokio::time::{Duration, Instant, timeout_at};

use crate::{fault::fault, pool::Marks};

/// How a body is encoded. We offer gzip and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Self::Identity);
        };
        match value.as_bytes() {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            _ => Err(fault(
                FaultReason::Protocol,
                "the body has an encoding that was not asked for",
            )),
        }
    }
}

fn too_large(what: &str, cap: u64) -> Fault {
    fault(
        FaultReason::TooLarge,
        format!("the {what} is larger than {cap} bytes"),
    )
}

/// A body whose silence is bounded.
pub(crate) struct Reader {
    body: Incoming,
    idle: Duration,
    deadline: Option<Instant>,
}

impl Reader {
    pub(crate) fn new(body: Incoming, idle: Duration, deadline: Option<Instant>) -> Self {
        Self {
            body,
            idle,
            deadline,
        }
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self, marks: &Marks) -> Result<Option<Bytes>, Fault> {
        loop {
            let idle_at = Instant::now() + self.idle;
            let until = self.deadline.map_or(idle_at, |d| d.min(idle_at));
            let Ok(frame) = timeout_at(until, self.body.frame()).await else {
                let message = if until == idle_at {
                    format!(
                        "timeout in body: nothing came for {} ms",
                        self.idle.as_millis()
                    )
                } else {
                    "timeout in body: the time for the stream is over".into()
                };
                return Err(fault(FaultReason::Timeout, message));
            };
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(marks.explain(&error)),
                // Trailers are of no use to anybody.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// Reads a body to its end.
    pub(crate) async fn whole(
        mut self,
        encoding: Encoding,
        cap: u64,
        marks: &Marks,
    ) -> Result<Bytes, Fault> {
        if self.body.size_hint().lower() > cap {
            return Err(too_large("body", cap));
        }
        let mut decoder = MultiGzDecoder::new(Capped::new(cap));
        let mut plain = BytesMut::new();
        let mut wire_bytes = 0u64;
        while let Some(data) = self.next(marks).await? {
            wire_bytes = wire_bytes.saturating_add(data.len() as u64);
            if wire_bytes > cap {
                return Err(too_large("body", cap));
            }
            match encoding {
                Encoding::Identity => plain.extend_from_slice(&data),
                Encoding::Gzip => decoder
                    .write_all(&data)
                    .map_err(|_| gzip_fault(decoder.get_ref()))?,
            }
        }
        if encoding == Encoding::Identity || wire_bytes == 0 {
            return Ok(plain.freeze());
        }
        decoder
            .try_finish()
            .map_err(|_| gzip_fault(decoder.get_ref()))?;
        Ok(std::mem::take(&mut decoder.get_mut().bytes).into())
    }
}

fn gzip_fault(sink: &Capped) -> Fault {
    if sink.is_over {
        too_large("decompressed body", sink.cap)
    } else {
        fault(
            FaultReason::Protocol,
            "the body is not the gzip it claims to be",
        )
    }
}

/// Takes so many bytes and no more.
struct Capped {
    bytes: Vec<u8>,
    cap: u64,
    is_over: bool,
}

impl Capped {
    fn new(cap: u64) -> Self {
        Self {
            bytes: Vec::new(),
            cap,
            is_over: false,
        }
    }
}

impl Write for Capped {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + piece.len()) as u64 > self.cap {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a line may be passed on, and what lives as long as its stream.
pub(crate) trait Held: Send {
    fn marks(&self) -> &Marks;
    fn check(&self, line: &[u8]) -> Result<(), Fault>;
    /// The body was read to its end.
    fn finish(self);
}

struct Lines<H> {
    reader: Reader,
    buffer: BytesMut,
    /// Up to here there is no newline.
    searched: usize,
    cap: usize,
    held: H,
}

/// A body's lines. Dropping the stream drops the body, which cancels the request.
pub(crate) fn lines<H: Held + 'static>(
    reader: Reader,
    cap: usize,
    held: H,
) -> Pin<Box<dyn Stream<Item = Result<Bytes, Fault>> + Send>> {
    let start = Lines {
        reader,
        buffer: BytesMut::new(),
        searched: 0,
        cap,
        held,
    };
    Box::pin(stream::unfold(Some(start), |state| async {
        let mut state = state?;
        match state.next().await {
            Ok(Some(line)) => Some((Ok(line), Some(state))),
            Ok(None) => {
                state.held.finish();
                None
            }
            Err(fault) => Some((Err(fault), None)),
        }
    }))
}

impl<H: Held> Lines<H> {
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', unsearched) {
                let line = self.buffer.split_to(self.searched + at);
                self.buffer.advance(1);
                self.searched = 0;
                return self.checked(line).map(Some);
            }
            self.searched = self.buffer.len();
            if self.searched > self.cap {
                return Err(too_large("line", self.cap as u64));
            }
            match self.reader.next(self.held.marks()).await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    let rest = self.buffer.split();
                    self.searched = 0;
                    return self.checked(rest).map(Some);
                }
            }
        }
    }

    fn checked(&self, line: BytesMut) -> Result<Bytes, Fault> {
        if line.len() > self.cap {
            return Err(too_large("line", self.cap as u64));
        }
        self.held.check(&line)?;
        Ok(line.freeze())
    }
}

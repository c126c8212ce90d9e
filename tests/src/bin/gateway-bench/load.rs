//! Load: HTTP/1.1 on kept connections, written and read by hand, so that the client costs little of the machine that
//! it shares with the server.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Where, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) address: String,
    /// Bearer token.
    pub(crate) token: String,
}

impl Target {
    /// Of a base such as `http://127.0.0.1:7700`.
    pub(crate) fn new(base: &str, token: &str) -> Result<Self> {
        let address = base.strip_prefix("http://");
        Ok(Self {
            address: address.context("the load speaks plain HTTP")?.to_owned(),
            token: token.to_owned(),
        })
    }

    /// A GET with more header lines, each ended.
    pub(crate) fn get(&self, path: &str, headers: &str) -> Vec<u8> {
        let Self { address, token } = self;
        format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
        )
        .into_bytes()
    }
}

/// One kept connection.
#[derive(Debug)]
pub(crate) struct Kept {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Kept {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the client, not the gateway"
    )]
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(&target.address)
            .await
            .with_context(|| format!("connect to {}", target.address))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(64 << 10),
        })
    }

    /// Sends a request and reads its answer to the end. A status other than 200 is an error.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|value| value.trim().parse::<usize>().ok())
            .with_context(|| format!("an answer without a length: {text}"))?;
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        let body = self.buffer[head..].to_vec();
        if !text.starts_with("http/1.1 200 ") {
            bail!("{text}{}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(())
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

/// What a load came to.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Of every answer.
    pub(crate) times: Vec<Duration>,
    /// How long it ran.
    pub(crate) took: Duration,
}

impl Figures {
    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// The time within which this share of answers came, in milliseconds.
    pub(crate) fn quantile_ms(&mut self, share: f64) -> f64 {
        self.times.sort_unstable();
        quantile(&self.times, share)
            .unwrap_or_default()
            .as_secs_f64()
            * 1000.0
    }
}

/// Of a sorted list.
fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5).unwrap_or_default()
}

/// The same request on so many connections, each asking again when it is answered.
pub(crate) async fn closed(
    target: &Target,
    request: &[u8],
    connections: usize,
    during: Duration,
) -> Result<Figures> {
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Kept::open(target).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut kept in opened {
        let request = request.to_vec();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < during {
                let asked = Instant::now();
                kept.ask(&request).await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(Figures {
        times,
        took: begun.elapsed(),
    })
}

/// One request after the other at a fixed rate, whether or not those before were answered, each on a connection of its
/// own; a time counts from when the request was due.
pub(crate) async fn open(
    target: &Target,
    requests: impl Iterator<Item = Vec<u8>>,
    per_second: f64,
) -> Result<Figures> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, request) in requests.enumerate() {
        let due = begun + Duration::from_secs_f64(number as f64 / per_second);
        tokio::time::sleep_until(due.into()).await;
        let target = target.clone();
        tasks.spawn(async move {
            let mut kept = Kept::open(&target).await?;
            kept.ask(&request).await?;
            anyhow::Ok(due.elapsed())
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.push(done??);
    }
    Ok(Figures {
        times,
        took: begun.elapsed(),
    })
}

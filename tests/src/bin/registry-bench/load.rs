//! Requests one after the other or at a rate, and how long each took.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use optikon_tests::client::trusting;
use serde_json::Value;
use tokio::task::JoinSet;

/// Requests a second while a registry changes.
const RATE: u64 = 200;
/// Before it does.
const CALM: Duration = Duration::from_secs(5);
/// Changes whose way to a watch is measured.
pub(crate) const CHANGES: usize = 100;

/// A client that keeps its connections, as a program would.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    base: String,
    token: String,
    inner: reqwest::Client,
}

/// Milliseconds, sorted.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<f64>);

/// What a load saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) times: Times,
    pub(crate) failed: usize,
}

impl Seen {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        let times = self.times.0.into_iter().chain(other.times.0);
        Self {
            failed: self.failed + other.failed,
            times: Times::new(times.collect()),
        }
    }
}

impl Times {
    fn new(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// 0 when nothing was measured.
    pub(crate) fn quantile(&self, at: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        let index = (last * at).round() as usize;
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

impl Http {
    pub(crate) fn new(base: &str, ca: Option<&str>, token: &str) -> Result<Self> {
        let inner = reqwest::Client::builder()
            .tls_backend_preconfigured(trusting(ca)?)
            .no_proxy()
            .build()?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
            inner,
        })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>> {
        let response = request.bearer_auth(&self.token).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body.into())
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Value> {
        let request = self.inner.get(format!("{}{path}", self.base));
        Ok(serde_json::from_slice(&self.send(request).await?)?)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<()> {
        self.send(self.inner.get(format!("{}{path}", self.base)))
            .await
            .map(drop)
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.inner.put(format!("{}{path}", self.base)).json(body);
        Ok(serde_json::from_slice(&self.send(request).await?)?)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<()> {
        self.send(self.inner.post(format!("{}{path}", self.base)).json(body))
            .await
            .map(drop)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.send(self.inner.delete(format!("{}{path}", self.base)))
            .await
            .map(drop)
    }

    /// One after the other.
    pub(crate) async fn repeat<F: Future<Output = Result<()>>>(
        &self,
        count: usize,
        request: impl Fn(Self, usize) -> F,
    ) -> Result<Times> {
        let mut times = Vec::with_capacity(count);
        for n in 0..count {
            let begun = Instant::now();
            request(self.clone(), n).await?;
            times.push(millis(begun));
        }
        Ok(Times::new(times))
    }
}

async fn at_a_rate(http: Http, ends: Arc<AtomicBool>) -> Seen {
    let mut tick = tokio::time::interval(Duration::from_millis(1000 / RATE));
    let mut requests = JoinSet::new();
    let mut seen = Vec::new();
    while !ends.load(Ordering::Relaxed) {
        tick.tick().await;
        let http = http.clone();
        requests.spawn(async move {
            let begun = Instant::now();
            let done = http.get("/cluster/read-0001?probe=cached").await;
            (millis(begun), done.is_ok())
        });
    }
    while let Some(Ok(request)) = requests.join_next().await {
        seen.push(request);
    }
    Seen {
        failed: seen.iter().filter(|(_, is_ok)| !is_ok).count(),
        times: Times::new(seen.into_iter().map(|(ms, _)| ms).collect()),
    }
}

/// The load while nothing else is.
pub(crate) async fn calm(http: &Http) -> Result<Seen> {
    during(http, async {
        tokio::time::sleep(CALM).await;
        Ok(())
    })
    .await
}

/// The load during something.
pub(crate) async fn during(http: &Http, work: impl Future<Output = Result<()>>) -> Result<Seen> {
    let ends = Arc::new(AtomicBool::new(false));
    let load = at_a_rate(http.clone(), Arc::clone(&ends));
    let (seen, done) = tokio::join!(load, async {
        let done = work.await;
        ends.store(true, Ordering::Relaxed);
        done
    });
    done?;
    Ok(seen)
}

/// From the answer to a change on the central cluster to the event on a watch of the gateway.
pub(crate) async fn events(
    http: &Http,
    central: &Http,
    collection: &str,
    object: fn(&str) -> Value,
) -> Result<Times> {
    let request = http.inner.get(format!("{}/cluster?watch=true", http.base));
    let mut lines = request
        .bearer_auth(&http.token)
        .send()
        .await?
        .bytes_stream();
    let (mut text, mut times) = (String::new(), Vec::new());
    for n in 0..CHANGES {
        let name = format!("event-{n}");
        central.post(collection, &object(&name)).await?;
        let begun = Instant::now();
        let wanted = format!("\"name\":\"{name}\"");
        while !text.contains(&wanted) {
            let chunk = lines.next().await.context("the watch ended")??;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        times.push(millis(begun));
        text.clear();
    }
    Ok(Times::new(times))
}

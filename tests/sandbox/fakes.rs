//! What the engine's host functions lead to here: keys in memory, a peer that counts, a log that is read back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use optikon_core::{
    Error, Result,
    ports::{Change, ChangeStream, Connection, Entry, Expectation, Kv, Scan, World},
    words::{
        Fault, FaultReason, LineStream, Mapping, Refusal, Request, ResourceGrant, Response,
        SlotName,
    },
};
use optikon_engine::Peers;

/// Keys in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryKv(Mutex<BTreeMap<String, Entry>>);

#[async_trait]
impl Kv for MemoryKv {
    async fn get(&self, _: &SlotName, key: &str) -> Result<Option<Entry>> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    async fn scan(
        &self,
        _: &SlotName,
        prefix: &str,
        limit: u32,
        _: Option<String>,
    ) -> Result<Scan> {
        let all = self.0.lock().unwrap();
        let found = all.values().filter(|e| e.key.starts_with(prefix));
        Ok(Scan {
            entries: found.take(limit as usize).cloned().collect(),
            version: all.len() as u64,
            next: None,
        })
    }

    async fn put(&self, _: &SlotName, key: &str, value: Vec<u8>, _: Expectation) -> Result<u64> {
        let mut all = self.0.lock().unwrap();
        let entry = Entry {
            key: key.to_owned(),
            value,
            version: 1,
        };
        all.insert(key.to_owned(), entry);
        Ok(1)
    }

    async fn delete(&self, _: &SlotName, key: &str, _: Expectation) -> Result<u64> {
        match self.0.lock().unwrap().remove(key) {
            Some(_) => Ok(2),
            None => Err(Error::not_found("key", key)),
        }
    }

    async fn watch(&self, _: &SlotName, _: &str, _: Option<u64>) -> Result<ChangeStream> {
        Ok(stream::iter([Ok(Change::Bookmark(1))]).boxed())
    }
}

/// A peer that answers and counts.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
    pub(crate) requests: AtomicUsize,
}

struct UnderWay<'a>(&'a Peer);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Connection for Peer {
    fn name(&self) -> &str {
        "edge-1"
    }

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        let _under_way = UnderWay(self);
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        // Long enough for every other request that may be under way to begin.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let size = if request.path == "/big" { 17 << 20 } else { 2 };
        Ok(Response {
            status: 200,
            headers: Vec::new(),
            body: Bytes::from(vec![b' '; size]),
            phases: Vec::new(),
        })
    }

    async fn lines(&self, _: Request) -> Result<LineStream, Refusal> {
        let first = stream::iter([Ok(Bytes::from_static(b"{}"))]);
        Ok(first.chain(stream::pending()).boxed())
    }

    async fn mapping(&self, _: &str, _: &str, _: &str) -> Result<Option<Mapping>, Fault> {
        Ok(None)
    }
}

/// One central cluster and no upstreams.
#[derive(Debug, Default)]
pub(crate) struct OnePeer {
    pub(crate) peer: Arc<Peer>,
    pub(crate) grants: Mutex<Vec<ResourceGrant>>,
}

#[async_trait]
impl Peers for OnePeer {
    async fn central(
        &self,
        _: &SlotName,
        _: Option<&str>,
        grants: &[ResourceGrant],
    ) -> Result<Arc<dyn Connection>, Fault> {
        *self.grants.lock().unwrap() = grants.to_vec();
        Ok(Arc::clone(&self.peer) as Arc<dyn Connection>)
    }

    async fn upstream(&self, _: &SlotName, name: &str) -> Result<Arc<dyn Connection>, Fault> {
        Err(Fault::new(
            FaultReason::BadConfig,
            format!("no upstream {name}"),
        ))
    }
}

/// A clock that stands still and dice that always fall alike.
#[derive(Debug)]
pub(crate) struct Still;

impl World for Still {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }

    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(4);
    }
}

/// Log lines of this thread, while it lives.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(crate) fn capture() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let guard = tracing::subscriber::set_default(Collector(Arc::clone(&lines)));
        Self {
            lines,
            _guard: guard,
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

struct Collector(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "optikon::plugin"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

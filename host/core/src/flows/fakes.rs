//! Ports in memory, for tests of the use-cases.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;

use crate::{
    error::Result,
    ports::{Bound, Channel, Connection, Documents, Table, Vault, VaultEntry, World},
    words::{Fault, FaultReason, LineStream, Mapping, PodTarget, Refusal, Request, Response},
};

/// A cluster that answers each request by a rule, and has no pod.
pub(crate) struct FakeConnection<F>(pub(crate) F);

impl<F> fmt::Debug for FakeConnection<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeConnection")
    }
}

#[async_trait]
impl<F> Connection for FakeConnection<F>
where
    F: Fn(&Request) -> (u16, serde_json::Value) + Send + Sync,
{
    fn name(&self) -> &'static str {
        "edge"
    }

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        let (status, body) = (self.0)(&request);
        Ok(Response {
            status,
            headers: Vec::new(),
            body: body.to_string().into(),
            phases: Vec::new(),
        })
    }

    async fn lines(&self, _: Request) -> Result<LineStream, Refusal> {
        unreachable!()
    }

    async fn mapping(&self, _: &str, _: &str, _: &str) -> Result<Option<Mapping>, Fault> {
        unreachable!()
    }

    async fn dial(&self, target: PodTarget) -> Result<Arc<dyn Channel>, Fault> {
        Err(Fault::new(FaultReason::NoPod, target.namespace))
    }
}

/// A clock that stands still until told, and predictable bytes that never repeat.
#[derive(Debug, Default)]
pub(crate) struct FakeWorld {
    pub(crate) now_ms: AtomicU64,
    count: AtomicU64,
}

impl World for FakeWorld {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(SeqCst)
    }

    fn random(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = (self.count.fetch_add(1, SeqCst) % 251) as u8;
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct MemoryVault {
    entries: Mutex<BTreeMap<String, VaultEntry>>,
    bytes: Mutex<BTreeMap<String, Vec<u8>>>,
}

#[async_trait]
impl Vault for MemoryVault {
    async fn seal(&self, id: &str, entry: VaultEntry) -> Result<()> {
        self.entries.lock().unwrap().insert(id.into(), entry);
        Ok(())
    }

    async fn open(&self, id: &str) -> Result<Option<VaultEntry>> {
        Ok(self.entries.lock().unwrap().get(id).cloned())
    }

    async fn bounds(&self) -> Result<BTreeMap<String, (Bound, Option<u64>)>> {
        let entries = self.entries.lock().unwrap();
        Ok(entries
            .iter()
            .map(|(k, v)| (k.clone(), (v.bound.clone(), v.expires_ms)))
            .collect())
    }

    async fn erase(&self, id: &str) -> Result<()> {
        self.entries.lock().unwrap().remove(id);
        self.bytes.lock().unwrap().remove(id);
        Ok(())
    }

    async fn seal_bytes(&self, id: &str, bytes: &[u8]) -> Result<()> {
        self.bytes.lock().unwrap().insert(id.into(), bytes.to_vec());
        Ok(())
    }

    async fn open_bytes(&self, id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.bytes.lock().unwrap().get(id).cloned())
    }
}

type Rows = BTreeMap<(Table, String), Vec<u8>>;

#[derive(Debug, Default)]
pub(crate) struct MemoryDocuments {
    rows: Mutex<Rows>,
    counters: Mutex<BTreeMap<String, u64>>,
    audit: Mutex<Vec<serde_json::Value>>,
}

#[async_trait]
impl Documents for MemoryDocuments {
    async fn read(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self
            .rows
            .lock()
            .unwrap()
            .get(&(table, key.to_owned()))
            .cloned())
    }

    async fn scan_documents(
        &self,
        table: Table,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let rows = self.rows.lock().unwrap();
        let fits = |k: &str| k.starts_with(prefix) && after.is_none_or(|a| k > a);
        let found = rows.iter().filter(|((t, k), _)| *t == table && fits(k));
        Ok(found
            .map(|((_, k), v)| (k.clone(), v.clone()))
            .take(limit)
            .collect())
    }

    async fn write(&self, changes: Vec<(Table, String, Option<Vec<u8>>)>) -> Result<()> {
        let mut rows = self.rows.lock().unwrap();
        for (table, key, value) in changes {
            match value {
                Some(value) => rows.insert((table, key), value),
                None => rows.remove(&(table, key)),
            };
        }
        Ok(())
    }

    async fn reserve(&self, counter: &str, count: u64) -> Result<u64> {
        let mut counters = self.counters.lock().unwrap();
        let next = counters.entry(counter.into()).or_insert(1);
        let first = *next;
        *next += count;
        Ok(first)
    }

    fn audit(&self, record: serde_json::Value) {
        self.audit.lock().unwrap().push(record);
    }

    async fn audit_records(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, serde_json::Value)>> {
        let audit = self.audit.lock().unwrap();
        let numbered = audit
            .iter()
            .enumerate()
            .map(|(i, r)| (i as u64, r.clone()))
            .rev();
        Ok(numbered
            .filter(|(i, _)| before.is_none_or(|b| *i < b))
            .take(limit)
            .collect())
    }

    fn writable(&self) -> std::result::Result<(), String> {
        Ok(())
    }
}

//! A gateway over ports in memory: no registry answers, no member exists, and what is written lasts as long as the test.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use optikon_api::{Check, Gateway, Metrics, ReadyChecks, Served, Version};
use optikon_core::{
    Error, Result,
    flows::{
        access::Tokens,
        charts::ChartFlows,
        clusters::Clusters,
        custody::Custody,
        looks::Looks,
        mirror::Mirror,
        swap::{Swaps, SwapsDeps},
    },
    ports::{
        Archives, Bound, Call, Candidate, Connection, Documents, EventStream, Fetch, Fetched,
        Fetcher, Filling, Inspection, Object, Outbound, Page, PluginInfo, Plugins, Prober,
        Registry, SlotInfo, SlotMetrics, Slots, Supported, Table, Vault, VaultEntry, World,
    },
    words::{
        Cluster, ClusterName, Depth, Fault, FaultReason, Member, Observation, PluginName, Rules,
        SlotName, Uid,
    },
};
use tokio::sync::watch;

fn away<T>() -> Result<T> {
    Err(Error::Unsupported("the test has none".into()))
}

/// Bytes that never repeat; the clock stands still.
#[derive(Debug, Default)]
struct Still(AtomicU64);

impl World for Still {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000
    }

    fn random(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let number = self
                .0
                .fetch_add(1, SeqCst)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&number.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// Every other port: nobody is there.
#[derive(Debug, Default)]
struct Nobody;

#[async_trait]
impl Fetcher for Nobody {
    async fn fetch(&self, _: Fetch) -> Result<Fetched, Fault> {
        Err(Fault::new(FaultReason::Connect, "nobody is there"))
    }
}

#[async_trait]
impl Registry for Nobody {
    async fn supported(&self) -> Result<Supported> {
        away()
    }
    async fn check(&self, _: Call) -> Result<()> {
        away()
    }
    async fn list(&self, _: Call, _: &str, _: u32, _: Option<String>) -> Result<Page> {
        away()
    }
    async fn get(&self, _: Call, _: &ClusterName) -> Result<Object> {
        away()
    }
    async fn create(&self, _: Call, _: &Cluster, _: bool) -> Result<Object> {
        away()
    }
    async fn update(&self, _: Call, _: &Cluster, _: Option<String>, _: bool) -> Result<Object> {
        away()
    }
    async fn set_status(&self, _: Call, _: &ClusterName, _: &Uid, _: &str) -> Result<Object> {
        away()
    }
    async fn delete(
        &self,
        _: Call,
        _: &ClusterName,
        _: Option<&Uid>,
        _: Option<String>,
        _: bool,
    ) -> Result<Object> {
        away()
    }
    async fn watch(&self, _: &str, _: Option<String>) -> Result<EventStream> {
        away()
    }
}

#[async_trait]
impl Prober for Nobody {
    async fn probe(&self, _: Call, _: Arc<dyn Connection>, _: Depth) -> Result<Observation> {
        away()
    }
}

impl Outbound for Nobody {
    fn connect(&self, member: &Member, _: Rules, _: bool) -> Arc<dyn Connection> {
        panic!("a connection to {member:?}, and no test here has a member")
    }
    fn forget(&self, _: &Uid) {}
    fn closed(&self) -> BoxStream<'static, Uid> {
        stream::empty().boxed()
    }
}

#[async_trait]
impl Plugins for Nobody {
    fn metrics(&self) -> Vec<SlotMetrics> {
        Vec::new()
    }
    fn slots(&self) -> Vec<SlotInfo> {
        Vec::new()
    }
    async fn available(&self) -> Result<Vec<Inspection>> {
        Ok(Vec::new())
    }
    async fn inspect(&self, _: &Path) -> Result<Inspection> {
        away()
    }
}

#[async_trait]
impl Slots for Nobody {
    fn present(&self, _: &SlotName) -> Option<Filling> {
        None
    }
    fn info(&self, _: &SlotName) -> Option<SlotInfo> {
        None
    }
    async fn look(&self, _: &PluginName) -> Result<PluginInfo> {
        away()
    }
    async fn load(&self, _: &SlotName, _: &Filling) -> Result<Arc<dyn Candidate>> {
        away()
    }
    async fn keep_only(&self, _: &[Filling]) {}
}

#[async_trait]
impl Archives for Nobody {
    async fn keep(&self, _: Bytes) -> Result<String> {
        away()
    }
    async fn fetch(&self, digest: &str) -> Result<Bytes> {
        Err(Error::not_found("archive", digest))
    }
    async fn drop_archive(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Vault for Nobody {
    async fn seal(&self, _: &str, _: VaultEntry) -> Result<()> {
        away()
    }
    async fn open(&self, _: &str) -> Result<Option<VaultEntry>> {
        Ok(None)
    }
    async fn bounds(&self) -> Result<BTreeMap<String, (Bound, Option<u64>)>> {
        Ok(BTreeMap::new())
    }
    async fn erase(&self, _: &str) -> Result<()> {
        Ok(())
    }
    async fn seal_bytes(&self, _: &str, _: &[u8]) -> Result<()> {
        away()
    }
    async fn open_bytes(&self, _: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

impl ReadyChecks for Nobody {
    fn checks(&self) -> Vec<Check> {
        Vec::new()
    }
}

/// Documents and audit records in memory.
#[derive(Debug, Default)]
struct Rows {
    rows: Mutex<BTreeMap<(Table, String), Vec<u8>>>,
    counter: AtomicU64,
}

#[async_trait]
impl Documents for Rows {
    async fn read(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        let rows = self.rows.lock().unwrap();
        Ok(rows.get(&(table, key.to_owned())).cloned())
    }
    async fn scan_documents(
        &self,
        table: Table,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let rows = self.rows.lock().unwrap();
        let fits = |(t, k): &(Table, String)| {
            *t == table && k.starts_with(prefix) && after.is_none_or(|after| k.as_str() > after)
        };
        let found = rows.iter().filter(|(key, _)| fits(key)).take(limit);
        Ok(found
            .map(|((_, key), value)| (key.clone(), value.clone()))
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
    async fn reserve(&self, _: &str, count: u64) -> Result<u64> {
        Ok(self.counter.fetch_add(count, SeqCst) + 1)
    }
    fn audit(&self, _: serde_json::Value) {}
    async fn audit_records(
        &self,
        _: Option<u64>,
        _: usize,
    ) -> Result<Vec<(u64, serde_json::Value)>> {
        Ok(Vec::new())
    }
    fn writable(&self) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// The gateway, and what keeps it from shutting down.
pub async fn gateway() -> (Gateway, watch::Sender<bool>) {
    let world: Arc<dyn World> = Arc::new(Still::default());
    let documents: Arc<dyn Documents> = Arc::new(Rows::default());
    let nobody = Arc::new(Nobody);
    let mirror = Arc::new(Mirror::new(1, 1_000));
    let custody = Custody::new(nobody.clone(), world.clone());
    let looks = Looks::new(
        nobody.clone(),
        nobody.clone(),
        custody.clone(),
        mirror.clone(),
        world.clone(),
    );
    let clusters = Clusters::new(
        nobody.clone(),
        looks,
        mirror,
        custody,
        nobody.clone(),
        documents.clone(),
        world.clone(),
    );
    let charts = ChartFlows::new(
        clusters.clone(),
        BTreeMap::new(),
        nobody.clone(),
        nobody.clone(),
        documents.clone(),
        nobody.clone(),
        world.clone(),
    );
    let swaps = Swaps::new(SwapsDeps {
        clusters: clusters.clone(),
        charts: charts.clone(),
        slots: nobody.clone(),
        registry: nobody.clone(),
        documents: documents.clone(),
        vault: nobody.clone(),
        world: world.clone(),
        swapped: watch::channel(0).0,
        is_managed_by_file: false,
    });
    let tokens = Tokens::load(documents.clone(), world.clone())
        .await
        .unwrap();
    let (keep, shutdown) = watch::channel(false);
    let gateway = Gateway::from(Served {
        clusters,
        charts,
        swaps,
        tokens: Arc::new(tokens),
        plugins: nobody.clone(),
        documents,
        world,
        metrics: Arc::new(Metrics::default()),
        checks: nobody,
        version: Arc::new(Version {
            version: "0.0.0".into(),
            commit: None,
            interfaces: Vec::new(),
        }),
        echo: Arc::default(),
        hosts: Arc::default(),
        certificates: Arc::default(),
        shutdown,
        trace_parent: |_, _| {},
    });
    (gateway, keep)
}

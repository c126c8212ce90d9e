//! The ports of an operation in memory: a journal that can be held back, a backend, and clusters that note what they are asked.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    error::{Error, Result},
    flows::fakes::{FakeConnection, MemoryDocuments},
    ports::{
        Archives, Call, Charts, Connection, Content, Documents, EventStream, Facts, Fetch, Fetched,
        Fetcher, Object, ObjectChange, Outbound, Outcome, Page, Prepared, Prober, Registry,
        Release, Supported, Table,
    },
    words::{Cluster, ClusterName, Depth, Fault, Member, Method, Observation, Request, Rules, Uid},
};

/// What happened, in its order: requests by method and cluster, `begun` and `ended` as the journal knows them.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// A journal that notes when it knows how a target is, and knows of its begin when it is let.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) inner: MemoryDocuments,
    pub(super) log: Log,
    /// None while a begin waits; whether it is taken then.
    pub(super) lets: watch::Receiver<Option<bool>>,
}

#[async_trait]
impl Documents for Journal {
    async fn read(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        self.inner.read(table, key).await
    }
    async fn scan_documents(
        &self,
        table: Table,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        self.inner.scan_documents(table, prefix, after, limit).await
    }
    async fn write(&self, changes: Vec<(Table, String, Option<Vec<u8>>)>) -> Result<()> {
        let events = changes.iter().filter(|c| c.0 == Table::OperationEvents);
        let events = events.filter_map(|c| serde_json::from_slice::<Value>(c.2.as_ref()?).ok());
        let states: Vec<Value> = events
            .filter(|e| e["type"] == "target")
            .map(|e| e["state"].clone())
            .collect();
        let is_begin = states.contains(&json!("running"));
        if is_begin {
            let mut lets = self.lets.clone();
            let is_taken = *lets.wait_for(Option::is_some).await.unwrap() == Some(true);
            if !is_taken {
                return Err(Error::unavailable("the disk is full"));
            }
        }
        self.inner.write(changes).await?;
        let word = if is_begin { "begun" } else { "ended" };
        if !states.is_empty() {
            self.log.lock().unwrap().push(word.to_owned());
        }
        Ok(())
    }
    async fn reserve(&self, counter: &str, count: u64) -> Result<u64> {
        self.inner.reserve(counter, count).await
    }
    fn audit(&self, record: Value) {
        self.inner.audit(record);
    }
    async fn audit_records(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, serde_json::Value)>> {
        self.inner.audit_records(before, limit).await
    }
    fn writable(&self) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// A backend that looks at the cluster and then changes it; the cluster notes what it is asked. Nobody else is there.
#[derive(Debug, Default)]
pub(super) struct Ports {
    pub(super) log: Log,
    /// Of the clusters.
    pub(super) names: Vec<String>,
    /// Where all are one cluster, its name.
    pub(super) alias: Option<ClusterName>,
}

impl Ports {
    /// The clusters, as a registry has them.
    pub(super) fn registered(&self) -> Vec<Object> {
        let object = |name: &String| {
            let object = json!({
                "metadata": {"name": name, "uid": format!("uid-of-{name}")},
                "spec": {"kubernetesApiEndpoints": {"serverEndpoints": [
                    {"clientCIDR": "0.0.0.0/0", "serverAddress": format!("https://{name}.example")},
                ]}},
            });
            Object {
                cluster: Cluster::from_json(&object.to_string()).unwrap(),
                revision: "1".into(),
            }
        };
        self.names.iter().map(object).collect()
    }
}

impl Outbound for Ports {
    fn connect(&self, member: &Member, _: Rules, _: bool) -> Arc<dyn Connection> {
        let (log, who) = (self.log.clone(), member.name.clone());
        let identity = self.alias.as_ref().unwrap_or(&who).to_string();
        Arc::new(FakeConnection(move |request: &Request| {
            if request.path == "/api/v1/namespaces/kube-system" {
                return (200, json!({"metadata": {"uid": identity}}));
            }
            let asked = format!("{:?} of {who}", request.method);
            log.lock().unwrap().push(asked);
            (200, json!({}))
        }))
    }
    fn forget(&self, _: &Uid) {}
    fn closed(&self) -> BoxStream<'static, Uid> {
        stream::empty().boxed()
    }
}

#[async_trait]
impl Charts for Ports {
    async fn describe(&self, _: Call, _: Bytes) -> Result<Value> {
        unreachable!()
    }
    async fn prepare(
        &self,
        _: Call,
        _: Bytes,
        _: Vec<String>,
        _: Facts,
        _: Option<Arc<dyn Connection>>,
    ) -> Result<Prepared> {
        unreachable!()
    }
    async fn install(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Facts,
        _: Bytes,
        _: &str,
    ) -> Result<Outcome> {
        unreachable!()
    }
    async fn upgrade(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Facts,
        _: Bytes,
        _: &str,
    ) -> Result<Outcome> {
        unreachable!()
    }
    async fn preview(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Facts,
        _: Bytes,
        _: &str,
    ) -> Result<Vec<ObjectChange>> {
        unreachable!()
    }
    async fn show(&self, _: Call, _: Bytes) -> Result<Value> {
        unreachable!()
    }
    async fn drift(&self, _: Call, _: Arc<dyn Connection>, _: Facts) -> Result<Vec<ObjectChange>> {
        unreachable!()
    }
    async fn rollback(
        &self,
        _: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        _: Option<u32>,
        _: &str,
    ) -> Result<Outcome> {
        let change = Request {
            method: Method::Post,
            ..Request::get("/api/v1/namespaces/default/secrets")
        };
        for request in [Request::get("/version"), change] {
            let sent = cluster.request(request).await;
            sent.map_err(|fault| Error::Denied(fault.message))?;
        }
        Ok(Outcome {
            release: Release {
                name: facts.release,
                namespace: facts.namespace,
                revision: 2,
                status: "deployed".into(),
                operation: None,
                details: serde_json::Map::new(),
            },
            is_changed: true,
        })
    }
    async fn uninstall(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Facts,
        _: &str,
    ) -> Result<Outcome> {
        unreachable!()
    }
    async fn run_tests(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Facts,
        _: &str,
    ) -> Result<Outcome> {
        unreachable!()
    }
    async fn list_releases(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Option<String>,
        _: &str,
    ) -> Result<Vec<Release>> {
        unreachable!()
    }
    async fn records(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Option<String>,
        _: &str,
    ) -> Result<Vec<Value>> {
        unreachable!()
    }
    async fn get(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Facts,
        _: Option<u32>,
    ) -> Result<Content> {
        unreachable!()
    }
    async fn history(
        &self,
        _: Call,
        _: Arc<dyn Connection>,
        _: Facts,
        _: u32,
    ) -> Result<Vec<Release>> {
        unreachable!()
    }
}

#[async_trait]
impl Prober for Ports {
    async fn probe(&self, _: Call, _: Arc<dyn Connection>, _: Depth) -> Result<Observation> {
        unreachable!()
    }
}

#[async_trait]
impl Fetcher for Ports {
    async fn fetch(&self, _: Fetch) -> Result<Fetched, Fault> {
        unreachable!()
    }
}

#[async_trait]
impl Archives for Ports {
    async fn keep(&self, _: Bytes) -> Result<String> {
        unreachable!()
    }
    async fn fetch(&self, _: &str) -> Result<Bytes> {
        unreachable!()
    }
    async fn drop_archive(&self, _: &str) -> Result<()> {
        unreachable!()
    }
}

#[async_trait]
impl Registry for Ports {
    async fn supported(&self) -> Result<Supported> {
        unreachable!()
    }
    async fn check(&self, _: Call) -> Result<()> {
        unreachable!()
    }
    async fn list(&self, _: Call, _: &str, _: u32, _: Option<String>) -> Result<Page> {
        unreachable!()
    }
    async fn get(&self, _: Call, _: &ClusterName) -> Result<Object> {
        unreachable!()
    }
    async fn create(&self, _: Call, _: &Cluster, _: bool) -> Result<Object> {
        unreachable!()
    }
    async fn update(&self, _: Call, _: &Cluster, _: Option<String>, _: bool) -> Result<Object> {
        unreachable!()
    }
    async fn set_status(&self, _: Call, _: &ClusterName, _: &Uid, _: &str) -> Result<Object> {
        unreachable!()
    }
    async fn delete(
        &self,
        _: Call,
        _: &ClusterName,
        _: Option<&Uid>,
        _: Option<String>,
        _: bool,
    ) -> Result<Object> {
        unreachable!()
    }
    async fn watch(&self, _: &str, _: Option<String>) -> Result<EventStream> {
        unreachable!()
    }
}

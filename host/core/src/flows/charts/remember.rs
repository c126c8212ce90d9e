//! Reads of releases that need not be made again.
//!
//! A backend lists the releases of a cluster by metadata and reads each record by itself. A record
//! never changes without a new `resourceVersion`, and its `uid` is never another object's, so what
//! was read once under both serves until it is pushed out. Kept in memory only, bounded in bytes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde::Deserialize;

use crate::{
    ports::{Channel, Connection},
    words::{Fault, LineStream, Mapping, Method, PodTarget, Refusal, Request, Response, Uid},
};

/// All records together; one has at most 1 MiB, most have 20 KiB.
const MAX_BYTES: usize = 64 << 20;

/// A record: the cluster, the Secret's uid and its version.
type Key = (Uid, String, String);

/// Records by what cannot change.
#[derive(Default)]
pub(super) struct Memory(Mutex<Records>);

#[derive(Default)]
struct Records {
    by_key: HashMap<Key, (u64, Response)>,
    /// By the time of the last use.
    by_use: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the records: they hold values.
        f.write_str("Memory(..)")
    }
}

impl Memory {
    fn with<T>(&self, f: impl FnOnce(&mut Records) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, key: &Key) -> Option<Response> {
        self.with(|records| {
            records.clock += 1;
            let now = records.clock;
            let (used, response) = records.by_key.get_mut(key)?;
            records.by_use.remove(used);
            records.by_use.insert(now, key.clone());
            *used = now;
            Some(response.clone())
        })
    }

    fn put(&self, key: Key, response: Response) {
        if response.body.len() > MAX_BYTES {
            return;
        }
        self.with(|records| {
            records.clock += 1;
            let now = records.clock;
            records.bytes += response.body.len();
            records.by_use.insert(now, key.clone());
            if let Some((used, old)) = records.by_key.insert(key, (now, response)) {
                records.by_use.remove(&used);
                records.bytes -= old.body.len();
            }
            while records.bytes > MAX_BYTES {
                let Some((_, oldest)) = records.by_use.pop_first() else {
                    break;
                };
                if let Some((_, old)) = records.by_key.remove(&oldest) {
                    records.bytes -= old.body.len();
                }
            }
        });
    }
}

/// A connection for one list of releases: records of a known version are not read again.
#[derive(Debug)]
pub(super) struct Remembering {
    inner: Arc<dyn Connection>,
    memory: Arc<Memory>,
    cluster: Uid,
    /// What this call's lists said: path of a Secret to its uid and version.
    listed: Mutex<HashMap<String, (String, String)>>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
}

impl Remembering {
    pub(super) fn new(inner: Arc<dyn Connection>, memory: Arc<Memory>, cluster: Uid) -> Self {
        Self {
            inner,
            memory,
            cluster,
            listed: Mutex::default(),
        }
    }

    fn note(&self, response: &Response) {
        let Ok(list) = serde_json::from_slice::<List>(&response.body) else {
            return;
        };
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        for item in list.items.into_iter().flatten() {
            let Metadata {
                name,
                namespace,
                uid,
                resource_version,
            } = item.metadata;
            if !uid.is_empty() && !resource_version.is_empty() {
                let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
                listed.insert(path, (uid, resource_version));
            }
        }
    }

    fn key(&self, path: &str) -> Option<Key> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let (uid, version) = listed.get(path)?;
        Some((self.cluster.clone(), uid.clone(), version.clone()))
    }
}

/// A Secret's own path, or a list's.
fn is_list(path: &str) -> Option<bool> {
    let rest = path.strip_prefix("/api/v1/")?;
    match rest.split('/').collect::<Vec<_>>().as_slice() {
        ["secrets"] | ["namespaces", _, "secrets"] => Some(true),
        ["namespaces", _, "secrets", _] => Some(false),
        _ => None,
    }
}

#[async_trait]
impl Connection for Remembering {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        let is_read = request.method == Method::Get;
        let kind = is_list(&request.path).filter(|_| is_read);
        let path = request.path.clone();
        match kind {
            None => self.inner.request(request).await,
            Some(true) => {
                let response = self.inner.request(request).await?;
                if response.status == 200 {
                    self.note(&response);
                }
                Ok(response)
            }
            Some(false) => {
                let Some(key) = self.key(&path) else {
                    return self.inner.request(request).await;
                };
                if let Some(known) = self.memory.get(&key) {
                    return Ok(known);
                }
                let response = self.inner.request(request).await?;
                // It may have changed since the list: then it is another version's.
                let read = serde_json::from_slice::<Item>(&response.body).ok();
                let is_it = read.is_some_and(|item| {
                    item.metadata.uid == key.1 && item.metadata.resource_version == key.2
                });
                if response.status == 200 && is_it {
                    self.memory.put(key, response.clone());
                }
                Ok(response)
            }
        }
    }

    async fn lines(&self, request: Request) -> Result<LineStream, Refusal> {
        self.inner.lines(request).await
    }

    async fn mapping(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault> {
        self.inner.mapping(group, version, kind).await
    }

    async fn dial(&self, target: PodTarget) -> Result<Arc<dyn Channel>, Fault> {
        self.inner.dial(target).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use serde_json::json;

    use super::*;
    use crate::{flows::fakes::FakeConnection, words::FaultReason};

    /// What a cluster with one Secret has, and how often that was read.
    #[derive(Default)]
    struct One {
        version: AtomicU32,
        reads: AtomicU32,
    }

    fn connection(one: &Arc<One>) -> Arc<dyn Connection> {
        let one = one.clone();
        Arc::new(FakeConnection(move |request: &Request| {
            let version = one.version.load(SeqCst).to_string();
            let secret = json!({"metadata": {"name": "s", "namespace": "n", "uid": "u", "resourceVersion": version}});
            if request.path.ends_with("/s") {
                one.reads.fetch_add(1, SeqCst);
                (200, secret)
            } else {
                (200, json!({ "items": [secret] }))
            }
        }))
    }

    #[tokio::test]
    async fn tunnels_are_the_connections_own() {
        let one = connection(&Arc::default());
        let connection = Remembering::new(one, Arc::default(), "a".parse().unwrap());
        let target = PodTarget {
            namespace: "tillers".into(),
            label_selector: String::new(),
            port: 1,
            is_only_one: true,
            tls: None,
        };
        let fault = connection.dial(target).await.unwrap_err();
        assert_eq!(
            (fault.reason, fault.message.as_str()),
            (FaultReason::NoPod, "tillers")
        );
    }

    async fn list(one: &Arc<One>, memory: &Arc<Memory>, cluster: &str) -> Response {
        let uid = cluster.parse().unwrap();
        let connection = Remembering::new(connection(one), memory.clone(), uid);
        connection
            .request(Request::get("/api/v1/secrets"))
            .await
            .unwrap();
        let path = "/api/v1/namespaces/n/secrets/s";
        connection.request(Request::get(path)).await.unwrap()
    }

    #[tokio::test]
    async fn a_record_is_read_once_per_cluster_uid_and_version() {
        let one = Arc::new(One::default());
        let memory = Arc::new(Memory::default());
        for (cluster, version, reads) in [
            ("a", 1, 1),
            ("a", 1, 1),
            ("b", 1, 2),
            ("a", 2, 3),
            ("a", 2, 3),
            ("a", 1, 3),
        ] {
            one.version.store(version, SeqCst);
            let response = list(&one, &memory, cluster).await;
            let read: Item = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(read.metadata.resource_version, version.to_string());
            assert_eq!(one.reads.load(SeqCst), reads, "{cluster} {version}");
        }
    }

    #[test]
    fn what_was_used_last_stays() {
        let memory = Memory::default();
        let key = |n: usize| ("c".parse().unwrap(), n.to_string(), "1".to_owned());
        let response = |size: usize| Response {
            status: 200,
            headers: Vec::new(),
            body: vec![0; size].into(),
            phases: Vec::new(),
        };
        for n in 0..4 {
            memory.put(key(n), response(MAX_BYTES / 4));
        }
        assert!(memory.get(&key(0)).is_some());
        memory.put(key(4), response(MAX_BYTES / 4));
        assert!(memory.get(&key(0)).is_some() && memory.get(&key(1)).is_none());
        memory.put(key(5), response(MAX_BYTES + 1));
        assert!(memory.get(&key(5)).is_none() && memory.get(&key(4)).is_some());
    }
}

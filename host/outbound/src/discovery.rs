//! Where objects of a kind live: read from discovery once, and believed for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use optikon_core::{
    ports::Connection,
    words::{Fault, FaultReason, Mapping, Request, Response},
};
use serde::Deserialize;
use tokio::time::{Duration, Instant};

use crate::fault::fault;

/// A kind that was not found is looked for again when the cache is older than this: its definition
/// may have been installed a moment ago.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Newest first. A server that knows neither answers the plain list, a very old one 406.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// One member's discovery.
#[derive(Debug)]
pub(crate) struct Discovery {
    max_age: Duration,
    cache: Mutex<HashMap<GroupVersion, Known>>,
    /// One reads, the others wait.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct GroupVersion {
    group: String,
    version: String,
}

#[derive(Debug, Clone)]
struct Known {
    at: Instant,
    kinds: Vec<Kind>,
}

#[derive(Debug, Clone)]
struct Kind {
    kind: String,
    plural: String,
    is_namespaced: bool,
}

/// Whether the cache has the answer.
enum Cached {
    Found(Option<Mapping>),
    Unknown,
}

impl GroupVersion {
    /// They become a path and a key of the cache, so only names pass.
    fn checked(group: &str, version: &str) -> Result<Self, Fault> {
        let is_name = |text: &str| {
            text.len() <= 253
                && text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        };
        if !(group.is_empty() || is_name(group)) || !is_name(version) {
            return Err(fault(
                FaultReason::Denied,
                format!("\"{group}/{version}\" is not an API group and version"),
            ));
        }
        Ok(Self {
            group: group.to_owned(),
            version: version.to_owned(),
        })
    }

    fn path(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        }
    }
}

impl Discovery {
    pub(crate) fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            cache: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// The mapping of a kind; `None` when the server does not serve it.
    pub(crate) async fn find(
        &self,
        connection: &dyn Connection,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault> {
        let wanted = GroupVersion::checked(group, version)?;
        if let Cached::Found(mapping) = self.cached(&wanted, kind) {
            return Ok(mapping);
        }
        let _turn = self.reading.lock().await;
        if let Cached::Found(mapping) = self.cached(&wanted, kind) {
            return Ok(mapping);
        }
        self.read(connection, &wanted).await?;
        match self.cached(&wanted, kind) {
            Cached::Found(mapping) => Ok(mapping),
            Cached::Unknown => Ok(None),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<GroupVersion, Known>) -> T) -> T {
        f(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn cached(&self, wanted: &GroupVersion, kind: &str) -> Cached {
        self.with(|cache| {
            let Some(known) = cache.get(wanted) else {
                return Cached::Unknown;
            };
            let age = known.at.elapsed();
            if age > self.max_age {
                return Cached::Unknown;
            }
            match known.kinds.iter().find(|k| k.kind == kind) {
                Some(found) => Cached::Found(Some(Mapping {
                    path_prefix: wanted.path(),
                    plural: found.plural.clone(),
                    is_namespaced: found.is_namespaced,
                })),
                None if age > RETRY_AFTER => Cached::Unknown,
                None => Cached::Found(None),
            }
        })
    }

    /// Reads what the server says about one group and version, and with it whatever comes along.
    async fn read(&self, connection: &dyn Connection, wanted: &GroupVersion) -> Result<(), Fault> {
        let root = if wanted.group.is_empty() {
            "/api"
        } else {
            "/apis"
        };
        let mut request = Request::get(root);
        request.accept = Some(AGGREGATED.into());
        let response = connection.request(request).await?;
        let list = if response.status == 200 {
            serde_json::from_slice::<GroupList>(&response.body).unwrap_or_default()
        } else {
            GroupList::default()
        };
        if list.kind == "APIGroupDiscoveryList" {
            let found = list.known();
            let is_settled =
                found.iter().any(|(gv, _)| gv == wanted) || !list.is_stale(&wanted.group);
            self.with(|cache| {
                cache.extend(found);
                if is_settled {
                    cache
                        .entry(wanted.clone())
                        .or_insert_with(|| known(Vec::new()))
                        .at = Instant::now();
                }
            });
            if is_settled {
                return Ok(());
            }
        }
        let response = connection.request(Request::get(wanted.path())).await?;
        let kinds = plain_kinds(wanted, &response)?;
        self.with(|cache| cache.insert(wanted.clone(), known(kinds)));
        Ok(())
    }
}

fn known(kinds: Vec<Kind>) -> Known {
    Known {
        at: Instant::now(),
        kinds,
    }
}

fn plain_kinds(wanted: &GroupVersion, response: &Response) -> Result<Vec<Kind>, Fault> {
    let failed = |why: String| {
        let message = format!("discovery of {} {why}", wanted.path());
        fault(FaultReason::Protocol, message)
    };
    match response.status {
        200 => {}
        404 => return Ok(Vec::new()),
        status => return Err(failed(format!("was answered with status {status}"))),
    }
    let list: ResourceList = serde_json::from_slice(&response.body)
        .map_err(|_| failed("was answered with something else".into()))?;
    let kinds = list.resources.into_iter().filter_map(|resource| {
        // A subresource has its parent's kind, or one of its own that cannot be created.
        (!resource.name.contains('/')).then_some(Kind {
            kind: resource.kind,
            plural: resource.name,
            is_namespaced: resource.namespaced,
        })
    });
    Ok(kinds.collect())
}

#[derive(Debug, Default, Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<PlainResource>,
}

#[derive(Debug, Deserialize)]
struct PlainResource {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GroupList {
    kind: String,
    items: Vec<Group>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    metadata: Named,
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    version: String,
    freshness: String,
    resources: Vec<Resource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Resource {
    resource: String,
    scope: String,
    response_kind: Option<ResponseKind>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResponseKind {
    kind: String,
}

impl GroupList {
    fn is_stale(&self, group: &str) -> bool {
        self.items
            .iter()
            .filter(|item| item.metadata.name == group)
            .flat_map(|item| &item.versions)
            .any(|version| version.freshness == "Stale")
    }

    fn known(&self) -> Vec<(GroupVersion, Known)> {
        let mut all = Vec::new();
        for group in &self.items {
            for version in group.versions.iter().filter(|v| v.freshness != "Stale") {
                let kinds = version.resources.iter().map(|resource| Kind {
                    kind: resource
                        .response_kind
                        .as_ref()
                        .map(|k| k.kind.clone())
                        .unwrap_or_default(),
                    plural: resource.resource.clone(),
                    is_namespaced: resource.scope == "Namespaced",
                });
                let gv = GroupVersion {
                    group: group.metadata.name.clone(),
                    version: version.version.clone(),
                };
                all.push((gv, known(kinds.collect())));
            }
        }
        all
    }
}

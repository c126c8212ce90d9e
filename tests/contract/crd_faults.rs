//! What goes wrong with registry-crd on a real API server: another version, a list that expires, writers that race.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use optikon_core::Result;
use optikon_core::flows::feed::list_all;
use optikon_core::ports::{Call, EventStream, Object, Page, Registry, Supported};
use optikon_core::words::{Cluster, ClusterName, Uid};
use optikon_tests::{Client, Testbed, cluster, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{self, Bed, PATIENCE, code, draft, json_of};
use crate::central::DEFINITION;
use crate::crd::engine;

/// Somebody planned ahead: the words say which version there is. Once ours is served as well, it serves.
pub(crate) async fn a_definition_of_another_version_is_named(bed: Bed) {
    let central = Testbed::start().await.unwrap().cluster("ahead");
    let central = central.start().await.unwrap();
    central
        .apply(&DEFINITION.replace("name: v1alpha1", "name: v1beta1"))
        .await
        .unwrap();
    let theirs = "/apis/clusterregistry.k8s.io/v1beta1/clusters";
    wait_for("the other version to be served", PATIENCE, || async {
        Ok(central.admin().read(theirs).await.ok())
    })
    .await
    .unwrap();
    let config = json!({"namespace": "default"});
    let engine = engine(&bed, &central, central.admin_token(), config).await;
    let registry = engine.registry();
    let said = registry.check(Call::client()).await.unwrap_err();
    assert_eq!(said.code(), "unavailable", "{said}");
    let said = said.to_string();
    assert!(
        said.contains("serves clusterregistry.k8s.io in v1beta1 and not in v1alpha1"),
        "{said}"
    );
    let created = registry
        .create(Call::client(), &bed::cluster(&draft("a", &[])), false)
        .await;
    assert_eq!(code(created), "unavailable");
    let definition =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusters.clusterregistry.k8s.io";
    let there = central.admin().read(definition).await.unwrap();
    let mut versions = vec![there["spec"]["versions"][0].clone()];
    versions.push(versions[0].clone());
    versions[1]["name"] = "v1alpha1".into();
    versions[1]["storage"] = false.into();
    let both = json!({"spec": {"versions": versions}});
    central.admin().merge(definition, &both).await.unwrap();
    wait_for("our version to be served", PATIENCE, || async {
        Ok(registry.check(Call::client()).await.ok())
    })
    .await
    .unwrap();
}

/// Lets etcd forget the snapshot of a list once, after the first page.
#[derive(Debug)]
struct Forgetting<'a> {
    inner: Arc<dyn Registry>,
    central: &'a cluster::Cluster,
    pages: AtomicUsize,
}

#[async_trait]
impl Registry for Forgetting<'_> {
    async fn list(
        &self,
        call: Call,
        selector: &str,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page> {
        if self.pages.fetch_add(1, Ordering::SeqCst) == 1 {
            // The present is never forgotten, so there has to be a newer one.
            self.central.create_namespace("newer").await.unwrap();
            self.central.compact().await.unwrap();
        }
        self.inner.list(call, selector, limit, next).await
    }

    async fn supported(&self) -> Result<Supported> {
        self.inner.supported().await
    }
    async fn check(&self, call: Call) -> Result<()> {
        self.inner.check(call).await
    }
    async fn get(&self, call: Call, name: &ClusterName) -> Result<Object> {
        self.inner.get(call, name).await
    }
    async fn create(&self, call: Call, cluster: &Cluster, dry_run: bool) -> Result<Object> {
        self.inner.create(call, cluster, dry_run).await
    }
    async fn update(
        &self,
        call: Call,
        cluster: &Cluster,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object> {
        self.inner.update(call, cluster, expect, dry_run).await
    }
    async fn set_status(
        &self,
        call: Call,
        name: &ClusterName,
        uid: &Uid,
        conditions: &str,
    ) -> Result<Object> {
        self.inner.set_status(call, name, uid, conditions).await
    }
    async fn delete(
        &self,
        call: Call,
        name: &ClusterName,
        uid: Option<&Uid>,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object> {
        self.inner.delete(call, name, uid, expect, dry_run).await
    }
    async fn watch(&self, selector: &str, after: Option<String>) -> Result<EventStream> {
        self.inner.watch(selector, after).await
    }
}

/// etcd is compacted between two pages: the rest of that list is gone, and a whole one comes all the same.
pub(crate) async fn a_list_that_expires_half_way_starts_over(bed: Bed) {
    const COUNT: usize = 700;
    let central = Testbed::start().await.unwrap().cluster("compacted");
    let central = central.own_etcd().start().await.unwrap();
    central.apply(DEFINITION).await.unwrap();
    let path = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/default/clusters";
    wait_for("the definition to be served", PATIENCE, || async {
        Ok(central.admin().read(path).await.ok())
    })
    .await
    .unwrap();
    let items: Vec<Value> = (0..COUNT)
        .map(|n| draft(&format!("c-{n:03}"), &[]))
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    central.apply(&list.to_string()).await.unwrap();
    let config = json!({"namespace": "default"});
    let engine = engine(&bed, &central, central.admin_token(), config).await;
    let registry = Forgetting {
        inner: engine.registry(),
        central: &central,
        pages: AtomicUsize::new(0),
    };
    let (objects, revision) = list_all(&registry, Call::background()).await.unwrap();
    let names: Vec<&str> = objects.iter().map(|o| o.cluster.name().as_str()).collect();
    let wanted: Vec<String> = (0..COUNT).map(|n| format!("c-{n:03}")).collect();
    assert_eq!(names, wanted);
    // The first page twice: the list did begin anew.
    assert_eq!(registry.pages.load(Ordering::SeqCst), 4);
    // From there a watch misses nothing.
    let mut watch = engine.registry().watch("", Some(revision)).await.unwrap();
    central
        .admin()
        .create(path, &draft("last", &[]))
        .await
        .unwrap();
    let seen = tokio::time::timeout(PATIENCE, futures::StreamExt::next(&mut watch)).await;
    let event = seen.unwrap().unwrap().unwrap();
    assert!(
        matches!(&event, optikon_core::ports::Event::Stored(o) if o.cluster.name().as_str() == "last"),
        "{event:?}"
    );
}

/// Half of twenty writers write through the plugin, the others straight on the API server: each adds 1 with the revision
/// that it read, until it wins, three times. Every addition that was acknowledged is there at the end.
pub(crate) async fn writers_here_and_there_lose_no_update(bed: Bed) {
    const EACH: u64 = 3;
    let bed = Arc::new(bed);
    bed.create("a", &[]).await;
    bed.change("a", |v| v["spec"]["count"] = 0.into()).await;
    let conflicts = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for n in 0..20 {
        let (bed, conflicts) = (Arc::clone(&bed), Arc::clone(&conflicts));
        writers.push(tokio::spawn(async move {
            let admin = bed.place().cluster.admin().clone();
            let path = format!("{}/a", bed.place().path());
            for _ in 0..EACH {
                loop {
                    let is_done = match n % 2 {
                        0 => add_through(&bed).await,
                        _ => add_straight(&admin, &path).await,
                    };
                    if is_done {
                        break;
                    }
                    conflicts.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let last = json_of(&bed.get("a").await.unwrap());
    assert_eq!(last["spec"]["count"], 20 * EACH);
    assert!(
        conflicts.load(Ordering::Relaxed) > 0,
        "they were in each other's way"
    );
}

/// Whether it won; a lost race is a conflict and nothing else.
async fn add_through(bed: &Bed) -> bool {
    let present = bed.get("a").await.unwrap();
    let mut value = json_of(&present);
    let count = value["spec"]["count"].as_u64().unwrap();
    value["spec"]["count"] = (count + 1).into();
    match bed.update(&value, Some(&present.revision)).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code(), "conflict", "{error}");
            false
        }
    }
}

async fn add_straight(admin: &Client, path: &str) -> bool {
    let mut value = admin.read(path).await.unwrap();
    let count = value["spec"]["count"].as_u64().unwrap();
    value["spec"]["count"] = (count + 1).into();
    let reply = admin.json(Method::PUT, path, &value).await.unwrap();
    assert!(
        reply.status.is_success() || reply.status == 409,
        "{}: {}",
        reply.status,
        reply.text
    );
    reply.status.is_success()
}

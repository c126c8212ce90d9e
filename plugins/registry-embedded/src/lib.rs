//! The registry kept in the gateway's own store: one key of `kv` a cluster.
//!
//! [`clusters`] has the rules of the contract, [`record`] the stored form, [`changes`] the watch. All of them take the keys,
//! the time and the dice as parameters; only this file speaks to the host.

pub mod changes;
pub mod clusters;
pub mod record;

use optikon_plugin_sdk::{
    Error, HostKeys, Selector, clock, export_registry, random,
    registry::{EventReader, Guest, Object, Page},
    uuid,
};

use clusters::{Clusters, Expect};

/// The plugin; it keeps nothing between calls.
#[derive(Debug)]
pub struct Plugin;

export_registry!(Plugin);

const CLUSTERS: Clusters<HostKeys> = Clusters(HostKeys);

impl Guest for Plugin {
    fn supported() -> Vec<String> {
        let words = ["status", "watch", "object-references", "providers"];
        words.map(str::to_owned).into()
    }
    async fn check() -> Result<(), Error> {
        CLUSTERS.check().await
    }
    async fn list_clusters(
        selector: String,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page, Error> {
        let selector = Selector::parse(&selector)?;
        CLUSTERS.list(&selector, limit, next).await
    }
    async fn get(name: String) -> Result<Object, Error> {
        CLUSTERS.get(&name).await
    }
    async fn create(json: String, dry_run: bool) -> Result<Object, Error> {
        let uid = uuid(&random::bytes(16));
        CLUSTERS.create(&json, &uid, clock::now_ms(), dry_run).await
    }
    async fn update(json: String, expect: Option<String>, dry_run: bool) -> Result<Object, Error> {
        CLUSTERS.update(&json, expect.as_deref(), dry_run).await
    }
    async fn set_status(
        name: String,
        uid: String,
        conditions: String,
        expect: Option<String>,
    ) -> Result<Object, Error> {
        let expect = Expect::new(Some(&uid), expect.as_deref());
        CLUSTERS.set_status(&name, &conditions, expect).await
    }
    async fn delete(
        name: String,
        uid: Option<String>,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let expect = Expect::new(uid.as_deref(), expect.as_deref());
        let now_ms = clock::now_ms();
        CLUSTERS.delete(&name, expect, now_ms, dry_run).await
    }
    async fn watch(selector: String, after: Option<String>) -> Result<EventReader, Error> {
        changes::watch(HostKeys, &selector, after.as_deref()).await
    }
}

//! The registry kept in the gateway's own store: one key of `kv` a cluster.
//!
//! [`clusters`] has the rules of the contract, [`record`] the stored form, [`changes`] the watch. All of them take the keys,
//! the time and the dice as parameters; only this file speaks to the host.

pub mod changes;
pub mod clusters;
pub mod record;

use optikon_plugin_sdk::{
    Error, HostKeys, Keys, Selector, clock, export_registry, log, random,
    registry::{self, EventReader, Guest, Object, Page},
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
        ["status", "watch", "object-references", "providers"]
            .map(str::to_owned)
            .into()
    }

    async fn check() -> Result<(), Error> {
        CLUSTERS.check().await
    }

    async fn list_clusters(
        selector: String,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page, Error> {
        CLUSTERS
            .list(&Selector::parse(&selector)?, limit, next)
            .await
    }

    async fn get(name: String) -> Result<Object, Error> {
        CLUSTERS.get(&name).await
    }

    async fn create(json: String, dry_run: bool) -> Result<Object, Error> {
        let uid = uuid(&random::bytes(16));
        let created = CLUSTERS
            .create(&json, &uid, clock::now_ms(), dry_run)
            .await?;
        if !dry_run {
            log::info!("wrote down a new cluster"; "cluster" = &created.name, "uid" = &uid);
        }
        Ok(created)
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
        let expect = Expect {
            uid: Some(&uid),
            revision: expect.as_deref(),
        };
        CLUSTERS.set_status(&name, &conditions, expect).await
    }

    async fn delete(
        name: String,
        uid: Option<String>,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let expect = Expect {
            uid: uid.as_deref(),
            revision: expect.as_deref(),
        };
        let last = CLUSTERS
            .delete(&name, expect, clock::now_ms(), dry_run)
            .await?;
        if !dry_run {
            log::info!("removed a cluster, or marked it for its finalizers"; "cluster" = &last.name);
        }
        Ok(last)
    }

    async fn watch(selector: String, after: Option<String>) -> Result<EventReader, Error> {
        let selector = Selector::parse(&selector)?;
        let from = changes::start(after.as_deref())?;
        let changes = HostKeys.watch(record::PREFIX, from).await?;
        Ok(registry::stream(async move |mut out| {
            changes::deliver(changes, from.is_none(), &selector, &mut out).await;
        }))
    }
}

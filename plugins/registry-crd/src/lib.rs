//! The registry kept as custom resources `clusters.clusterregistry.k8s.io` of a central cluster.
//!
//! [`place`] finds where they live, [`clusters`] has the rules of the contract as requests, [`status`] the conditions,
//! [`check`] what may be missing. All of them take the connection as a parameter; only this file speaks to the host.

pub mod check;
pub mod clusters;
pub mod object;
pub mod place;
pub mod status;

use optikon_plugin_sdk::{
    Connection, Error, central,
    collection::Expect,
    configuration, export_registry,
    registry::{EventReader, Guest, Object, Page},
};
use serde_json::Value;

use clusters::Clusters;
use place::Place;

/// The plugin; it keeps nothing between calls.
#[derive(Debug)]
pub struct Plugin;

export_registry!(Plugin);

async fn open() -> Result<(Connection, Place), Error> {
    let connection = central::connect().await?;
    let config: Value = configuration()?;
    let namespace = config.get("namespace").and_then(Value::as_str);
    let place = Place::find(&connection, namespace).await?;
    Ok((connection, place))
}

impl Guest for Plugin {
    fn supported() -> Vec<String> {
        let words = ["status", "watch", "namespaces", "object-references"];
        words.map(str::to_owned).into()
    }
    async fn check() -> Result<(), Error> {
        let (connection, place) = open().await?;
        check::check(&connection, &place).await
    }
    async fn list_clusters(
        selector: String,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page, Error> {
        let (connection, place) = open().await?;
        let clusters = Clusters::new(&connection, &place);
        clusters.list(&selector, limit, next).await
    }
    async fn get(name: String) -> Result<Object, Error> {
        let (connection, place) = open().await?;
        Clusters::new(&connection, &place).get(&name).await
    }
    async fn create(json: String, dry_run: bool) -> Result<Object, Error> {
        let (connection, place) = open().await?;
        let clusters = Clusters::new(&connection, &place);
        clusters.create(&json, dry_run).await
    }
    async fn update(json: String, expect: Option<String>, dry_run: bool) -> Result<Object, Error> {
        let (connection, place) = open().await?;
        let clusters = Clusters::new(&connection, &place);
        clusters.update(&json, expect.as_deref(), dry_run).await
    }
    async fn set_status(
        name: String,
        uid: String,
        conditions: String,
        expect: Option<String>,
    ) -> Result<Object, Error> {
        let (connection, place) = open().await?;
        let expect = Expect::new(Some(&uid), expect.as_deref());
        let clusters = Clusters::new(&connection, &place);
        status::write(clusters, &name, &conditions, expect).await
    }
    async fn delete(
        name: String,
        uid: Option<String>,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let (connection, place) = open().await?;
        let expect = Expect::new(uid.as_deref(), expect.as_deref());
        let clusters = Clusters::new(&connection, &place);
        clusters.delete(&name, expect, dry_run).await
    }
    async fn watch(selector: String, after: Option<String>) -> Result<EventReader, Error> {
        let (connection, place) = open().await?;
        place.clusters().watch(connection, selector, after).await
    }
}

//! The registry kept in the API server that cluster-registry v0.0.3 was, behind a Kubernetes API server or by itself.
//!
//! [`form`] knows what that server can store and carries the rest along, [`object`] makes of its answers what the contract
//! wants, [`clusters`] has the rules of the contract as requests, [`check`] what may be missing. All of them
//! take the connection as a parameter; only this file speaks to the host.

pub mod check;
pub mod clusters;
pub mod form;
pub mod object;
pub mod place;

use optikon_plugin_sdk::{
    Error, central,
    collection::Expect,
    export_registry,
    registry::{EventReader, Guest, Object, Page},
};

use clusters::Clusters;

/// The plugin; it keeps nothing between calls.
#[derive(Debug)]
pub struct Plugin;

export_registry!(Plugin);

impl Guest for Plugin {
    fn supported() -> Vec<String> {
        let words = ["watch", "providers", "dns-1035-names"];
        words.map(str::to_owned).into()
    }
    async fn check() -> Result<(), Error> {
        check::check(&central::connect().await?).await
    }
    async fn list_clusters(
        selector: String,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page, Error> {
        let connection = central::connect().await?;
        Clusters::new(&connection)
            .list(&selector, limit, next)
            .await
    }
    async fn get(name: String) -> Result<Object, Error> {
        let connection = central::connect().await?;
        Clusters::new(&connection).get(&name).await
    }
    async fn create(json: String, dry_run: bool) -> Result<Object, Error> {
        let connection = central::connect().await?;
        Clusters::new(&connection).create(&json, dry_run).await
    }
    async fn update(json: String, expect: Option<String>, dry_run: bool) -> Result<Object, Error> {
        let connection = central::connect().await?;
        let clusters = Clusters::new(&connection);
        clusters.update(&json, expect.as_deref(), dry_run).await
    }
    async fn set_status(
        _name: String,
        _uid: String,
        _conditions: String,
        _expect: Option<String>,
    ) -> Result<Object, Error> {
        Err(Error::unsupported(
            "an API server of cluster-registry v0.0.3 stores no status",
        ))
    }
    async fn delete(
        name: String,
        uid: Option<String>,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let connection = central::connect().await?;
        let expect = Expect::new(uid.as_deref(), expect.as_deref());
        Clusters::new(&connection)
            .delete(&name, expect, dry_run)
            .await
    }
    async fn watch(selector: String, after: Option<String>) -> Result<EventReader, Error> {
        let connection = central::connect().await?;
        place::clusters().watch(connection, selector, after).await
    }
}

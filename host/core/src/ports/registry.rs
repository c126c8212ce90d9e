//! Where clusters are written down.

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::Call;
use crate::{
    error::Result,
    words::{Cluster, ClusterName, Uid},
};

/// A cluster as the registry has it, with the registry's own opaque revision. Compare revisions for
/// equality only.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The object; secrets never reach a registry, so none are in it.
    pub cluster: Cluster,
    /// The registry's revision of this object.
    pub revision: String,
}

/// One page of a list; all pages are of one snapshot.
#[derive(Debug, Clone)]
pub struct Page {
    /// Sorted by name.
    pub items: Vec<Object>,
    /// The snapshot's revision: a watch from here misses nothing.
    pub revision: String,
    /// Opaque; absent on the last page.
    pub next: Option<String>,
    /// How many follow after this page, where known.
    pub remaining: Option<u64>,
}

/// One change.
#[derive(Debug, Clone)]
pub enum Event {
    /// Created or changed.
    Stored(Object),
    /// The last state, with the revision of the deletion.
    Deleted(Object),
    /// Everything up to this revision was delivered.
    Bookmark(String),
}

/// Changes in order; an error (`Expired`, say) is the last item.
pub type EventStream = BoxStream<'static, Result<Event>>;

/// What a registry can do beyond the core of the contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Supported {
    /// Keeps conditions in `status`.
    pub status: bool,
    /// Has `watch`.
    pub watch: bool,
    /// Objects live in namespaces.
    pub namespaces: bool,
    /// Takes v0.0.6 references in `authInfo`.
    pub object_references: bool,
    /// Takes v0.0.3 providers in `authInfo`.
    pub providers: bool,
    /// Takes DNS-1035 labels only as names.
    pub label_names: bool,
}

/// The registry contract, the same for every implementation (see `wit/README.md`).
#[async_trait]
pub trait Registry: Send + Sync + std::fmt::Debug {
    /// What it can do.
    async fn supported(&self) -> Result<Supported>;

    /// Whether it can serve now: its own store, central cluster or upstream answers.
    async fn check(&self, call: Call) -> Result<()>;

    /// One page of at most `limit` objects that match `selector`, from one snapshot.
    ///
    /// # Errors
    /// `Expired` when `next` is too old.
    async fn list(
        &self,
        call: Call,
        selector: &str,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page>;

    /// One object as last written.
    async fn get(&self, call: Call, name: &ClusterName) -> Result<Object>;

    /// Writes down a new cluster. `AlreadyExists` rather than overwriting.
    async fn create(&self, call: Call, cluster: &Cluster, dry_run: bool) -> Result<Object>;

    /// Replaces an object; its `metadata.uid` must match. `Conflict` when `expect` is not the
    /// present revision.
    async fn update(
        &self,
        call: Call,
        cluster: &Cluster,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object>;

    /// Writes conditions (a JSON list) and nothing else.
    async fn set_status(
        &self,
        call: Call,
        name: &ClusterName,
        uid: &Uid,
        conditions: &str,
    ) -> Result<Object>;

    /// Forgets an object of this uid; answers the last state with the revision of the deletion.
    async fn delete(
        &self,
        call: Call,
        name: &ClusterName,
        uid: Option<&Uid>,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object>;

    /// Changes after `after`; without it every present object as `Stored`, a bookmark, then changes.
    async fn watch(&self, selector: &str, after: Option<String>) -> Result<EventStream>;
}

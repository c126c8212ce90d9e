//! What fills a slot, and how another plugin takes its place.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Call, PluginInfo, Registry, SlotInfo};
use crate::{
    error::Result,
    words::{Member, PluginName, ResourceGrant, SlotName},
};

/// What fills a slot, or is to.
#[derive(Debug, Clone)]
pub struct Filling {
    /// The plugin's name: `<plugin>.wasm` in the plugins folder, or the kept copy of that digest.
    pub plugin: PluginName,
    /// `sha256:…` that the file must have; absent = any.
    pub digest: Option<String>,
    /// The slot's configuration, secrets included.
    pub config: Map<String, Value>,
    /// Interfaces of `optikon:host` that it may import.
    pub grants: Vec<String>,
    /// What `central` may touch; absent = what the plugin asks for.
    pub central_grants: Option<Vec<ResourceGrant>>,
    /// Limits that differ from the defaults, by configuration key.
    pub limits: Map<String, Value>,
    /// Where `central` leads to; absent = the configured cluster. Its `uid` tells it from others.
    pub central: Option<Member>,
}

/// A plugin that was loaded and tried, but does not serve yet.
#[async_trait]
pub trait Candidate: Send + Sync + std::fmt::Debug {
    /// Who it is.
    fn info(&self) -> &PluginInfo;

    /// Whether it can serve now.
    ///
    /// # Errors
    /// What the plugin answered, or how it failed.
    async fn check(&self, call: Call) -> Result<()>;

    /// A registry that is asked directly, past the slot.
    fn registry(&self) -> Option<Arc<dyn Registry>>;

    /// Lets it serve; calls in flight end on what they began with. Does not wait.
    fn switch(&self);
}

/// The slots as somebody who fills them sees them.
#[async_trait]
pub trait Slots: Send + Sync + std::fmt::Debug {
    /// What fills a slot now; none for a slot that does not exist or is empty.
    fn present(&self, slot: &SlotName) -> Option<Filling>;

    /// The slot as people see it; none for one that does not exist.
    fn info(&self, slot: &SlotName) -> Option<SlotInfo>;

    /// Who a plugin is, from its file.
    ///
    /// # Errors
    /// `Invalid` when there is no such file, or it is no plugin.
    async fn look(&self, plugin: &PluginName) -> Result<PluginInfo>;

    /// Loads and tries a plugin without touching what serves, and keeps a copy of its file.
    ///
    /// # Errors
    /// `Invalid` with every problem: file, digest, world, import, grant, configuration, limit.
    async fn load(&self, slot: &SlotName, filling: &Filling) -> Result<Arc<dyn Candidate>>;

    /// Forgets kept copies and central clusters that are in none of these.
    async fn keep_only(&self, fillings: &[Filling]);
}

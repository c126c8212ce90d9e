//! Slots and what fills them.

use std::{collections::BTreeMap, path::Path};

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::Result,
    words::{Durations, PluginName, ResourceGrant, SlotName},
};

/// Who a plugin is, from its file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginInfo {
    /// From its `plugin.toml`.
    pub name: PluginName,
    /// From its `plugin.toml`.
    pub version: String,
    /// `registry`, `prober` or `charts`.
    pub world: String,
    /// One line for people.
    pub description: String,
    /// `sha256:…` of the file.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
    /// Interfaces of `optikon:host` that it imports.
    pub imports: Vec<String>,
    /// What it asks for, and why: interface -> reason.
    pub asks: BTreeMap<String, String>,
    /// What of the central cluster it asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub central: Vec<ResourceGrant>,
}

/// A plugin file looked at closely.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// Who it is.
    #[serde(flatten)]
    pub plugin: PluginInfo,
    /// JSON Schema of its configuration.
    pub config_schema: Value,
    /// What keeps it from being loaded here; empty = fit.
    pub problems: Vec<Invalidity>,
}

/// One reason why a plugin cannot be loaded, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invalidity {
    /// `world`, `import`, `grant`, `digest`, `size`, `section`, `config`.
    pub what: String,
    /// One line with the object, what is offered, what is asked, and the line to add.
    pub message: String,
}

/// Whether a slot serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotState {
    /// A plugin serves.
    Serving,
    /// No plugin, or one that is unfit.
    Empty,
}

/// One slot.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotInfo {
    /// Its name.
    pub slot: SlotName,
    /// Whether it serves.
    pub state: SlotState,
    /// Why it does not, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What fills it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginInfo>,
    /// What it may import.
    pub grants: Vec<String>,
    /// Its limits in force.
    pub limits: Vec<LimitView>,
    /// Calls by function since the start of this plugin.
    pub calls: BTreeMap<String, FunctionStats>,
}

/// One limit in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitView {
    /// Its configuration key.
    pub key: String,
    /// Its value with the unit that the key names.
    pub value: u64,
}

/// Calls of one function.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FunctionStats {
    /// Ended well, or with a typed error of the plugin.
    pub ok: u64,
    /// Trapped, crossed a limit, broke the contract.
    pub failed: u64,
}

/// Calls of one function that ended alike, since the plugin began to serve.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSeries {
    /// The function of the world.
    pub function: &'static str,
    /// `ok`, `error` (a typed error of the plugin) or `failed`.
    pub outcome: &'static str,
    /// How long they took.
    pub seconds: Durations,
}

/// One slot's series for `/metrics`.
#[derive(Debug, Clone)]
pub struct SlotMetrics {
    /// The slot.
    pub slot: SlotName,
    /// Linear memory held by its instances now.
    pub memory_bytes: u64,
    /// Calls since its plugin began to serve.
    pub calls: Vec<CallSeries>,
}

/// Slots and plugin files.
#[async_trait]
pub trait Plugins: Send + Sync + std::fmt::Debug {
    /// Every configured slot, sorted by name.
    fn slots(&self) -> Vec<SlotInfo>;

    /// Series of every configured slot, for `/metrics`.
    fn metrics(&self) -> Vec<SlotMetrics>;

    /// Every plugin file in the plugins folder, sorted by name; unreadable ones with their problem.
    async fn available(&self) -> Result<Vec<Inspection>>;

    /// Looks at one file without running it.
    async fn inspect(&self, file: &Path) -> Result<Inspection>;
}

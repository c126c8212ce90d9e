//! What the engine is told: once, and for each slot.

use std::{path::PathBuf, sync::Arc};

use optikon_core::ports::{Kv, World};
use serde_json::Value;

use crate::{Grants, Limits, peers::Peers};

/// What the engine needs to know once.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where plugin files lie.
    pub plugins_folder: PathBuf,
    /// Where compiled code is kept; the engine makes it, closed to others. None: every start compiles.
    pub cache_folder: Option<PathBuf>,
    /// Memory of all guests together. Calls queue for it. Default 1 GiB.
    pub memory_total_bytes: u64,
    /// The most that any slot's `memory-bytes` may say. Default 256 MiB.
    pub memory_slot_bytes: u64,
    /// Instances of all slots at once; more calls wait. Default 1,600: 1,024 probes, twice 256 clients.
    pub instances: u32,
    /// The largest plugin file. Default 64 MiB: a Python guest is 20.
    pub plugin_bytes: u64,
}

impl EngineConfig {
    /// Every default, with plugins in that folder and no cache.
    pub fn new(plugins_folder: impl Into<PathBuf>) -> Self {
        Self {
            plugins_folder: plugins_folder.into(),
            cache_folder: None,
            memory_total_bytes: 1024 * 1024 * 1024,
            memory_slot_bytes: 256 * 1024 * 1024,
            instances: 1_600,
            plugin_bytes: 64 * 1024 * 1024,
        }
    }
}

/// What the engine's host functions lead to.
#[derive(Debug, Clone)]
pub struct Deps {
    /// A plugin's keys.
    pub kv: Arc<dyn Kv>,
    /// `central` and `upstream`.
    pub peers: Arc<dyn Peers>,
    /// Clock and dice.
    pub world: Arc<dyn World>,
}

/// What is to fill a slot.
#[derive(Debug, Clone)]
pub struct Filling {
    /// The plugin's file; relative to the plugins folder.
    pub file: PathBuf,
    /// The digest it must have, `sha256:…`, where it is pinned.
    pub digest: Option<String>,
    /// The slot's configuration, secrets included; checked against the plugin's schema.
    pub config: Value,
    /// What it may import.
    pub grants: Grants,
    /// What its calls may consume.
    pub limits: Limits,
    /// The cluster that `central` leads to, by a name that [`Peers`] knows; none for the configured one.
    pub central: Option<String>,
}

impl Filling {
    /// A file with an empty configuration, default limits, and these grants.
    pub fn new(file: impl Into<PathBuf>, grants: Grants) -> Self {
        Self {
            file: file.into(),
            digest: None,
            config: Value::Object(serde_json::Map::new()),
            grants,
            limits: Limits::default(),
            central: None,
        }
    }
}

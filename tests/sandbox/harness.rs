//! An engine with one hostile guest in a slot.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use optikon_core::{
    Error, Result,
    error::FailureKind,
    ports::{Call, Object, Registry},
    words::{ClusterName, SlotName},
};
use optikon_engine::{Deps, Engine, EngineConfig, Filling, Grants, Limits};
use serde_json::json;

use crate::fakes::{MemoryKv, OnePeer, Still};

/// Where the guests lie.
pub(crate) fn guests() -> PathBuf {
    let target = || {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        env::var_os("CARGO_TARGET_DIR").map_or(own, PathBuf::from)
    };
    let folder =
        env::var_os("OPTIKON_GUESTS_DIR").map_or_else(|| target().join("guests"), PathBuf::from);
    assert!(
        folder.is_dir(),
        "{} is missing: run `cargo xtask plugins`",
        folder.display()
    );
    folder
}

/// Compiled once for all tests of this binary.
fn cache() -> PathBuf {
    guests().join("compiled")
}

pub(crate) const ALL: &[&str] = &[
    "log", "config", "call", "clock", "random", "kv", "kube", "central", "upstream",
];

pub(crate) fn slot(name: &str) -> SlotName {
    name.parse().unwrap()
}

pub(crate) fn name(text: &str) -> ClusterName {
    text.parse().unwrap()
}

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) peers: Arc<OnePeer>,
    pub(crate) registry: Arc<dyn Registry>,
}

pub(crate) fn config() -> EngineConfig {
    EngineConfig {
        cache_folder: Some(cache()),
        instances: 40,
        ..EngineConfig::new(guests())
    }
}

impl Bench {
    /// Empty slots.
    pub(crate) fn empty(config: EngineConfig) -> Self {
        let peers = Arc::new(OnePeer::default());
        let deps = Deps {
            kv: Arc::new(MemoryKv::default()),
            peers: Arc::clone(&peers) as _,
            world: Arc::new(Still),
        };
        let engine = Engine::new(config, deps).unwrap();
        Self {
            registry: engine.registry(),
            engine,
            peers,
        }
    }

    /// The hostile registry with one behaviour.
    pub(crate) async fn new(behaviour: &str, limits: Limits) -> Self {
        Self::with(config(), behaviour, limits).await
    }

    pub(crate) async fn with(config: EngineConfig, behaviour: &str, limits: Limits) -> Self {
        let bench = Self::empty(config);
        let filling = filling(behaviour, limits);
        bench.engine.fill(&slot("registry"), filling).await.unwrap();
        bench
    }

    pub(crate) async fn get(&self) -> Result<Object> {
        self.registry.get(Call::client(), &name("edge-1")).await
    }

    /// What the guest said about itself.
    pub(crate) async fn says(&self) -> String {
        let object = self.get().await.unwrap();
        object
            .cluster
            .annotation("says")
            .unwrap_or_default()
            .to_owned()
    }

    /// The limit that a call ended at, with its value. Others are unharmed: the next call is served.
    pub(crate) async fn crossed(&self) -> (String, String) {
        let error = self.get().await.unwrap_err();
        self.is_unharmed().await;
        match error {
            Error::Plugin(failure) => match failure.kind {
                FailureKind::Limit { limit, value } => {
                    assert_eq!(failure.plugin.as_str(), "hostile-registry");
                    assert!(failure.digest.starts_with("sha256:"));
                    assert_eq!(failure.function, "get");
                    (limit.to_owned(), value)
                }
                other => panic!("{other:?}: {}", failure.message),
            },
            other => panic!("{other}"),
        }
    }

    pub(crate) async fn is_unharmed(&self) {
        let page = self
            .registry
            .list(Call::client(), "", 10, None)
            .await
            .unwrap();
        assert_eq!(page.items.len(), 2);
    }
}

pub(crate) fn filling(behaviour: &str, limits: Limits) -> Filling {
    let mut filling = Filling::new("hostile-registry.wasm", Grants::new(ALL.iter().copied()));
    filling.config = json!({ "behaviour": behaviour });
    filling.limits = limits;
    filling
}

/// The texts of a refused filling.
pub(crate) fn refusal<T: std::fmt::Debug>(refused: Result<T>) -> String {
    match refused.unwrap_err() {
        Error::Invalid(fields) => fields
            .iter()
            .map(|f| format!("{}: {}\n", f.field, f.message))
            .collect(),
        other => panic!("{other}"),
    }
}

//! The engine: loads plugins, keeps the slots, answers what is asked about them.

mod candidate;
mod config;
mod inner;
mod judge;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use optikon_core::{
    Error, Result,
    ports::{
        Charts, Inspection, PluginInfo, Plugins, Prober, ProgressSink, Registry, SlotInfo,
        SlotMetrics,
    },
    words::SlotName,
};

pub use candidate::Candidate;
pub use config::{Deps, EngineConfig, Filling};
pub use judge::check_filling;

use self::{candidate::Ready, inner::Inner};
use crate::{
    bindings::{charts, prober, registry},
    cache,
    call::Role,
    load::config::split_secrets,
    roles::{self, ChartsSlot, ProberSlot, RegistrySlot},
    slot::{Filled, Slot},
};

/// Runs plugins. Clones share everything.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

impl Engine {
    /// Starts the engine with every slot empty.
    ///
    /// # Errors
    /// `Internal` when wasmtime or its thread cannot be started. A cache folder that is not usable is only warned of.
    pub fn new(config: EngineConfig, deps: Deps) -> Result<Self> {
        Ok(Self(Arc::new(Inner::new(config, deps)?)))
    }

    /// The registry's slot as a port; every call goes to what fills it then.
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(RegistrySlot(Arc::clone(&self.0.registry)))
    }

    /// The prober's slot as a port; every call goes to what fills it then.
    pub fn prober(&self) -> Arc<dyn Prober> {
        Arc::new(ProberSlot(Arc::clone(&self.0.prober)))
    }

    /// A charts backend's slot (`charts-helm`) as a port; every call goes to what fills it then.
    pub fn charts(&self, slot: &SlotName) -> Arc<dyn Charts> {
        Arc::new(ChartsSlot(self.0.charts(slot)))
    }

    /// Who is told how far operations are; the first one stays.
    pub fn set_progress(&self, sink: Arc<dyn ProgressSink>) {
        if self.0.progress.set(sink).is_err() {
            tracing::warn!("progress is told to somebody already");
        }
    }

    /// Loads, checks and tries a plugin for a slot without touching what serves there.
    ///
    /// # Errors
    /// `Invalid` with one entry a problem: file, size, digest, section, world, import, grant, config, limit; `Plugin` or
    /// `Timeout` when the trial failed.
    pub async fn load(&self, slot: &SlotName, filling: Filling) -> Result<Candidate> {
        let inner = Arc::clone(&self.0);
        let (name, given) = (slot.clone(), filling.clone());
        let compiled = tokio::task::spawn_blocking(move || {
            let threads = cache::aside().map_err(|error| Error::Internal(error.to_string()))?;
            threads.install(|| inner.compile(&name, &given))
        });
        let (described, component) = compiled
            .await
            .map_err(|error| Error::Internal(format!("load plugin: {error}")))??;
        let (open, secrets) = split_secrets(&described.inspection.config_schema, &filling.config);
        let shared = self.0.shared(slot, &described, &filling, &open, &secrets);
        let info = described.inspection.plugin;
        let grants: Vec<String> = filling.grants.interfaces.iter().cloned().collect();
        let ready = if info.world == "registry" {
            let loaded =
                self.0
                    .prepare::<registry::Registry>(shared, &filling.grants, &component)?;
            // Also the trial instantiation: types of exports are checked there.
            roles::supported(&loaded).await?;
            Ready::Registry(Arc::new(Filled {
                info,
                grants,
                loaded,
            }))
        } else if info.world == "charts" {
            let loaded = self
                .0
                .prepare::<charts::Charts>(shared, &filling.grants, &component)?;
            loaded.try_out().await?;
            Ready::Charts(Arc::new(Filled {
                info,
                grants,
                loaded,
            }))
        } else {
            let loaded = self
                .0
                .prepare::<prober::Prober>(shared, &filling.grants, &component)?;
            loaded.try_out().await?;
            Ready::Prober(Arc::new(Filled {
                info,
                grants,
                loaded,
            }))
        };
        Ok(Candidate {
            slot: slot.clone(),
            ready,
            secrets,
        })
    }

    /// Lets a candidate serve. Calls in flight end on what they began with; returns what served before.
    pub fn switch(&self, candidate: Candidate) -> Option<PluginInfo> {
        match candidate.ready {
            Ready::Registry(filled) => self
                .0
                .registry
                .switch(Some(filled))
                .map(|old| old.info.clone()),
            Ready::Prober(filled) => self
                .0
                .prober
                .switch(Some(filled))
                .map(|old| old.info.clone()),
            Ready::Charts(filled) => self
                .0
                .charts(&candidate.slot)
                .switch(Some(filled))
                .map(|old| old.info.clone()),
        }
    }

    /// [`Engine::load`] and [`Engine::switch`]. When it fails, what served before serves on; an empty slot stays empty and
    /// says why.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub async fn fill(&self, slot: &SlotName, filling: Filling) -> Result<PluginInfo> {
        match self.load(slot, filling).await {
            Ok(candidate) => {
                let info = candidate.info().clone();
                self.switch(candidate);
                Ok(info)
            }
            Err(error) => {
                self.set_problem(slot, error.to_string());
                Err(error)
            }
        }
    }

    /// Why a slot is empty, for `/readyz` and `/plugins`.
    pub fn set_problem(&self, slot: &SlotName, message: String) {
        match slot.as_str() {
            "registry" => self.0.registry.set_problem(message),
            "prober" => self.0.prober.set_problem(message),
            name if name.starts_with("charts-") => self.0.charts(slot).set_problem(message),
            _ => {}
        }
    }
}

#[async_trait]
impl Plugins for Engine {
    fn slots(&self) -> Vec<SlotInfo> {
        let charts = self.0.all_charts();
        let mut all: Vec<SlotInfo> = charts.iter().map(|slot| slot.info()).collect();
        all.extend([self.0.prober.info(), self.0.registry.info()]);
        all
    }

    fn metrics(&self) -> Vec<SlotMetrics> {
        fn of<R: Role>(slot: &Slot<R>) -> SlotMetrics {
            let serving = slot.serving().ok();
            let loaded = serving.as_ref().map(|filled| &filled.loaded);
            SlotMetrics {
                slot: slot.name.clone(),
                memory_bytes: loaded.map_or(0, |l| l.shared.memory_held.load(Ordering::Relaxed)),
                calls: loaded.map_or_else(Vec::new, |l| l.stats.series()),
            }
        }
        let charts = self.0.all_charts();
        let mut all: Vec<SlotMetrics> = charts.iter().map(|slot| of(slot)).collect();
        all.extend([of(&self.0.prober), of(&self.0.registry)]);
        all
    }

    async fn available(&self) -> Result<Vec<Inspection>> {
        let inner = Arc::clone(&self.0);
        let listed = tokio::task::spawn_blocking(move || inner.list());
        listed
            .await
            .map_err(|error| Error::Internal(format!("list plugins: {error}")))?
    }

    async fn inspect(&self, file: &Path) -> Result<Inspection> {
        let (inner, file) = (Arc::clone(&self.0), file.to_path_buf());
        let read = tokio::task::spawn_blocking(move || inner.read(&file));
        let read = read
            .await
            .map_err(|error| Error::Internal(format!("inspect plugin: {error}")))?;
        read.map(|described| described.inspection)
            .map_err(|problem| Error::invalid(problem.what, problem.message))
    }
}

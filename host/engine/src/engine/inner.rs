//! What the engine's clones share, and the way of a file into an instance.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use optikon_core::{
    Error, FieldError, Result,
    ports::{Call, Inspection, Invalidity, PluginInfo, ProgressSink},
    words::{ResourceGrant, Secret, SlotName},
};
use serde_json::Value;
use tokio::sync::Semaphore;
use wasmtime::component::{Component, Linker};

use super::{Deps, EngineConfig, Filling, judge};
use crate::{
    Grants,
    bindings::{charts, prober, registry},
    cache::{self, Cache},
    call::{Loaded, Role},
    gate::Gate,
    imports,
    limits::to_usize,
    load::{self, Described, Worlds},
    pool::{self, Ticker},
    slot::Slot,
    state::{PAGE_BYTES, Shared},
    stats::Stats,
};

pub(super) struct Inner {
    wasmtime: wasmtime::Engine,
    _ticker: Ticker,
    config: EngineConfig,
    deps: Deps,
    cache: Option<Cache>,
    worlds: Worlds,
    memory: Arc<Semaphore>,
    instances: Arc<Semaphore>,
    pub(super) registry: Arc<Slot<registry::Registry>>,
    pub(super) prober: Arc<Slot<prober::Prober>>,
    /// By backend; made when first asked for.
    charts: Mutex<BTreeMap<SlotName, Arc<Slot<charts::Charts>>>>,
    pub(super) progress: Arc<OnceLock<Arc<dyn ProgressSink>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn slot_name(name: &'static str) -> Result<SlotName> {
    name.parse()
        .map_err(|error| Error::Internal(format!("slot {name}: {error}")))
}

impl Inner {
    pub(super) fn new(config: EngineConfig, deps: Deps) -> Result<Self> {
        let internal = |what: &str, error: String| Error::Internal(format!("{what}: {error}"));
        let wasmtime = pool::engine(config.instances, config.memory_slot_bytes)
            .map_err(|error| internal("start wasmtime", format!("{error:#}")))?;
        let ticker = pool::tick(&wasmtime)
            .map_err(|error| internal("start the epoch thread", error.to_string()))?;
        let cache = config.cache_folder.as_deref().and_then(|folder| {
            Cache::open(folder)
                .map_err(|error| tracing::warn!(folder = %folder.display(), %error, "compiled code is not kept"))
                .ok()
        });
        let pages = to_usize(config.memory_total_bytes / PAGE_BYTES).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            wasmtime,
            _ticker: ticker,
            cache,
            worlds: Worlds::new().map_err(Error::Internal)?,
            memory: Arc::new(Semaphore::new(pages)),
            instances: Arc::new(Semaphore::new(config.instances as usize)),
            registry: Arc::new(Slot::new(slot_name("registry")?)),
            prober: Arc::new(Slot::new(slot_name("prober")?)),
            charts: Mutex::default(),
            progress: Arc::default(),
            config,
            deps,
        })
    }

    /// The slot of a charts backend.
    pub(super) fn charts(&self, name: &SlotName) -> Arc<Slot<charts::Charts>> {
        let mut slots = self.charts.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Slot::new(name.clone())));
        Arc::clone(slot)
    }

    /// Every slot of a charts backend that was asked for, by name.
    pub(super) fn all_charts(&self) -> Vec<Arc<Slot<charts::Charts>>> {
        let slots = self.charts.lock().unwrap_or_else(PoisonError::into_inner);
        slots.values().cloned().collect()
    }

    pub(super) fn read(&self, file: &Path) -> std::result::Result<Described, Invalidity> {
        judge::read(&self.config, &self.worlds, file)
    }

    /// Everything that can be said without compiling.
    pub(super) fn look(
        &self,
        slot: &SlotName,
        filling: &Filling,
    ) -> std::result::Result<Described, Vec<Invalidity>> {
        judge::judge(&self.config, &self.worlds, slot, filling)
    }

    /// Blocks.
    pub(super) fn compile(
        &self,
        slot: &SlotName,
        filling: &Filling,
    ) -> Result<(Described, Component)> {
        let described = self.look(slot, filling).map_err(|problems| {
            let fields = problems
                .into_iter()
                .map(|p| FieldError::new(p.what, p.message));
            Error::Invalid(fields.collect())
        })?;
        let digest = &described.inspection.plugin.digest;
        let component = cache::compile(
            &self.wasmtime,
            self.cache.as_ref(),
            digest,
            &described.bytes,
        )
        .map_err(|error| {
            Error::invalid(
                "world",
                format!("the component does not compile: {error:#}"),
            )
        })?;
        Ok((described, component))
    }

    pub(super) fn shared(
        &self,
        slot: &SlotName,
        described: &Described,
        filling: &Filling,
        open: &Value,
        secrets: &Value,
    ) -> Arc<Shared> {
        let info = &described.inspection.plugin;
        let asked = described
            .manifest
            .as_ref()
            .map(|m| m.central.resources.clone())
            .unwrap_or_default();
        Arc::new(Shared {
            slot: slot.clone(),
            plugin: info.name.clone(),
            digest: info.digest.clone(),
            limits: filling.limits.clone(),
            config: open.to_string(),
            secrets: Secret::new(secrets.clone()),
            central: match &filling.grants.central {
                Some(granted) => both(&asked, granted),
                None => asked,
            },
            central_name: filling.central.clone(),
            kv: Arc::clone(&self.deps.kv),
            peers: Arc::clone(&self.deps.peers),
            world: Arc::clone(&self.deps.world),
            progress: Arc::clone(&self.progress),
            memory: Arc::clone(&self.memory),
            memory_total: self.config.memory_total_bytes,
            memory_held: 0.into(),
        })
    }

    pub(super) fn prepare<R: Role>(
        &self,
        shared: Arc<Shared>,
        grants: &Grants,
        component: &Component,
    ) -> Result<Arc<Loaded<R>>> {
        let mut linker = Linker::new(&self.wasmtime);
        let unfit = |error: wasmtime::Error| {
            Error::invalid("import", format!("the component does not link: {error:#}"))
        };
        imports::link(&mut linker, grants).map_err(unfit)?;
        let pre = linker.instantiate_pre(component).map_err(unfit)?;
        let pre = R::prepare(pre).map_err(|error| {
            Error::invalid(
                "world",
                format!("the component's exports do not fit: {error:#}"),
            )
        })?;
        let gate = Gate::new(&shared.limits);
        Ok(Arc::new(Loaded {
            engine: self.wasmtime.clone(),
            shared,
            pre,
            instances: Arc::clone(&self.instances),
            gate,
            stats: Stats::default(),
            warm: Mutex::default(),
        }))
    }
}

/// Asked for and granted: the grant's lines, narrowed to what the plugin asks for.
fn both(asked: &[ResourceGrant], granted: &[ResourceGrant]) -> Vec<ResourceGrant> {
    let mut narrowed = Vec::new();
    for grant in granted {
        for ask in asked.iter().filter(|ask| ask.group == grant.group) {
            let resource = match (grant.resource.as_str(), ask.resource.as_str()) {
                (granted, asked) if granted == asked => granted,
                ("*", asked) => asked,
                (granted, "*") => granted,
                _ => continue,
            };
            let verbs = grant
                .verbs
                .iter()
                .filter(|verb| ask.verbs.contains(verb))
                .cloned();
            narrowed.push(ResourceGrant {
                group: grant.group.clone(),
                resource: resource.to_owned(),
                verbs: verbs.collect(),
            });
        }
    }
    narrowed
}

impl Inner {
    pub(super) fn list(&self) -> Result<Vec<Inspection>> {
        let folder = &self.config.plugins_folder;
        let failed = |error: std::io::Error| {
            Error::unavailable(format!("list plugins in {}: {error}", folder.display()))
        };
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|extension| extension != "wasm") {
                continue;
            }
            let stem = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let inspection = match self.read(&path) {
                Ok(described) => described.inspection,
                Err(problem) => unreadable(&stem, problem),
            };
            found.insert((inspection.plugin.name.clone(), stem), inspection);
        }
        Ok(found.into_values().collect())
    }
}

fn unreadable(stem: &str, problem: Invalidity) -> Inspection {
    Inspection {
        plugin: PluginInfo {
            name: load::name_of(stem),
            version: String::new(),
            world: String::new(),
            description: String::new(),
            digest: String::new(),
            size_bytes: 0,
            imports: Vec::new(),
            asks: BTreeMap::new(),
            central: Vec::new(),
        },
        config_schema: Value::Bool(false),
        problems: vec![problem],
    }
}

impl<R: Role> Loaded<R> {
    /// One instance, made and dropped: a component whose exports have other types fails here.
    pub(crate) async fn try_out(self: &Arc<Self>) -> Result<()> {
        let tried = self
            .serve(Call::background(), "instantiate", |_, _| {
                Box::pin(async { Ok(Ok(())) })
            })
            .await;
        tried.map_err(|error| match error {
            Error::Plugin(failed) => Error::invalid("world", failed.message),
            other => other,
        })
    }
}

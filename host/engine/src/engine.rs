//! The engine: loads plugins, keeps the slots, answers what is asked about them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering},
};

use async_trait::async_trait;
use optikon_core::{
    Error, FieldError, Result,
    ports::{
        Call, Inspection, Invalidity, Kv, PluginInfo, Plugins, Prober, Registry, SlotInfo, World,
    },
    words::{ResourceGrant, SlotName},
};
use serde_json::Value;
use tokio::sync::Semaphore;
use wasmtime::component::{Component, Linker};

use crate::{
    Grants, Limits,
    bindings::{prober, registry},
    cache::{self, Cache},
    call::{Loaded, Role},
    gate::Gate,
    imports,
    limits::to_usize,
    load::{self, Described, Worlds, config, world},
    peers::Peers,
    pool::{self, Ticker},
    roles::{self, ProberSlot, RegistrySlot},
    slot::{Filled, Slot},
    state::{PAGE_BYTES, Shared},
    stats::{CallSeries, Stats},
};

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
        }
    }
}

/// A plugin that was loaded and tried, but does not serve yet.
#[derive(Debug)]
pub struct Candidate {
    slot: SlotName,
    ready: Ready,
    /// The secret fields of its configuration, for whoever keeps `upstream`'s credentials.
    pub secrets: Value,
}

enum Ready {
    Registry(Arc<Filled<registry::Registry>>),
    Prober(Arc<Filled<prober::Prober>>),
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let info = match self {
            Self::Registry(filled) => &filled.info,
            Self::Prober(filled) => &filled.info,
        };
        write!(f, "{} {}", info.name, info.digest)
    }
}

impl Candidate {
    /// Who it is.
    pub fn info(&self) -> &PluginInfo {
        match &self.ready {
            Ready::Registry(filled) => &filled.info,
            Ready::Prober(filled) => &filled.info,
        }
    }

    /// Whether it can serve now: a registry is asked; a prober has nothing to ask.
    ///
    /// # Errors
    /// What the plugin answered, or how it failed.
    pub async fn check(&self, call: Call) -> Result<()> {
        match &self.ready {
            Ready::Registry(filled) => roles::check(&filled.loaded, call).await,
            Ready::Prober(_) => Ok(()),
        }
    }

    /// A registry that is asked directly, past the slot: for a migration.
    pub fn registry(&self) -> Option<Arc<dyn Registry>> {
        let Ready::Registry(filled) = &self.ready else {
            return None;
        };
        let aside = Slot::new(self.slot.clone());
        aside.switch(Some(Arc::clone(filled)));
        Some(Arc::new(RegistrySlot(Arc::new(aside))))
    }
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

/// Runs plugins. Clones share everything.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    wasmtime: wasmtime::Engine,
    _ticker: Ticker,
    config: EngineConfig,
    deps: Deps,
    cache: Option<Cache>,
    worlds: Worlds,
    memory: Arc<Semaphore>,
    instances: Arc<Semaphore>,
    registry: Arc<Slot<registry::Registry>>,
    prober: Arc<Slot<prober::Prober>>,
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

impl Engine {
    /// Starts the engine with both slots empty.
    ///
    /// # Errors
    /// `Internal` when wasmtime or its thread cannot be started. A cache folder that is not usable is only warned of.
    pub fn new(config: EngineConfig, deps: Deps) -> Result<Self> {
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
        Ok(Self(Arc::new(Inner {
            wasmtime,
            _ticker: ticker,
            cache,
            worlds: Worlds::new().map_err(Error::Internal)?,
            memory: Arc::new(Semaphore::new(pages)),
            instances: Arc::new(Semaphore::new(config.instances as usize)),
            registry: Arc::new(Slot::new(slot_name("registry")?)),
            prober: Arc::new(Slot::new(slot_name("prober")?)),
            config,
            deps,
        })))
    }

    /// The registry's slot as a port; every call goes to what fills it then.
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(RegistrySlot(Arc::clone(&self.0.registry)))
    }

    /// The prober's slot as a port; every call goes to what fills it then.
    pub fn prober(&self) -> Arc<dyn Prober> {
        Arc::new(ProberSlot(Arc::clone(&self.0.prober)))
    }

    /// Loads, checks and tries a plugin for a slot without touching what serves there.
    ///
    /// # Errors
    /// `Invalid` with one entry a problem: file, size, digest, section, world, import, grant, config, limit; `Plugin` or
    /// `Timeout` when the trial failed.
    pub async fn load(&self, slot: &SlotName, filling: Filling) -> Result<Candidate> {
        let inner = Arc::clone(&self.0);
        let (name, given) = (slot.clone(), filling.clone());
        let compiled = tokio::task::spawn_blocking(move || inner.compile(&name, &given));
        let (described, component) = compiled
            .await
            .map_err(|error| Error::Internal(format!("load plugin: {error}")))??;
        let (open, secrets) =
            config::split_secrets(&described.inspection.config_schema, &filling.config);
        let shared = self.0.shared(slot, &described, &filling, &open);
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
            _ => {}
        }
    }

    /// What is wrong with a filling, without compiling or running it: for `config check`.
    pub async fn check(&self, slot: &SlotName, filling: Filling) -> Vec<Invalidity> {
        let (inner, name) = (Arc::clone(&self.0), slot.clone());
        let looked = tokio::task::spawn_blocking(move || inner.look(&name, &filling).map(|_| ()));
        match looked.await {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(problems)) => problems,
            Err(error) => vec![world::problem("file", error.to_string())],
        }
    }

    /// Series for `/metrics`.
    pub fn metrics(&self) -> Vec<SlotMetrics> {
        fn of<R: Role>(slot: &Slot<R>) -> SlotMetrics {
            let serving = slot.serving().ok();
            let loaded = serving.as_ref().map(|filled| &filled.loaded);
            SlotMetrics {
                slot: slot.name.clone(),
                memory_bytes: loaded.map_or(0, |l| l.shared.memory_held.load(Ordering::Relaxed)),
                calls: loaded.map_or_else(Vec::new, |l| l.stats.series()),
            }
        }
        vec![of(&self.0.prober), of(&self.0.registry)]
    }
}

impl Inner {
    fn path(&self, file: &Path) -> PathBuf {
        self.config.plugins_folder.join(file)
    }

    fn read(&self, file: &Path) -> std::result::Result<Described, Invalidity> {
        let bytes = load::read(&self.path(file), self.config.plugin_bytes)?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        Ok(load::describe(bytes, &stem, &self.worlds))
    }

    /// Everything that can be said without compiling.
    fn look(
        &self,
        slot: &SlotName,
        filling: &Filling,
    ) -> std::result::Result<Described, Vec<Invalidity>> {
        let described = self.read(&filling.file).map_err(|problem| vec![problem])?;
        let mut problems = described.inspection.problems.clone();
        let info = &described.inspection.plugin;
        if let Some(pinned) = &filling.digest
            && *pinned != info.digest
        {
            let found = &info.digest;
            problems.push(world::problem(
                "digest",
                format!("the file has the digest {found}, pinned is {pinned}"),
            ));
        }
        if let Some(manifest) = &described.manifest {
            let role = slot.as_str().split('-').next().unwrap_or_default();
            if manifest.world != role {
                let world = crate::escape::line(&manifest.world, 64);
                problems.push(world::problem(
                    "world",
                    format!("slot \"{slot}\" takes a {role}, the plugin is a {world}"),
                ));
            }
            let granted = Some((slot.as_str(), &filling.grants));
            problems.extend(world::grant_problems(
                &described.imports,
                &manifest.asks,
                granted,
            ));
            problems.extend(
                filling
                    .limits
                    .unmet(&manifest.limits)
                    .into_iter()
                    .map(|line| world::problem("limit", line)),
            );
        }
        for unknown in filling.grants.unknown() {
            problems.push(world::problem(
                "grant",
                format!("slot \"{slot}\": there is no grant \"{unknown}\""),
            ));
        }
        if filling.limits.memory_bytes > self.config.memory_slot_bytes {
            let most = self.config.memory_slot_bytes;
            problems.push(world::problem(
                "limit",
                format!("slot \"{slot}\": memory-bytes may be at most {most}"),
            ));
        }
        problems.extend(config::check(
            &described.inspection.config_schema,
            &filling.config,
        ));
        problems.dedup();
        if problems.is_empty() {
            Ok(described)
        } else {
            Err(problems)
        }
    }

    /// Blocks.
    fn compile(&self, slot: &SlotName, filling: &Filling) -> Result<(Described, Component)> {
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

    fn shared(
        &self,
        slot: &SlotName,
        described: &Described,
        filling: &Filling,
        open: &Value,
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
            central: both(&asked, &filling.grants.central),
            kv: Arc::clone(&self.deps.kv),
            peers: Arc::clone(&self.deps.peers),
            world: Arc::clone(&self.deps.world),
            memory: Arc::clone(&self.memory),
            memory_total: self.config.memory_total_bytes,
            memory_held: 0.into(),
        })
    }

    fn prepare<R: Role>(
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

#[async_trait]
impl Plugins for Engine {
    fn slots(&self) -> Vec<SlotInfo> {
        vec![self.0.prober.info(), self.0.registry.info()]
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

impl Inner {
    fn list(&self) -> Result<Vec<Inspection>> {
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

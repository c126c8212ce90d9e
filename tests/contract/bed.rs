//! A registry plugin in the engine, on a store in a temporary folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use futures::StreamExt;
use optikon_core::ports::{Call, Event, EventStream, Object, Page, Registry, Supported, World};
use optikon_core::words::{Cluster, ClusterName, Uid};
use optikon_core::{Error, Result as Outcome};
use optikon_engine::{Deps, Engine, EngineConfig, Filling, Grants, NoPeers, Peers};
use optikon_store::{Limits, Store, StoreOptions};
use optikon_tests::scratch;
use optikon_xtask::folders::Folders;
use optikon_xtask::plugins;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing here takes so long; without an end, a lost event would hang the run.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Two compilations of the same component at once would only slow each other down.
static LOADING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Where a registry keeps its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// In the gateway's own store.
    Store,
    /// On a central cluster, as custom resources.
    #[cfg(feature = "testbed")]
    Central,
    /// In an API server of its own, behind a central cluster.
    #[cfg(feature = "testbed")]
    Aggregated,
}

/// Which component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plugin {
    name: &'static str,
    is_example: bool,
    home: Home,
    limits: Option<Limits>,
}

impl Plugin {
    /// One of `plugins/`.
    pub(crate) fn shipped(name: &'static str) -> Self {
        Self {
            name,
            is_example: false,
            home: Home::Store,
            limits: None,
        }
    }

    /// One of `examples/`, built as its author would.
    pub(crate) fn example(name: &'static str) -> Self {
        Self {
            is_example: true,
            ..Self::shipped(name)
        }
    }

    /// One of `plugins/` that keeps its objects on a central cluster.
    #[cfg(feature = "testbed")]
    pub(crate) fn central(name: &'static str) -> Self {
        Self {
            home: Home::Central,
            ..Self::shipped(name)
        }
    }

    /// One of `plugins/` that keeps its objects in an API server behind a central cluster.
    #[cfg(feature = "testbed")]
    pub(crate) fn aggregated(name: &'static str) -> Self {
        Self {
            home: Home::Aggregated,
            ..Self::shipped(name)
        }
    }

    /// Builds it; a second time in the same process costs nothing.
    fn file(&self) -> Result<PathBuf> {
        static BUILT: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = built.get(self.name) {
            return Ok(file.clone());
        }
        let folders = Folders::here();
        let file = if self.is_example {
            let copy = scratch::folder()?;
            copy_out(&folders, self.name, copy.path())?;
            let out = folders.target.join("examples-plugins");
            plugins::build_folder(&folders, copy.path(), &out)?
        } else {
            optikon_tests::gateway::plugin(self.name)?
        };
        built.insert(self.name, file.clone());
        Ok(file)
    }
}

/// Copies an example out of the tree as its author does: the folder, with the SDK's line changed to where that is.
fn copy_out(folders: &Folders, name: &str, to: &Path) -> Result<()> {
    let from = folders.root.join("examples").join(name);
    for file in [
        "Cargo.toml",
        "Cargo.lock",
        "plugin.toml",
        "config.schema.json",
    ] {
        fs::copy(from.join(file), to.join(file)).with_context(|| format!("copy {file}"))?;
    }
    fs::create_dir(to.join("src"))?;
    for file in fs::read_dir(from.join("src"))? {
        let file = file?;
        fs::copy(file.path(), to.join("src").join(file.file_name()))?;
    }
    let manifest = fs::read_to_string(to.join("Cargo.toml"))?;
    let inside = "path = \"../../plugins/sdk\"";
    anyhow::ensure!(manifest.contains(inside), "the SDK's line is another");
    let sdk = folders.root.join("plugins").join("sdk");
    let outside = manifest.replace(inside, &format!("path = {:?}", sdk.display().to_string()));
    fs::write(to.join("Cargo.toml"), outside)?;
    Ok(())
}

#[derive(Debug)]
pub(crate) struct SystemWorld;

impl World for SystemWorld {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
    fn random(&self, buffer: &mut [u8]) {
        let provider = rustls::crypto::ring::default_provider();
        provider
            .secure_random
            .fill(buffer)
            .expect("the system has random bytes");
    }
}

/// The plugin and what it stands on.
#[derive(Debug)]
pub(crate) struct Bed {
    plugin: Plugin,
    folder: TempDir,
    running: Option<(Engine, Store)>,
    #[cfg(feature = "testbed")]
    place: Option<crate::central::Place>,
    #[cfg(feature = "testbed")]
    turn: Option<crate::aggregated::Turn>,
}

impl Bed {
    /// An empty registry.
    pub(crate) async fn start(plugin: Plugin) -> Result<Self> {
        let mut bed = Self {
            plugin,
            folder: scratch::folder()?,
            running: None,
            #[cfg(feature = "testbed")]
            place: None,
            #[cfg(feature = "testbed")]
            turn: None,
        };
        #[cfg(feature = "testbed")]
        match plugin.home {
            Home::Store => {}
            Home::Central => bed.place = Some(crate::central::Place::start().await?),
            Home::Aggregated => bed.turn = Some(crate::aggregated::Turn::take().await?),
        }
        bed.open().await?;
        Ok(bed)
    }

    async fn open(&mut self) -> Result<()> {
        let _one = LOADING.lock().await;
        let plugin = self.plugin;
        let file = tokio::task::spawn_blocking(move || plugin.file()).await??;
        let options = StoreOptions {
            limits: plugin.limits.unwrap_or_default(),
            ..StoreOptions::default()
        };
        let store =
            Store::open(&self.folder.path().join("data"), options).context("open the store")?;
        let mut config = EngineConfig::new(self.folder.path());
        config.cache_folder = Some(Self::cache());
        let deps = Deps {
            kv: Arc::new(store.clone()),
            peers: self.peers()?,
            world: Arc::new(SystemWorld),
        };
        let engine = Engine::new(config, deps)?;
        let grants = match plugin.home {
            Home::Store => Grants::new(["kv", "clock", "random", "log", "config", "call"]),
            #[cfg(feature = "testbed")]
            Home::Central => Grants::new(["central", "kube", "log", "config"]),
            #[cfg(feature = "testbed")]
            Home::Aggregated => Grants::new(["central", "kube", "log"]),
        };
        let mut filling = Filling::new(file, grants);
        filling.config = self.config();
        engine.fill(&"registry".parse()?, filling).await?;
        self.running = Some((engine, store));
        Ok(())
    }

    #[cfg(not(feature = "testbed"))]
    fn peers(&self) -> Result<Arc<dyn Peers>> {
        Ok(Arc::new(NoPeers))
    }

    #[cfg(feature = "testbed")]
    fn peers(&self) -> Result<Arc<dyn Peers>> {
        match (&self.place, &self.turn) {
            (Some(place), _) => place.peers(Arc::new(SystemWorld)),
            (None, Some(turn)) => turn.peers(Arc::new(SystemWorld)),
            (None, None) => Ok(Arc::new(NoPeers)),
        }
    }

    #[cfg(not(feature = "testbed"))]
    fn config(&self) -> Value {
        json!({})
    }

    #[cfg(feature = "testbed")]
    fn config(&self) -> Value {
        let place = self.place.as_ref();
        place.map_or_else(|| json!({}), crate::central::Place::config)
    }

    /// The component, for a second engine.
    #[cfg(feature = "testbed")]
    pub(crate) fn file(&self) -> PathBuf {
        self.plugin.file().expect("it was built")
    }

    #[cfg(feature = "testbed")]
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Where compiled code is kept.
    pub(crate) fn cache() -> PathBuf {
        Folders::here().target.join("contract-cache")
    }

    #[cfg(feature = "testbed")]
    pub(crate) fn kv(&self) -> Arc<dyn optikon_core::ports::Kv> {
        Arc::new(self.running.as_ref().expect("it runs").1.clone())
    }

    /// Where the objects are, of a plugin that keeps them on a central cluster.
    #[cfg(feature = "testbed")]
    pub(crate) fn place(&self) -> &crate::central::Place {
        self.place.as_ref().expect("a central cluster")
    }

    /// The API server behind the central cluster, of a plugin that keeps its objects there.
    #[cfg(feature = "testbed")]
    pub(crate) fn turn(&self) -> &crate::aggregated::Turn {
        self.turn.as_ref().expect("an API server of its own")
    }

    /// Ends gateway and store, and starts them again on the same folder.
    pub(crate) async fn restart(&mut self) {
        if let Some((engine, store)) = self.running.take() {
            drop(engine);
            store.close();
        }
        self.open().await.expect("starts again");
    }

    /// The same with a store that forgets sooner.
    pub(crate) async fn with_limits(mut self, limits: Limits) -> Self {
        self.plugin.limits = Some(limits);
        self.restart().await;
        self
    }

    pub(crate) fn registry(&self) -> Arc<dyn Registry> {
        self.running.as_ref().expect("it runs").0.registry()
    }

    pub(crate) async fn supported(&self) -> Supported {
        self.registry().supported().await.expect("says what it can")
    }

    pub(crate) async fn get(&self, name: &str) -> Outcome<Object> {
        self.registry().get(Call::client(), &self::name(name)).await
    }

    pub(crate) async fn try_create(&self, value: &Value) -> Outcome<Object> {
        self.registry()
            .create(Call::client(), &cluster(value), false)
            .await
    }

    /// Creates one that must be accepted.
    pub(crate) async fn create(&self, name: &str, labels: &[(&str, &str)]) -> Object {
        self.try_create(&draft(name, labels))
            .await
            .expect("creates")
    }

    pub(crate) async fn update(&self, value: &Value, expect: Option<&str>) -> Outcome<Object> {
        let expect = expect.map(str::to_owned);
        self.registry()
            .update(Call::client(), &cluster(value), expect, false)
            .await
    }

    /// Changes the object of this name as it is now; nobody else may write it meanwhile.
    pub(crate) async fn change(&self, name: &str, change: impl FnOnce(&mut Value)) -> Object {
        let mut value = json_of(&self.get(name).await.expect("is there"));
        change(&mut value);
        self.update(&value, None).await.expect("updates")
    }

    pub(crate) async fn delete(&self, name: &str) -> Outcome<Object> {
        let name = self::name(name);
        self.registry()
            .delete(Call::client(), &name, None, None, false)
            .await
    }

    pub(crate) async fn list(
        &self,
        selector: &str,
        limit: u32,
        next: Option<String>,
    ) -> Outcome<Page> {
        self.registry()
            .list(Call::client(), selector, limit, next)
            .await
    }

    /// Every object that is selected, in the order of the pages.
    pub(crate) async fn all(&self, selector: &str) -> Vec<Object> {
        let (mut items, mut next) = (Vec::new(), None);
        loop {
            let page = self.list(selector, 1_000, next).await.expect("lists");
            items.extend(page.items);
            next = page.next;
            if next.is_none() {
                return items;
            }
        }
    }

    pub(crate) async fn watch(&self, selector: &str, after: Option<&str>) -> Outcome<Watch> {
        let events = self
            .registry()
            .watch(selector, after.map(str::to_owned))
            .await?;
        Ok(Watch(events))
    }
}

/// A watch that does not hang.
pub(crate) struct Watch(EventStream);

impl Watch {
    pub(crate) async fn next(&mut self) -> Option<Outcome<Event>> {
        tokio::time::timeout(PATIENCE, self.0.next())
            .await
            .expect("an event within a minute")
    }

    /// The next event that is no bookmark, as `stored name revision`.
    pub(crate) async fn change(&mut self) -> (&'static str, Object) {
        loop {
            match self
                .next()
                .await
                .expect("the watch goes on")
                .expect("no error")
            {
                Event::Stored(object) => return ("stored", object),
                Event::Deleted(object) => return ("deleted", object),
                Event::Bookmark(_) => {}
            }
        }
    }

    /// Every change up to that of `last`, which is left out.
    pub(crate) async fn until(&mut self, last: &str) -> Vec<(&'static str, Object)> {
        let mut seen = Vec::new();
        loop {
            let (kind, object) = self.change().await;
            if object.cluster.name().as_str() == last {
                return seen;
            }
            seen.push((kind, object));
        }
    }
}

pub(crate) fn name(text: &str) -> ClusterName {
    text.parse().expect("a name")
}

pub(crate) fn uid(object: &Object) -> Uid {
    object.cluster.uid().expect("a uid")
}

pub(crate) fn cluster(value: &Value) -> Cluster {
    Cluster::from_json(&value.to_string()).expect("an object with a name")
}

pub(crate) fn json_of(object: &Object) -> Value {
    Value::Object(object.cluster.clone().into_object())
}

/// What a client sends.
pub(crate) fn draft(name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    json!({
        "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": name, "labels": labels},
        "spec": {"kubernetesApiEndpoints": {"serverEndpoints": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}]}},
    })
}

/// The code of a failure.
pub(crate) fn code<T: std::fmt::Debug>(outcome: Outcome<T>) -> &'static str {
    outcome.expect_err("must fail").code()
}

/// The revision that a conflict names.
pub(crate) fn present<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
    match outcome.expect_err("must fail") {
        Error::Conflict { revision, .. } => revision.expect("names the present revision"),
        other => panic!("no conflict: {other}"),
    }
}

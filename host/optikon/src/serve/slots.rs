//! Fills slots: plugin files, kept copies, central clusters and limits come together here for the engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use async_trait::async_trait;
use optikon_api::{Echo, PARAMETER};
use optikon_core::{
    Error, Result,
    ports::{
        Call, Candidate, Connection, Filling, PluginInfo, Plugins, Registry, SlotInfo, Slots,
        World as _,
    },
    words::{Fault, FaultReason, InvalidName, PluginName, Request, SlotName},
};
use optikon_engine::{Engine, Grants, Limits};
use serde_json::Value;

use super::peers::Configured;
use crate::world::World;

/// The slots of an engine.
#[derive(Debug)]
pub(crate) struct Filler {
    engine: Engine,
    peers: Arc<Configured>,
    /// Where plugin files are.
    folder: PathBuf,
    /// Copies of those that fill slots or did: a swap can go back also when the folder has another version.
    kept: PathBuf,
    present: Arc<Mutex<BTreeMap<SlotName, Filling>>>,
    echo: Arc<Echo>,
}

impl Filler {
    /// Keeps copies below the data folder.
    ///
    /// # Errors
    /// When the folder for them cannot be made.
    pub(crate) fn new(
        engine: Engine,
        peers: Arc<Configured>,
        data: &Path,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        // The engine takes relative paths as below its own folder.
        let absolute =
            |path: &Path| std::path::absolute(path).context("the working folder is gone");
        let (kept, folder) = (absolute(&data.join("plugins"))?, absolute(folder)?);
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&kept);
        made.with_context(|| format!("cannot make {}", kept.display()))?;
        Ok(Self {
            engine,
            peers,
            folder,
            kept,
            present: Arc::default(),
            echo: Arc::default(),
        })
    }

    /// Hears what this gateway sends to itself.
    pub(crate) fn echo(&self) -> Arc<Echo> {
        self.echo.clone()
    }

    /// Loads a plugin and lets it serve.
    ///
    /// # Errors
    /// As [`Slots::load`].
    pub(crate) async fn fill(&self, slot: &SlotName, filling: &Filling) -> Result<PluginInfo> {
        let candidate = self.load(slot, filling).await?;
        candidate.switch();
        Ok(candidate.info().clone())
    }

    /// The way to the cluster that holds the registry, for the host itself.
    ///
    /// # Errors
    /// `BadConfig` where there is none.
    pub(crate) fn central(&self) -> std::result::Result<Arc<dyn Connection>, Fault> {
        let bad = |error: InvalidName| Fault::new(FaultReason::BadConfig, error.to_string());
        let slot = "registry".parse().map_err(bad)?;
        let present = self.present(&slot);
        let central = present.as_ref().and_then(|p| p.central.as_ref());
        self.peers.central_for_host(central.map(|c| c.uid.as_str()))
    }

    /// Whether the registry is on a central cluster.
    pub(crate) fn has_central(&self) -> bool {
        let present = "registry".parse().ok().and_then(|slot| self.present(&slot));
        present.is_some_and(|filling| filling.grants.iter().any(|g| g == "central"))
    }

    fn copy_of(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix("sha256:")?;
        let is_hex = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| self.kept.join(format!("{hex}.wasm")))
    }

    /// The kept copy of that digest, else the file in the folder.
    fn file(&self, filling: &Filling) -> PathBuf {
        let copy = filling.digest.as_deref().and_then(|d| self.copy_of(d));
        match copy.filter(|copy| copy.is_file()) {
            Some(copy) => copy,
            None => self.folder.join(format!("{}.wasm", filling.plugin)),
        }
    }

    fn keep(&self, file: &Path, digest: &str) -> std::io::Result<()> {
        let Some(copy) = self.copy_of(digest) else {
            return Ok(());
        };
        if copy.is_file() {
            return Ok(());
        }
        let partial = copy.with_extension("partial");
        fs::copy(file, &partial)?;
        fs::rename(&partial, &copy)
    }
}

/// A filling as the engine takes it, its file at `file`; `central` is left to who knows the clusters.
///
/// # Errors
/// `Invalid` for limits that are none.
pub(crate) fn for_engine(
    slot: &SlotName,
    filling: &Filling,
    file: &Path,
) -> Result<optikon_engine::Filling> {
    let interfaces = filling.grants.iter().map(String::as_str);
    let mut wanted = optikon_engine::Filling::new(file, Grants::new(interfaces));
    wanted.grants.central.clone_from(&filling.central_grants);
    wanted.digest.clone_from(&filling.digest);
    wanted.config = Value::Object(filling.config.clone());
    wanted.limits = limits(slot, filling)?;
    Ok(wanted)
}

fn limits(slot: &SlotName, filling: &Filling) -> Result<Limits> {
    let field = format!("plugins.slots.{slot}.limits");
    let given = serde_json::from_value(Value::Object(filling.limits.clone()))
        .map_err(|_| Error::invalid(field.clone(), "each is a whole number"))?;
    Limits::of_slot(slot.as_str())
        .with(given)
        .map_err(|error| Error::invalid(field, error.to_string()))
}

#[async_trait]
impl Slots for Filler {
    fn present(&self, slot: &SlotName) -> Option<Filling> {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.get(slot).cloned()
    }

    fn info(&self, slot: &SlotName) -> Option<SlotInfo> {
        self.engine.slots().into_iter().find(|s| s.slot == *slot)
    }

    async fn look(&self, plugin: &PluginName) -> Result<PluginInfo> {
        let file = self.folder.join(format!("{plugin}.wasm"));
        Ok(self.engine.inspect(&file).await?.plugin)
    }

    async fn load(&self, slot: &SlotName, filling: &Filling) -> Result<Arc<dyn Candidate>> {
        let file = self.file(filling);
        let mut wanted = for_engine(slot, filling, &file)?;
        if let Some(central) = &filling.central {
            let name = central.uid.as_str();
            self.peers.give(name, central.clone());
            wanted.central = Some(name.to_owned());
        }
        let candidate = self.engine.load(slot, wanted).await?;
        let info = candidate.info().clone();
        // Without a copy it serves all the same; only a way back may be missing later.
        if let Err(error) = self.keep(&file, &info.digest) {
            tracing::warn!(plugin = %info.name, %error, "no copy of the plugin is kept");
        }
        let mut filling = filling.clone();
        filling.digest.get_or_insert_with(|| info.digest.clone());
        Ok(Arc::new(Loaded {
            engine: self.engine.clone(),
            candidate,
            slot: slot.clone(),
            filling,
            present: self.present.clone(),
            peers: self.peers.clone(),
            echo: self.echo.clone(),
        }))
    }

    async fn keep_only(&self, fillings: &[Filling]) {
        let serving: Vec<Filling> = {
            let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
            present.values().cloned().collect()
        };
        let all = || fillings.iter().chain(&serving);
        let centrals: BTreeSet<&str> = all()
            .filter_map(|f| Some(f.central.as_ref()?.uid.as_str()))
            .collect();
        self.peers.keep_only(&centrals);
        let copies: BTreeSet<PathBuf> = all()
            .filter_map(|f| self.copy_of(f.digest.as_deref()?))
            .collect();
        let entries = match fs::read_dir(&self.kept) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "copies of plugins cannot be looked through");
                return;
            }
        };
        for entry in entries.flatten() {
            if !copies.contains(&entry.path())
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(file = %entry.path().display(), %error, "an old copy of a plugin stays");
            }
        }
    }
}

#[derive(Debug)]
struct Loaded {
    engine: Engine,
    candidate: optikon_engine::Candidate,
    slot: SlotName,
    filling: Filling,
    present: Arc<Mutex<BTreeMap<SlotName, Filling>>>,
    peers: Arc<Configured>,
    echo: Arc<Echo>,
}

impl Loaded {
    /// Whether clusters on the plugin's central cluster are this gateway's own: a registry that asks itself.
    async fn leads_back(&self) -> bool {
        let central = self.filling.central.as_ref().map(|c| c.uid.as_str());
        let Ok(connection) = self.peers.central_for_host(central) else {
            return false;
        };
        let mut random = [0; 16];
        World.random(&mut random);
        let word: String = random.iter().map(|b| format!("{b:02x}")).collect();
        self.echo.expect(&word);
        let request = Request {
            query: vec![(PARAMETER.into(), word.clone())],
            ..Request::get("/apis/clusterregistry.k8s.io/v1alpha1")
        };
        // Whatever is answered: a fault is found again by the plugin's own check.
        if let Err(fault) = connection.request(request).await {
            tracing::debug!(
                fault = fault.message,
                "the central cluster was not asked whether it leads back here"
            );
        }
        self.echo.came_back(&word)
    }
}

#[async_trait]
impl Candidate for Loaded {
    fn info(&self) -> &PluginInfo {
        self.candidate.info()
    }

    async fn check(&self, call: Call) -> Result<()> {
        if self.info().asks.contains_key("central") && self.leads_back().await {
            return Err(Error::invalid(
                "central",
                "there, clusters are served by this very gateway; a registry has to be somewhere else",
            ));
        }
        self.candidate.check(call).await
    }

    fn registry(&self) -> Option<Arc<dyn Registry>> {
        self.candidate.registry()
    }

    fn switch(&self) {
        self.engine.switch(self.candidate.clone());
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.insert(self.slot.clone(), self.filling.clone());
    }
}

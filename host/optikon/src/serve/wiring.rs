//! Joins the crates: the only place that sees all of them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use optikon_api::{Gateway, Metrics, Served, Version};
use optikon_core::{
    flows::{
        charts::{Auto, ChartFlows, Provenance},
        clusters::Clusters,
        custody::Custody,
        feed,
        looks::Looks,
        mirror::Mirror,
        secrets::SecretReader,
        swap::{Swaps, SwapsDeps, present_fillings},
    },
    ports::{self, Documents as _, Filling, Table},
    words::{Secret, Selector, SlotName},
};
use optikon_engine::{Deps, Engine, EngineConfig};
use optikon_outbound::Outbound;
use optikon_store::{ArchiveFolder, KeySource, Store, StoreOptions};
use tokio::sync::watch;

use super::{
    access, checks::Checks, peers::Configured, secrets::BesideTheRegistry, slots::Filler,
    vault::CentralVault,
};
use crate::{
    args::ServeArgs,
    config::{Config, Managed, Place, Slot},
    keyring::Keys,
    world::World,
};

/// What fills a slot when nothing is said, and what a shipped plugin is granted: what it asks for.
const SHIPPED: &[(&str, &str, &[&str])] = &[
    (
        "registry",
        "registry-embedded",
        &["kv", "clock", "random", "log", "config", "call"],
    ),
    (
        "charts-helm",
        "charts-helm",
        &[
            "kube", "facts", "call", "clock", "random", "keys", "progress", "log", "config",
        ],
    ),
    (
        "charts-tiller",
        "charts-tiller",
        &[
            "grpc", "kube", "facts", "config", "call", "clock", "progress", "log",
        ],
    ),
    (
        "prober",
        "prober-kubernetes",
        &["kube", "call", "clock", "log", "config"],
    ),
];

/// The backend that chooses among the others, per cluster.
const AUTO: &str = "charts-auto";

/// A gateway, joined and loaded, that does not serve yet.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) gateway: Gateway,
    pub(crate) store: Arc<Store>,
    /// Rises when another plugin fills the registry's slot.
    pub(crate) swapped: watch::Receiver<u64>,
}

impl Joined {
    /// Writes what is still to be written.
    pub(crate) async fn close(self) {
        let Self { gateway, store, .. } = self;
        gateway.clusters.save_all().await;
        drop(gateway);
        let closed = tokio::task::spawn_blocking(move || store.close());
        if let Err(error) = closed.await {
            tracing::error!(%error, "the store was not closed in order");
        }
    }
}

/// Opens the store, starts the engine, fills the slots, reads what was known.
pub(crate) async fn join(
    args: &ServeArgs,
    config: &Config,
    addresses: Vec<SocketAddr>,
    shutdown: watch::Receiver<bool>,
) -> Result<Joined> {
    let folder = &args.data_dir;
    let world: Arc<dyn ports::World> = Arc::new(World);
    let store = Arc::new(open_store(args, config)?);

    let mut outbound = config.outbound.clone();
    outbound.allow_loopback |= args.dev;
    let outbound = Outbound::new(outbound, world.clone()).context("outbound cannot start")?;
    outbound.set_own_listeners(addresses);
    let metrics = Metrics::default();
    metrics.count_tunnels(outbound.tunnels());
    let outbound = Arc::new(outbound);
    let fetcher: Arc<dyn ports::Fetcher> = outbound.clone();
    let outbound: Arc<dyn ports::Outbound> = outbound;

    let peers = Arc::new(Configured::new(config, outbound.clone())?);
    let plugins_folder = plugins_folder(args.plugins_dir.as_deref(), config)?;
    let mut engine_config = EngineConfig::new(&plugins_folder);
    engine_config.cache_folder = Some(folder.join("compiled"));
    engine_config.memory_total_bytes = config.plugins.total_memory_bytes;
    let deps = Deps {
        kv: store.clone(),
        peers: peers.clone(),
        world: world.clone(),
    };
    let engine = Engine::new(engine_config, deps).context("the engine cannot start")?;
    let filler = Filler::new(engine.clone(), peers.clone(), folder, &plugins_folder)?;
    let filler = Arc::new(filler);
    let vault = vault(config, &store, &filler, &world).await?;
    if config.vault.compatible {
        tracing::warn!(
            "vault.compatible: tokens of clusters are written into the registry on the central cluster, where everybody \
             who may read clusters reads them"
        );
        peers.be_compatible(vault.clone());
    }
    fill(&engine, &filler, config, &store).await?;

    let (first, reserved) = feed::first_numbers(store.as_ref())
        .await
        .context("the store cannot write")?;
    let mirror = Arc::new(Mirror::new(first, reserved));
    let allowed = config.central.as_ref().map(|c| c.secret_namespaces.clone());
    let secrets = BesideTheRegistry::new(filler.clone(), allowed.unwrap_or_default());
    let secrets = SecretReader::new(Arc::new(secrets), store.clone(), world.clone());
    let custody = Custody::new(vault.clone(), world.clone())
        .with_secrets(secrets)
        .with_found(peers.found());
    let looks = Looks::new(
        engine.prober(),
        outbound.clone(),
        custody.clone(),
        mirror.clone(),
        world.clone(),
    );
    let clusters = Clusters::new(
        engine.registry(),
        looks,
        mirror.clone(),
        custody,
        outbound,
        store.clone(),
        world.clone(),
    );
    clusters.load().await.context("the store cannot be read")?;

    let archives = ArchiveFolder::open(folder).context("the folder of archives cannot be made")?;
    let mut backends = backends(&engine, config)?;
    let auto = Auto::new(mirror.clone(), backends.clone(), world.clone());
    auto.set_rules(rules(config)?);
    backends.insert(AUTO.parse()?, Arc::new(auto));
    let charts = ChartFlows::new(
        clusters.clone(),
        backends,
        Arc::new(archives),
        fetcher,
        store.clone(),
        store.clone(),
        world.clone(),
    );
    if let Some(file) = &config.charts.keyring {
        let keys = Keys::read(file).map_err(|why| anyhow::anyhow!("charts.keyring: {why}"))?;
        charts.set_provenance(Provenance {
            keyring: Arc::new(keys),
            is_required: config.charts.require_provenance,
        });
    }
    engine.set_progress(Arc::new(charts.clone()));
    let (swapped_sender, swapped) = watch::channel(0);
    let echo = filler.echo();
    let swaps = Swaps::new(SwapsDeps {
        clusters: clusters.clone(),
        charts: charts.clone(),
        slots: filler,
        registry: engine.registry(),
        documents: store.clone(),
        vault,
        world: world.clone(),
        swapped: swapped_sender,
        is_managed_by_file: config.plugins.managed == Managed::File,
    });
    let plugins: Arc<dyn ports::Plugins> = Arc::new(engine);
    let checks = Checks {
        documents: store.clone(),
        plugins: plugins.clone(),
        mirror,
        store: store.clone(),
    };
    let gateway = Gateway::from(Served {
        clusters,
        charts,
        swaps,
        tokens: access::tokens(folder, store.clone(), world.clone()).await?,
        plugins,
        documents: store.clone(),
        world,
        metrics: Arc::new(metrics),
        checks: Arc::new(checks),
        version: Arc::new(Version {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("OPTIKON_COMMIT").map(str::to_owned),
            interfaces: ["host", "registry", "prober", "charts"]
                .map(|p| format!("optikon:{p}@0.1.0"))
                .to_vec(),
        }),
        echo,
        hosts: Arc::new(config.server.hosts.clone()),
        certificates: Arc::new(access::certificates(config)?),
        shutdown,
        trace_parent: crate::telemetry::parent,
    });
    Ok(Joined {
        gateway,
        store,
        swapped,
    })
}

/// Where credentials of clusters are kept.
async fn vault(
    config: &Config,
    store: &Arc<Store>,
    slots: &Arc<Filler>,
    world: &Arc<dyn ports::World>,
) -> Result<Arc<dyn ports::Vault>> {
    Ok(match config.vault.place {
        Place::Store => store.clone(),
        Place::Central => Arc::new(CentralVault::new(
            store.clone(),
            slots.clone(),
            world.clone(),
            config.vault.namespace.clone(),
            own_id(store, world.as_ref()).await?,
        )),
    })
}

/// What this gateway calls itself where several may write, for as long as its data folder lasts.
async fn own_id(store: &Store, world: &dyn ports::World) -> Result<String> {
    const KEY: &str = "gateway-id";
    let known = store.read(Table::Meta, KEY).await;
    if let Some(bytes) = known.context("the store cannot be read")? {
        return String::from_utf8(bytes).context("the gateway's id in the store is no text");
    }
    let mut random = [0; 16];
    world.random(&mut random);
    let id: String = random.iter().map(|b| format!("{b:02x}")).collect();
    let row = (Table::Meta, KEY.to_owned(), Some(id.clone().into_bytes()));
    let written = store.write(vec![row]).await;
    written.context("the store cannot write")?;
    Ok(id)
}

fn open_store(args: &ServeArgs, config: &Config) -> Result<Store> {
    let key = config.store.vault_key.as_ref();
    let options = StoreOptions {
        vault_key: key.map_or(KeySource::File, |k| {
            KeySource::Given(Secret::new(k.0.clone()))
        }),
        ..StoreOptions::default()
    };
    Ok(Store::open(&args.data_dir, options)?)
}

/// `--plugins-dir`, the file's, or `plugins` beside the binary.
pub(crate) fn plugins_folder(given: Option<&Path>, config: &Config) -> Result<PathBuf> {
    if let Some(folder) = given.or(config.plugins.dir.as_deref()) {
        return Ok(folder.to_path_buf());
    }
    let binary =
        std::env::current_exe().context("cannot tell where the binary is; give --plugins-dir")?;
    Ok(binary.with_file_name("plugins"))
}

/// What is to fill every configured slot, and those that are there anyway.
pub(crate) fn fillings(config: &Config) -> Result<Vec<(SlotName, Result<Filling>)>> {
    let mut slots = config.plugins.slots.clone();
    for (name, _, _) in SHIPPED {
        slots.entry((*name).to_owned()).or_default();
    }
    let fillings = slots.iter().map(|(name, slot)| {
        let slot_name: SlotName = name.parse().with_context(|| format!("slot \"{name}\""))?;
        Ok((slot_name, filling(name, slot)))
    });
    fillings.collect()
}

/// Fills every slot: as the last swap left it, else as configured. A slot that cannot be filled does not stop the start:
/// `/readyz` names it.
async fn fill(engine: &Engine, filler: &Filler, config: &Config, store: &Store) -> Result<()> {
    let mut swapped = match config.plugins.managed {
        Managed::Api => present_fillings(store, store)
            .await
            .context("what fills the slots cannot be read")?,
        Managed::File => BTreeMap::new(),
    };
    for (slot, configured) in fillings(config)? {
        let filling = match swapped.remove(&slot) {
            Some(kept) => {
                let named = config.plugins.slots.get(slot.as_str());
                let named = named.and_then(|slot| slot.plugin.as_deref());
                if let (Ok(kept), Some(named)) = (&kept, named)
                    && kept.plugin.as_str() != named
                {
                    tracing::warn!(
                        %slot, serves = %kept.plugin, configured = named,
                        "a swap decided what fills the slot, and the configuration file says otherwise; \
                         plugins.managed = \"file\" lets the file decide"
                    );
                }
                kept.map_err(anyhow::Error::new)
            }
            None => configured,
        };
        let filled = match filling {
            Ok(filling) => filler
                .fill(&slot, &filling)
                .await
                .map_err(anyhow::Error::new),
            Err(error) => Err(error),
        };
        match filled {
            Ok(info) => tracing::info!(
                %slot, plugin = %info.name, version = %info.version, digest = %info.digest, "a plugin serves"
            ),
            Err(error) => {
                engine.set_problem(&slot, format!("{error:#}"));
                tracing::error!(%slot, error = %format!("{error:#}"), "the slot stays empty");
            }
        }
    }
    Ok(())
}

/// Every charts slot, by name.
fn backends(
    engine: &Engine,
    config: &Config,
) -> Result<BTreeMap<SlotName, Arc<dyn ports::Charts>>> {
    let shipped = SHIPPED.iter().map(|(name, _, _)| *name);
    let names = config
        .plugins
        .slots
        .keys()
        .map(String::as_str)
        .chain(shipped);
    names
        .filter(|name| name.starts_with("charts-"))
        .map(|name| {
            let slot: SlotName = name.parse().with_context(|| format!("slot \"{name}\""))?;
            Ok((slot.clone(), engine.charts(&slot)))
        })
        .collect()
}

/// Which clusters a charts slot serves by its rule, in the order of the names.
fn rules(config: &Config) -> Result<Vec<(SlotName, Selector)>> {
    let slots = config.plugins.slots.iter();
    let ruled =
        slots.filter(|(name, slot)| name.starts_with("charts-") && !slot.clusters.is_empty());
    ruled
        .map(|(name, slot)| {
            let rule = Selector::parse(&slot.clusters);
            let rule = rule.with_context(|| format!("plugins.slots.{name}.clusters"))?;
            Ok((name.parse()?, rule))
        })
        .collect()
}

fn filling(name: &str, slot: &Slot) -> Result<Filling> {
    let shipped = SHIPPED.iter().find(|(slot, _, _)| *slot == name);
    let plugin = slot
        .plugin
        .clone()
        .or_else(|| shipped.map(|(_, plugin, _)| (*plugin).to_owned()))
        .with_context(|| format!("plugins.slots.{name}.plugin is missing"))?;
    // A plugin's name, not a path: nothing outside the folder is loaded.
    let plugin: optikon_core::words::PluginName = plugin
        .parse()
        .with_context(|| format!("plugins.slots.{name}.plugin"))?;
    let grants = match (&slot.grants, shipped) {
        (Some(grants), _) => grants.clone(),
        (None, Some((_, of, grants))) if *of == plugin.as_str() => {
            grants.iter().map(|grant| (*grant).to_owned()).collect()
        }
        (None, _) => Vec::new(),
    };
    Ok(Filling {
        plugin,
        digest: slot.digest.clone(),
        config: slot.config.clone(),
        grants,
        central_grants: slot.central.clone(),
        limits: slot.limits.clone(),
        central: None,
    })
}

//! The same charts through the shipped component in the real engine: what runs in the sandbox renders what runs natively.
//!
//! A plugin is given whole values and no flags of a command line, so cases that use the `--set` family or choose among
//! the output's documents stay with the native suites.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use helm_engine::{ChartSource, DEFAULT_API_VERSIONS, HookEvent, KubeVersion, TemplateArgs};
use optikon_core::Error;
use optikon_core::ports::{Call, Charts, Facts, World};
use optikon_core::words::SlotName;
use optikon_engine::{Deps, Engine, EngineConfig, Filling, Grants, Limits, NoPeers};
use optikon_store::{Store, StoreOptions};
use optikon_tests::charts::{arguments, source};
use optikon_tests::scratch;
use optikon_xtask::folders::Folders;
use serde_json::Value;

use crate::cases::difference;
use crate::{fixtures, sample};

/// What the shipped plugin is granted by the gateway.
const GRANTS: [&str; 9] = [
    "kube", "facts", "call", "clock", "random", "keys", "progress", "log", "config",
];
/// Flags whose meaning a plugin is given, or that choose among what it gives back.
const FLAGS: [&str; 10] = [
    "-n",
    "-f",
    "--values",
    "--kube-version",
    "-a",
    "--api-versions",
    "--is-upgrade",
    "--include-crds",
    "--no-hooks",
    "--skip-tests",
];
/// Renderings at once.
const AT_ONCE: usize = 2;

#[derive(Debug)]
struct SystemWorld;

impl World for SystemWorld {
    fn now_ms(&self) -> u64 {
        let now = std::time::SystemTime::now();
        let since = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn random(&self, buffer: &mut [u8]) {
        let provider = rustls::crypto::ring::default_provider();
        provider.secure_random.fill(buffer).unwrap();
    }
}

/// A case of either suite.
struct Case {
    name: String,
    chart: PathBuf,
    words: Vec<String>,
    wanted: String,
    varying: Vec<u64>,
    is_ok: bool,
}

impl Case {
    /// Whether a plugin is told all of it, and in the same words: it knows no names of files, and no odd versions.
    fn suits(&self) -> bool {
        let mut flags = self.words.iter().filter(|word| word.starts_with('-'));
        let is_of_command = [
            "Error: failed to parse ",
            "Error: invalid kube version ",
            // Of a folder; an archive without one is told in other words.
            "Error: Chart.yaml file is missing",
        ]
        .iter()
        .any(|start| self.wanted.starts_with(start));
        !is_of_command && flags.all(|flag| FLAGS.contains(&flag.as_str()))
    }
}

fn own_cases() -> Vec<Case> {
    let root = fixtures::folder();
    let index = fs::read_to_string(root.join("cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&index).unwrap();
    let one = |case: &Value| {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let wanted =
            fs::read_to_string(root.join("../../golden/charts").join(text("golden"))).unwrap();
        Case {
            name: format!("{} {}", text("chart"), text("case")),
            chart: root.join(text("chart")),
            words: fixtures::words(&root, case),
            is_ok: !wanted.starts_with("Error: "),
            wanted,
            varying: Vec::new(),
        }
    };
    cases.iter().map(one).filter(Case::suits).collect()
}

fn sample_cases() -> Vec<Case> {
    let root = sample::folder();
    let Ok(index) = fs::read_to_string(root.join("golden/cases.json")) else {
        return Vec::new();
    };
    let cases: Vec<Value> = serde_json::from_str(&index).unwrap();
    let one = |case: &Value| {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        Case {
            name: format!("{} {}", text("chart"), text("case")),
            chart: root.join(text("chart")),
            words: sample::words(&root, case),
            wanted: fs::read_to_string(root.join("golden").join(text("golden"))).unwrap(),
            varying: sample::varying(case),
            is_ok: case["ok"] == true,
        }
    };
    cases.iter().map(one).filter(Case::suits).collect()
}

/// A folder's files as an archive, which is all that a plugin is given.
fn pack(source: ChartSource) -> Result<Vec<u8>> {
    let files = match source {
        ChartSource::Archive(_, bytes) => return Ok(bytes),
        ChartSource::Folder(files) => files,
    };
    let mut tar = Vec::new();
    for file in &files {
        let name = format!("c/{}", file.name);
        let mut header = [0_u8; 512];
        let place = header.get_mut(..name.len()).filter(|_| name.len() < 100);
        place
            .with_context(|| format!("{name} is too long for a plain header"))?
            .copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", file.data.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend_from_slice(&header);
        tar.extend_from_slice(&file.data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar)?;
    Ok(encoder.finish()?)
}

fn facts(args: &TemplateArgs) -> Result<Facts> {
    let version = match &args.kube_version {
        None => KubeVersion::default(),
        Some(text) => KubeVersion::parse(text).map_err(anyhow::Error::msg)?,
    };
    let usual = DEFAULT_API_VERSIONS.iter().map(|name| (*name).to_owned());
    Ok(Facts {
        release: "rel".to_owned(),
        namespace: args.namespace.clone(),
        action: if args.is_upgrade {
            "upgrade"
        } else {
            "install"
        }
        .to_owned(),
        revision: 1,
        kube_version: version.version,
        api_versions: usual.chain(args.api_versions.iter().cloned()).collect(),
        ..Facts::default()
    })
}

/// What `helm template` would print of a plan.
fn printed(plan: &[u8], args: &TemplateArgs) -> Result<String> {
    let plan =
        charts_helm::plan::Plan::decode(plan).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let document = |path: &str, text: &str| format!("---\n# Source: {path}\n{text}\n");
    let crds = plan.crds.iter().filter(|_| args.include_crds);
    let crds: String = crds.map(|(path, text)| document(path, text)).collect();
    let mut output = format!("{}\n", format!("{crds}{}", plan.manifest).trim());
    for hook in plan.hooks.iter().filter(|_| !args.no_hooks) {
        let is_test = hook
            .events
            .iter()
            .any(|event| event == HookEvent::Test.name());
        if !(args.skip_tests && is_test) {
            output.push_str(&document(&hook.path, &hook.manifest));
        }
    }
    Ok(output)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

async fn check(charts: &dyn Charts, case: &Case) -> Result<Option<String>> {
    let args = arguments(&case.words)?;
    let archive = Bytes::from(pack(source(&case.chart)?)?);
    let values = args.values.files.iter();
    let values = values
        .map(|(_, text)| String::from_utf8(text.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let facts = facts(&args)?;
    let prepared = charts
        .prepare(Call::background(), archive, values, facts, None)
        .await;
    match prepared {
        Ok(prepared) if case.is_ok => {
            let got = printed(&prepared.plan, &args)?.replace("\r\n", "\n");
            let wanted = case.wanted.replace("\r\n", "\n");
            Ok(difference(&got, &wanted, &case.varying))
        }
        Ok(_) => Ok(Some(format!(
            "rendered, but Helm says {}",
            first_line(&case.wanted)
        ))),
        Err(Error::Invalid(fields)) if !case.is_ok => {
            let message = fields.first().map(|field| field.message.as_str());
            // What a guest says is one line for the host, with its line ends escaped.
            let first = message.and_then(|text| text.split("\\n").next());
            let got = format!("Error: {}", first.unwrap_or_default());
            let wanted = first_line(&case.wanted);
            // … and of bounded length, with what was cut off said.
            let (got, wanted) = match got.split_once("… (") {
                Some((kept, _)) => (kept, wanted.get(..kept.len()).unwrap_or(wanted)),
                None => (got.as_str(), wanted),
            };
            Ok(difference(got, wanted, &[]))
        }
        Err(error) => bail!("{}: {error}", case.name),
    }
}

async fn engine(folder: &Path) -> Result<(Engine, SlotName)> {
    let file =
        tokio::task::spawn_blocking(|| optikon_tests::gateway::plugin("charts-helm")).await??;
    let store = Store::open(&folder.join("data"), StoreOptions::default())?;
    let mut config = EngineConfig::new(folder);
    config.cache_folder = Some(Folders::here().target.join("contract-cache"));
    let deps = Deps {
        kv: Arc::new(store),
        peers: Arc::new(NoPeers),
        world: Arc::new(SystemWorld),
    };
    let engine = Engine::new(config, deps)?;
    let slot: SlotName = "charts-helm".parse()?;
    let mut filling = Filling::new(file, Grants::new(GRANTS));
    filling.limits = Limits::of_slot(slot.as_str());
    engine.fill(&slot, filling).await?;
    Ok((engine, slot))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_renders_as_the_native_engine() {
    let folder = scratch::folder().unwrap();
    let (engine, slot) = engine(folder.path()).await.unwrap();
    let charts = engine.charts(&slot);
    let cases: Vec<Case> = own_cases().into_iter().chain(sample_cases()).collect();
    assert!(!cases.is_empty());
    let next = AtomicUsize::new(0);
    let work = || async {
        let mut complaints = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            match check(&*charts, case).await {
                Ok(None) => {}
                Ok(Some(complaint)) => complaints.push(format!("{}: {complaint}", case.name)),
                Err(error) => complaints.push(format!("{}: {error:#}", case.name)),
            }
        }
        complaints
    };
    let found = futures::future::join_all((0..AT_ONCE).map(|_| work())).await;
    let complaints = found.concat();
    println!(
        "charts: {} cases ran inside the component, {} differ",
        cases.len(),
        complaints.len()
    );
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

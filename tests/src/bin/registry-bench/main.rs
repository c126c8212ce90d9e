//! Registries side by side in one run: the embedded one, and custom resources on a real central cluster. Run by
//! `cargo xtask bench registry`.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement that prints; JSON is read by index"
)]

mod load;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, stream};
use optikon_tests::{Cluster, Gateway, Testbed, wait_for};
use optikon_xtask::bench::{Aim, Row, report};
use optikon_xtask::folders::Folders;
use optikon_xtask::say;
use serde_json::{Value, json};

use load::Http;

/// Clusters in the registry while it is read.
const CLUSTERS: usize = 200;
/// Reads and creations that are measured.
const REQUESTS: usize = 400;
/// Carried to the central cluster.
const MIGRATED: usize = 5_000;
/// What a plain client does side by side.
const PARALLEL: usize = 64;
/// Looks would share the time of what is measured.
const QUIET: &str =
    "[probing]\nreach_seconds = 3600\nnodes_seconds = 3600\nworkloads_seconds = 3600\n";
const COLLECTION: &str = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters";

fn short(name: &str) -> Value {
    json!({"name": name, "server": "https://10.255.0.1:6443", "labels": {"bench": "registry"}})
}

fn object(name: &str) -> Value {
    json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name,
        "labels": {"bench": "registry"}},
        "spec": {"kubernetesApiEndpoints": {"serverEndpoints": [{"serverAddress": "10.255.0.1:6443"}]}}})
}

/// Creates so many side by side; how long it took.
async fn fill(
    http: &Http,
    path: &str,
    names: Vec<String>,
    body: fn(&str) -> Value,
) -> Result<Duration> {
    let begun = Instant::now();
    let mut made = stream::iter(names)
        .map(|name| async move { http.post(path, &body(&name)).await })
        .buffer_unordered(PARALLEL);
    while let Some(made) = made.next().await {
        made?;
    }
    Ok(begun.elapsed())
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n:04}")).collect()
}

async fn central() -> Result<Cluster> {
    let testbed = Testbed::start().await?;
    testbed.cluster("central").start().await
}

struct Bed {
    gateway: Gateway,
    _central: Cluster,
    account: String,
    direct: Http,
    http: Http,
}

impl Bed {
    async fn start() -> Result<Self> {
        let gateway = Gateway::builder().config(QUIET).start().await?;
        let central = central().await?;
        let account = central.write_file("gateway.kubeconfig", "")?;
        let account = account.to_str().context("a path of text")?.to_owned();
        let admin = central.kubeconfig_file();
        let admin = admin.to_str().context("a path of text")?;
        let setup = [
            "registry",
            "setup",
            "--kubeconfig",
            admin,
            "--write-kubeconfig",
            &account,
        ];
        gateway.run_ok(&setup).await?;
        let direct = Http::new(central.server(), Some(central.ca()), central.admin_token())?;
        let http = Http::new(gateway.url()?, None, gateway.token()?)?;
        Ok(Self {
            gateway,
            _central: central,
            account,
            direct,
            http,
        })
    }

    /// A gateway whose registry was on the central cluster from the start.
    async fn settled(&self) -> Result<(Gateway, Http)> {
        let account = &self.account;
        let config = format!(
            "{QUIET}[central]\nkubeconfig = \"{account}\"\n\
             [plugins.slots.registry]\nplugin = \"registry-crd\"\ngrants = [\"log\", \"config\", \"kube\", \"central\"]\n"
        );
        let gateway = Gateway::builder().config(&config).start().await?;
        let http = Http::new(gateway.url()?, None, gateway.token()?)?;
        wait_for(
            "the registry to be read",
            Duration::from_secs(30),
            || async { Ok(http.get("/cluster/read-0001?probe=cached").await.ok()) },
        )
        .await?;
        Ok((gateway, http))
    }

    async fn swap(&self, plugin: &str) -> Result<String> {
        let mut arguments = vec![
            "plugin",
            "swap",
            "registry",
            plugin,
            "--migrate",
            "copy",
            "--grant",
            "all",
        ];
        if plugin == "registry-crd" {
            arguments.extend(["--central-kubeconfig", &self.account]);
        }
        self.gateway.run_ok(&arguments).await
    }

    async fn empty(&self) -> Result<()> {
        self.direct.delete(COLLECTION).await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    say("a gateway and a central cluster");
    let bed = Bed::start().await?;
    let Bed { http, direct, .. } = &bed;
    fill(http, "/cluster", names("read", CLUSTERS), short).await?;

    let reads = || {
        http.repeat(REQUESTS, |http, _| async move {
            http.get("/cluster?probe=cached").await
        })
    };
    reads().await?;
    let embedded = reads().await?;
    say("swap under load");
    // Two hundred requests a second go on while the registry changes.
    let (calm, swapping) = load::around(http, async { bed.swap("registry-crd").await }).await?;
    reads().await?;
    let crd = reads().await?;

    let events = load::events(http, direct, COLLECTION, object).await?;
    say("creations");
    // By a gateway that did not change its registry: one that did also notes each write of the next minute for a rollback.
    let (settled, through) = bed.settled().await?;
    let through = through
        .repeat(REQUESTS, |http, n| async move {
            http.post("/cluster", &short(&format!("through-{n}"))).await
        })
        .await?;
    let plain = direct
        .repeat(REQUESTS, |http, n| async move {
            http.post(COLLECTION, &object(&format!("plain-{n}"))).await
        })
        .await?;

    drop(settled);

    bed.swap("registry-embedded").await?;
    bed.empty().await?;
    say(format_args!("{MIGRATED} clusters to carry"));
    let more = names("moved", MIGRATED);
    fill(http, "/cluster", more, short).await?;
    let begun = Instant::now();
    bed.swap("registry-crd").await?;
    let moved = begun.elapsed();
    let count = MIGRATED + CLUSTERS + 2 * REQUESTS + load::CHANGES;
    bed.swap("registry-embedded").await?;
    bed.empty().await?;
    say("the same by a parallel client");
    let by_client = fill(direct, COLLECTION, names("client", MIGRATED), object).await?;
    let rate = |count: usize, took: Duration| count as f64 / took.as_secs_f64();

    report(
        &Folders::here(),
        "registry",
        &[
            Row::plain("GET /cluster, embedded, median", embedded.median(), "ms"),
            Row::plain("GET /cluster, crd, median", crd.median(), "ms"),
            Row::new(
                "rate of GET /cluster, crd / embedded",
                embedded.median() / crd.median(),
                "",
                Aim::AtLeast(0.9),
            ),
            Row::plain("create on the API server, median", plain.median(), "ms"),
            Row::new(
                "added by gateway and plugin, median",
                through.median() - plain.median(),
                "ms",
                Aim::AtMost(3.0),
            ),
            Row::plain("requests during a swap", swapping.times.count() as f64, ""),
            Row::new(
                "failed during a swap",
                swapping.failed as f64,
                "",
                Aim::AtMost(0.0),
            ),
            Row::plain("p99 before", calm.times.quantile(0.99), "ms"),
            Row::new(
                "p99 during a swap / before",
                swapping.times.quantile(0.99) / calm.times.quantile(0.99),
                "",
                Aim::AtMost(2.0),
            ),
            Row::new(
                "from the central change to its event, p99",
                events.quantile(0.99),
                "ms",
                Aim::AtMost(100.0),
            ),
            Row::plain(
                "created by a parallel client",
                rate(MIGRATED, by_client),
                "/s",
            ),
            Row::new(
                "rate of a migration / parallel client",
                rate(count, moved) / rate(MIGRATED, by_client),
                "",
                Aim::AtLeast(0.8),
            ),
        ],
    )
}

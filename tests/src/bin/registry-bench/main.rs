//! Registries side by side in one run: the embedded one, and custom resources on a real central cluster. Run by
//! `cargo xtask bench registry`.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement that prints; JSON is read by index"
)]

mod load;
mod processors;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, stream};
use optikon_tests::{Cluster, Gateway, Testbed, wait_for};
use optikon_xtask::bench::{Aim, Row, report};
use optikon_xtask::folders::Folders;
use optikon_xtask::say;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use load::{Http, Seen};

/// Clusters in the registry while it is read.
const CLUSTERS: usize = 200;
/// Reads and creations that are measured.
const REQUESTS: usize = 400;
/// Changes of the registry under load.
const SWAPS: usize = 12;
/// Carried to the central cluster.
const MIGRATED: usize = 5_000;
/// What a plain client does side by side.
const PARALLEL: usize = 64;
/// Where every member is: nobody listens there, which a look finds out at once.
const NOWHERE: &str = "127.0.0.1:1";
/// Looks would share the time of what is measured.
const QUIET: &str =
    "[probing]\nreach_seconds = 3600\nnodes_seconds = 3600\nworkloads_seconds = 3600\n";
/// No look for so long: longer than between two at a member that is not there.
const SETTLED: Duration = Duration::from_secs(5);
const SETTLED_WITHIN: Duration = Duration::from_secs(180);
const COLLECTION: &str = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters";

fn short(name: &str) -> Value {
    json!({"name": name, "server": format!("https://{NOWHERE}"), "labels": {"bench": "registry"}})
}

fn object(name: &str) -> Value {
    json!({"apiVersion": "clusterregistry.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name,
        "labels": {"bench": "registry"}},
        "spec": {"kubernetesApiEndpoints": {"serverEndpoints": [{"serverAddress": NOWHERE}]}}})
}

/// Creates so many side by side; how long it took.
async fn fill(
    http: &Http,
    path: &str,
    names: Vec<String>,
    body: impl Fn(&str) -> Value,
) -> Result<Duration> {
    let begun = Instant::now();
    let mut made = stream::iter(names)
        .map(|name| {
            let body = body(&name);
            async move { http.post(path, &body).await }
        })
        .buffer_unordered(PARALLEL);
    while let Some(made) = made.next().await {
        made?;
    }
    Ok(begun.elapsed())
}

/// Waits until the gateway has looked at everything that was registered. A member that is not there is looked at three times,
/// a few seconds apart, before it is left alone; thousands of first looks are not what is measured here.
async fn settle(http: &Http) -> Result<()> {
    let before = Mutex::new((Value::Null, Instant::now()));
    wait_for("the end of all looks", SETTLED_WITHIN, || async {
        let calls = http.read("/plugins/prober").await?["calls"].clone();
        let mut before = before.lock().await;
        if calls != before.0 {
            *before = (calls, Instant::now());
        }
        Ok((before.1.elapsed() >= SETTLED).then_some(()))
    })
    .await
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n:04}")).collect()
}

async fn central() -> Result<Cluster> {
    let testbed = Testbed::start().await?;
    testbed.cluster("central").start().await
}

struct Bed {
    _gateway: Gateway,
    central: Cluster,
    token: String,
    account: String,
    /// As administrator.
    direct: Http,
    /// As the gateway's account, over HTTP/1.1 with as many connections as requests: what kube-rs makes of a kubeconfig. An
    /// administrator would pass by the API server's rules and queues, which the gateway does not.
    plain: Http,
    http: Http,
}

impl Bed {
    async fn start() -> Result<Self> {
        let (others, last) = processors::apart()?;
        processors::run_on(&last)?;
        let central = central().await?;
        processors::run_on(&others)?;
        let gateway = Gateway::builder().config(QUIET).start().await?;
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
        let token = central.token("optikon", "optikon-gateway").await?;
        let plain = Http::new(central.server(), Some(central.ca()), &token)?;
        let http = Http::new(gateway.url()?, None, gateway.token()?)?;
        Ok(Self {
            _gateway: gateway,
            central,
            token,
            account,
            direct,
            plain,
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

    /// By the interface, as a program would: a command line that starts would take its part of the cores.
    async fn swap(&self, plugin: &str) -> Result<()> {
        let mut wanted = json!({"plugin": plugin, "migrate": "copy", "grants": ["all"]});
        if plugin == "registry-crd" {
            let Self { central, token, .. } = self;
            wanted["central"] =
                json!({"server": central.server(), "ca": central.ca(), "token": token});
        }
        let path = "/plugins/registry?wait=true";
        let operation = self.http.put(path, &wanted).await?;
        if operation["state"] != "succeeded" {
            bail!("the swap did not succeed: {operation:#}");
        }
        Ok(())
    }

    async fn empty(&self) -> Result<()> {
        self.direct.delete(COLLECTION).await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    say("a gateway and a central cluster");
    let bed = Bed::start().await?;
    let Bed {
        http,
        direct,
        plain,
        ..
    } = &bed;
    fill(http, "/cluster", names("read", CLUSTERS), short).await?;
    settle(http).await?;
    let reads = || {
        http.repeat(REQUESTS, |http, _| async move {
            http.get("/cluster?probe=cached").await
        })
    };
    reads().await?;
    let embedded = reads().await?;
    say("swap under load");
    // Two hundred requests a second go on while the registry changes. That takes less than a second, of which one request
    // would make the p99, so it changes more than once, each time into an empty one.
    let calm = load::calm(http).await?;
    let mut swapping = Seen::default();
    let mut beside = Seen::default();
    for round in 0..SWAPS {
        if round > 0 {
            bed.swap("registry-embedded").await?;
            bed.empty().await?;
        }
        // Where all share the cores, a part of what is seen is the work of the API server: the same from outside, for
        // comparison.
        let from_outside = async {
            fill(plain, COLLECTION, names("beside", CLUSTERS), object)
                .await
                .map(drop)
        };
        beside = beside.and(load::during(http, from_outside).await?);
        bed.empty().await?;
        let swap = bed.swap("registry-crd");
        swapping = swapping.and(load::during(http, swap).await?);
    }
    // The API server is not done with so many creations and deletions at once.
    settle(http).await?;
    reads().await?;
    let crd = reads().await?;

    let events = load::events(http, direct, COLLECTION, object).await?;
    say("creations");
    // By a gateway that did not change its registry: one that did also notes each write of the next minute for a rollback.
    let (settled, through) = bed.settled().await?;
    settle(&through).await?;
    let through = through
        .repeat(REQUESTS, |http, n| async move {
            http.post("/cluster", &short(&format!("through-{n}"))).await
        })
        .await?;
    let straight = plain
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
    settle(http).await?;
    let begun = Instant::now();
    bed.swap("registry-crd").await?;
    let moved = begun.elapsed();
    let count = MIGRATED + CLUSTERS + 2 * REQUESTS + load::CHANGES;
    let mut template = direct.read(&format!("{COLLECTION}/moved-0000")).await?;
    template["metadata"] = json!({"labels": template["metadata"]["labels"]});
    bed.swap("registry-embedded").await?;
    bed.empty().await?;
    say("the same by a parallel client");
    // The same objects, and connections that are open already.
    let same = |name: &str| {
        let mut object = template.clone();
        object["metadata"]["name"] = name.into();
        object
    };
    fill(plain, COLLECTION, names("warm", PARALLEL * 2), same).await?;
    let by_client = fill(plain, COLLECTION, names("client", MIGRATED), same).await?;
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
            Row::plain("create on the API server, median", straight.median(), "ms"),
            Row::new(
                "added by gateway and plugin, median",
                through.median() - straight.median(),
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
            Row::plain(
                "p99 beside a client that creates as many / before",
                beside.times.quantile(0.99) / calm.times.quantile(0.99),
                "",
            ),
            Row::new(
                "from the central change to its event, p99",
                events.quantile(0.99),
                "ms",
                Aim::AtMost(100.0),
            ),
            Row::plain("created by a migration", rate(count, moved), "/s"),
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

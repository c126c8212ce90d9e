//! `cargo xtask demo`: real clusters behind a gateway, until Ctrl-C.
#![allow(clippy::print_stdout, reason = "speaks to the person at the terminal")]

use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;
use optikon_tests::{Cluster, Gateway, Testbed, manifests};
use optikon_xtask::folders::Folders;
use optikon_xtask::say;

/// A line on stdout. Whoever read it may be gone (`| head`): that is no reason to end.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// Starts clusters and a gateway that knows them.
#[derive(Parser)]
struct Args {
    /// How many clusters.
    #[arg(long, default_value_t = 2)]
    clusters: u16,
    /// Where the gateway listens.
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: String,
    /// The last cluster has Tiller, and a release that Helm 2 made with it.
    #[arg(long)]
    tiller: bool,
    /// Where the original API is served without a token.
    #[arg(long)]
    v0: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let stopped = tokio::signal::ctrl_c();
    tokio::pin!(stopped);
    // Whatever is running when Ctrl-C comes ends with its owner.
    tokio::select! {
        asked = &mut stopped => asked.context("wait for Ctrl-C"),
        outcome = show(&args) => outcome,
    }?;
    say!();
    say("everything is stopped");
    Ok(())
}

async fn show(args: &Args) -> Result<()> {
    let folders = Folders::here();
    let testbed = Testbed::start().await?;
    let mut clusters = Vec::new();
    for number in 1..=args.clusters {
        let has_tiller = args.tiller && number == args.clusters;
        clusters.push(start_cluster(&testbed, number, has_tiller).await?);
    }
    let data = folders.target.join("demo").join("data");
    if data.exists() {
        // The members of the last demo are gone for ever.
        std::fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
    }
    say(format_args!("the gateway, on {}", args.listen));
    let mut builder = Gateway::builder().listen(&args.listen).data_folder(&data);
    if let Some(address) = &args.v0 {
        builder = builder.config(&format!(
            "[v0]\nlisten = \"{address}\"\nrole = \"operator\"\n"
        ));
    }
    let gateway = builder.start().await?;
    for (cluster, number) in clusters.iter().zip(1..) {
        register(&gateway, cluster, number).await?;
    }
    explain(&folders, &testbed, &gateway, &clusters, args)?;
    std::future::pending().await
}

async fn start_cluster(testbed: &Testbed, number: u16, has_tiller: bool) -> Result<Cluster> {
    let name = format!("edge-{number}");
    let tiller = if has_tiller { ", Tiller" } else { "" };
    say(format_args!(
        "cluster {name}: API server, controllers, {number} nodes by kwok{tiller}"
    ));
    let mut builder = testbed
        .cluster(&name)
        .controllers()
        .nodes(u32::from(number));
    if has_tiller {
        builder = builder.tiller();
    }
    let cluster = builder.start().await?;
    if has_tiller {
        let chart = Folders::here().root.join("examples/tiller/chart");
        let chart = text(&chart)?;
        let install = [
            "install",
            &chart,
            "--name",
            "greeting",
            "--namespace",
            "default",
        ];
        say("helm2 install examples/tiller/chart --name greeting");
        cluster.helm2(&install).await?;
    }
    cluster.create_namespace("shop").await?;
    for workload in manifests::one_of_each("shop") {
        cluster.create(&workload).await?;
        cluster.wait_for_workload(&workload).await?;
    }
    Ok(cluster)
}

async fn register(gateway: &Gateway, cluster: &Cluster, number: u8) -> Result<()> {
    let region = char::from(b'a' + (number - 1) % 26);
    say(format_args!("optikon cluster add {}", cluster.name()));
    let ca = text(&cluster.ca_file())?;
    let token = text(&cluster.write_file("token", cluster.admin_token())?)?;
    let label = format!("region={region}");
    gateway
        .run_ok(&[
            "cluster",
            "add",
            cluster.name(),
            "--server",
            cluster.server(),
            "--ca",
            &ca,
            "--token-file",
            &token,
            "--label",
            "env=demo",
            "--label",
            &label,
        ])
        .await
        .map(drop)
}

fn explain(
    folders: &Folders,
    testbed: &Testbed,
    gateway: &Gateway,
    clusters: &[Cluster],
    args: &Args,
) -> Result<()> {
    let binary = folders.gateway_binary();
    let mut programs = vec![binary, testbed.programs().join("kubectl"), Testbed::helm()?];
    if args.tiller {
        let (_, helm2) = Testbed::tiller()?;
        programs.push(helm2);
    }
    let bins = programs.iter().filter_map(|program| program.parent());
    let path = std::env::join_paths(bins).context("a folder's name has a colon")?;
    say!();
    say!("In another terminal:");
    say!();
    say!("export PATH=\"{}:$PATH\"", path.display());
    say!("export OPTIKON_SERVER={}", gateway.url()?);
    say!(
        "export OPTIKON_TOKEN_FILE=\"{}\"",
        gateway.token_file().display()
    );
    if let Some(address) = &args.v0 {
        say!("export OPTIKON_V0=http://{address}");
    }
    say!();
    say!("optikon cluster list");
    say!("optikon cluster get edge-1");
    for cluster in clusters {
        say!(
            "kubectl --kubeconfig \"{}\" get nodes    # {} itself",
            cluster.kubeconfig_file().display(),
            cluster.name()
        );
    }
    for cluster in clusters {
        if let Some(port) = cluster.tiller_port() {
            say!(
                "helm2 --host 127.0.0.1:{port} list    # {}'s Tiller",
                cluster.name()
            );
        }
    }
    say!();
    say!("Ctrl-C stops all of it.");
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    path.to_str()
        .map(ToOwned::to_owned)
        .with_context(|| format!("{} is no UTF-8", path.display()))
}

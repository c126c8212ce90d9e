//! `optikon cluster`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    bootstrap::{self, BootstrapArgs, MemberArgs},
    client::{Client, GatewayArgs, read_token, segment},
    export,
    forget::Noun,
    import,
    output::{self, Format, OutputArgs, say, table, text_at},
};

const CLUSTER: Noun = Noun {
    one: "cluster",
    many: "clusters",
    path: "/cluster",
    verb: "Forget",
    done: "forgotten",
};

/// `optikon cluster`.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Registers a cluster; its credential is sealed in the gateway and never comes back.
    Add(AddArgs),
    /// Shows every cluster.
    #[command(visible_alias = "ls")]
    List {
        /// Labels in Kubernetes' grammar, as in `env=prod,region in (a,b)`.
        #[arg(long, short = 'l', value_name = "SELECTOR", default_value = "")]
        selector: String,
        /// Where the status comes from.
        #[arg(long, value_enum, default_value = "cached")]
        probe: Probe,
    },
    /// Shows one cluster: conditions, nodes, workloads.
    Get {
        /// Its name.
        name: String,
        /// Where the status comes from.
        #[arg(long, value_enum, default_value = "live")]
        probe: Probe,
        /// How long a live look may take, 1s to 30s.
        #[arg(long, value_name = "SECONDS")]
        deadline: Option<String>,
    },
    /// Forgets clusters; the clusters themselves and their releases are left alone.
    #[command(visible_alias = "rm")]
    Delete {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        /// Does not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Follows changes until interrupted.
    Watch {
        /// Labels in Kubernetes' grammar.
        #[arg(long, short = 'l', value_name = "SELECTOR", default_value = "")]
        selector: String,
    },
    /// Sets (`key=value`) and removes (`key-`) labels.
    Label {
        /// The cluster's name.
        name: String,
        /// `key=value` or `key-`.
        #[arg(required = true)]
        labels: Vec<String>,
    },
    /// Makes an account for the gateway in a member, with rights and a token of its own, and registers the cluster.
    Bootstrap(BootstrapArgs),
    /// Gives a cluster that was set up by `bootstrap` a new token, and revokes the old one.
    Rotate(MemberArgs),
    /// Prints clusters as YAML in another form, without credentials.
    Export(export::ExportArgs),
    /// Registers every cluster of files, or of another project's hub.
    Import(import::ImportArgs),
}

/// Where the status comes from.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Probe {
    /// The member is asked now.
    Live,
    /// As last seen in the background.
    Cached,
    /// No status.
    None,
}

impl Probe {
    fn word(self) -> String {
        match self {
            Self::Live => "live",
            Self::Cached => "cached",
            Self::None => "none",
        }
        .into()
    }
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Its name: a DNS label.
    name: String,
    /// Takes server, CA and credential from here. Never leaves this machine: only what is needed is sent.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "server",
        required_unless_present = "server"
    )]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    /// The member's address: `https://host[:port]`.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A PEM file with the CA of the member's certificate. Default: the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file that holds the member's token and nothing else; - is stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "kubeconfig")]
    token_file: Option<PathBuf>,
    /// A label; may be given again.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// The name to verify in the member's certificate instead of the address's.
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// A proxy for this member: http://host:port.
    #[arg(long, value_name = "URL")]
    proxy_url: Option<String>,
    /// Checks everything, registers nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Does what was asked.
pub(crate) async fn run(args: ClusterArgs) -> Result<ExitCode> {
    let client = Client::new(&args.gateway)?;
    let format = args.output.output;
    match args.command {
        Command::Add(add) => {
            let body = import::short_form(&add.name, &source(&add)?, labels(&add.labels)?)?;
            let query = dry_run(add.dry_run);
            let made = client
                .send(Method::POST, "/cluster", &query, Some(&body), None)
                .await?;
            let word = if add.dry_run {
                "would be registered"
            } else {
                "registered"
            };
            shown(&made, format, &format!("cluster {} {word}", add.name))?;
        }
        Command::List { selector, probe } => {
            let query = [("labelSelector", selector), ("probe", probe.word())];
            let list = client.get("/cluster", &query).await?;
            show_list(&list, format)?;
        }
        Command::Get {
            name,
            probe,
            deadline,
        } => {
            let mut query = vec![("probe", probe.word())];
            query.extend(deadline.map(|d| ("deadline", d)));
            let cluster = client
                .get(&format!("/cluster/{}", segment(&name)), &query)
                .await?;
            match format {
                Format::Json | Format::Yaml => output::document(&cluster, format)?,
                Format::Name => say(text_at(&cluster, "/metadata/name")),
                Format::Table | Format::Wide => describe(&cluster),
            }
        }
        Command::Delete { names, yes } => return CLUSTER.delete(&client, &names, yes).await,
        Command::Watch { selector } => watch(&client, selector, format).await?,
        Command::Label { name, labels } => {
            let mut patch = Map::new();
            for label in &labels {
                match (label.split_once('='), label.strip_suffix('-')) {
                    (Some((key, value)), _) => patch.insert(key.into(), value.into()),
                    (None, Some(key)) => patch.insert(key.into(), Value::Null),
                    (None, None) => bail!("\"{label}\" is neither key=value nor key-"),
                };
            }
            let body = json!({ "metadata": { "labels": patch } });
            let kind = Some("application/merge-patch+json");
            let path = format!("/cluster/{}", segment(&name));
            let made = client
                .send(Method::PATCH, &path, &[], Some(&body), kind)
                .await?;
            shown(&made, format, &format!("cluster {name} labelled"))?;
        }
        Command::Bootstrap(bootstrap) => {
            let labels = labels(bootstrap.labels())?;
            return bootstrap::bootstrap(&client, &bootstrap, labels, format).await;
        }
        Command::Rotate(member) => return bootstrap::rotate(&client, &member).await,
        Command::Export(export) => return export::run(&client, &export).await,
        Command::Import(import) => return import::run(&client, &import).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn source(add: &AddArgs) -> Result<import::Source> {
    let mut source = match (&add.kubeconfig, &add.server) {
        (Some(file), _) => import::from_kubeconfig(file, add.context.as_deref())?,
        (None, Some(server)) => import::Source {
            server: server.clone(),
            ..import::Source::default()
        },
        (None, None) => bail!("give --kubeconfig or --server"),
    };
    if let Some(file) = &add.ca {
        source.ca = Some(import::read_ca(file)?);
    }
    if let Some(file) = &add.token_file {
        let token = optikon_core::words::Secret::new(read_token(file)?);
        source.credential = Some(optikon_core::words::Credential::Token(token));
    }
    source.tls_server_name = add.tls_server_name.clone().or(source.tls_server_name);
    source.proxy_url = add.proxy_url.clone().or(source.proxy_url);
    Ok(source)
}

fn labels(given: &[String]) -> Result<Map<String, Value>> {
    given
        .iter()
        .map(|label| {
            let (key, value) = label
                .split_once('=')
                .with_context(|| format!("--label \"{label}\" is not key=value"))?;
            Ok((key.to_owned(), value.into()))
        })
        .collect()
}

/// `dryRun=All`, where wanted.
pub(super) fn dry_run(is_wanted: bool) -> Vec<(&'static str, String)> {
    if is_wanted {
        vec![("dryRun", "All".into())]
    } else {
        Vec::new()
    }
}

fn shown(object: &Value, format: Format, sentence: &str) -> Result<()> {
    match format {
        Format::Json | Format::Yaml => output::document(object, format)?,
        Format::Name => say(text_at(object, "/metadata/name")),
        Format::Table | Format::Wide => say(sentence),
    }
    Ok(())
}

fn items(list: &Value) -> &[Value] {
    list.get("items")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// What is known of a member, now or last.
fn known<'a>(cluster: &'a Value, key: &str) -> Option<&'a Value> {
    let status = cluster.get("status")?;
    status
        .get(key)
        .or_else(|| status.get("lastKnown")?.get(key))
}

fn ready(cluster: &Value) -> (String, String) {
    let conditions = cluster
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|c| c.get("type").and_then(Value::as_str) == Some("Ready"));
    let state = ready.map_or("Unknown".into(), |c| text_at(c, "/status"));
    let reason = match text_at(cluster, "/status/reason") {
        dash if dash == "-" => ready.map_or("-".into(), |c| text_at(c, "/reason")),
        reason => reason,
    };
    let reason = if reason == "Ready" {
        "-".into()
    } else {
        reason
    };
    (state, reason)
}

fn ratio(counts: Option<&Value>) -> String {
    let number = |key: &str| counts.and_then(|c| c.get(key)).and_then(Value::as_u64);
    match (number("ready"), number("total")) {
        (Some(ready), Some(total)) => format!("{ready}/{total}"),
        _ => "-".into(),
    }
}

fn row(cluster: &Value, is_wide: bool) -> Vec<String> {
    let (state, reason) = ready(cluster);
    let version = known(cluster, "kubernetes").map_or("-".into(), |k| text_at(k, "/version"));
    let mut row = vec![
        text_at(cluster, "/metadata/name"),
        state,
        reason,
        version,
        ratio(known(cluster, "nodeCounts")),
        ratio(known(cluster, "workloadCounts")),
        known(cluster, "observedAt").map_or("-".into(), |o| text_at(o, "/time")),
    ];
    if is_wide {
        row.push(text_at(
            cluster,
            "/spec/kubernetesApiEndpoints/serverEndpoints/0/serverAddress",
        ));
        let labels = cluster
            .pointer("/metadata/labels")
            .and_then(Value::as_object);
        let labels: Vec<String> = labels
            .into_iter()
            .flatten()
            .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
            .collect();
        row.push(if labels.is_empty() {
            "-".into()
        } else {
            labels.join(",")
        });
    }
    row
}

fn show_list(list: &Value, format: Format) -> Result<()> {
    match format {
        Format::Json | Format::Yaml => return output::document(list, format),
        Format::Name => {
            for item in items(list) {
                say(text_at(item, "/metadata/name"));
            }
        }
        Format::Table | Format::Wide => {
            if items(list).is_empty() {
                say("no clusters");
                return Ok(());
            }
            let is_wide = format == Format::Wide;
            let mut header = vec![
                "NAME",
                "READY",
                "REASON",
                "VERSION",
                "NODES",
                "WORKLOADS",
                "OBSERVED",
            ];
            if is_wide {
                header.extend(["SERVER", "LABELS"]);
            }
            table(
                &header,
                items(list).iter().map(|c| row(c, is_wide)).collect(),
            );
        }
    }
    Ok(())
}

fn describe(cluster: &Value) {
    table(
        &[
            "NAME",
            "READY",
            "REASON",
            "VERSION",
            "NODES",
            "WORKLOADS",
            "OBSERVED",
            "SERVER",
            "LABELS",
        ],
        vec![row(cluster, true)],
    );
    let message = text_at(cluster, "/status/message");
    if message != "-" {
        say("");
        say(output::clean(&message));
    }
    let list = |key| {
        known(cluster, key)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let nodes = list("nodes");
    if !nodes.is_empty() {
        say("");
        let rows = nodes.iter().map(|node| {
            let roles = node.get("roles").and_then(Value::as_array);
            let roles: Vec<&str> = roles
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            vec![
                text_at(node, "/name"),
                text_at(node, "/ready"),
                if roles.is_empty() {
                    "-".into()
                } else {
                    roles.join(",")
                },
                text_at(node, "/version"),
                text_at(node, "/allocatable/cpu"),
                text_at(node, "/allocatable/memory"),
            ]
        });
        table(
            &["NODE", "READY", "ROLES", "VERSION", "CPU", "MEMORY"],
            rows.collect(),
        );
    }
    let workloads = list("workloads");
    if !workloads.is_empty() {
        say("");
        let rows = workloads.iter().map(|w| {
            vec![
                text_at(w, "/kind"),
                text_at(w, "/namespace"),
                text_at(w, "/name"),
                format!("{}/{}", text_at(w, "/ready"), text_at(w, "/desired")),
            ]
        });
        table(&["KIND", "NAMESPACE", "NAME", "READY"], rows.collect());
    }
}

async fn watch(client: &Client, selector: String, format: Format) -> Result<()> {
    let query = [("watch", "true".into()), ("labelSelector", selector)];
    let following = client.lines("/cluster", &query, |event| {
        let kind = text_at(&event, "/type");
        let object = event.get("object").cloned().unwrap_or_default();
        match (format, kind.as_str()) {
            (_, "ERROR") => bail!("{}; start again", text_at(&object, "/message")),
            (Format::Json, _) => say(&event),
            (_, "BOOKMARK") => {}
            (Format::Yaml, _) => {
                say("---");
                output::document(&event, format)?;
            }
            (Format::Name, _) => say(text_at(&object, "/metadata/name")),
            (Format::Table | Format::Wide, _) => {
                let row = row(&object, format == Format::Wide);
                let cells: Vec<String> = row.iter().map(|c| output::clean(c)).collect();
                say(format_args!("{kind:<9} {}", cells.join("  ")));
            }
        }
        Ok(())
    });
    tokio::select! {
        ended = following => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

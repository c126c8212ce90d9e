//! `optikon plugin`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    client::{Client, GatewayArgs, segment},
    follow::follow,
    import,
    output::{self, Format, OutputArgs, say, table, text_at},
};

/// `optikon plugin`.
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows every slot and what fills it.
    #[command(visible_alias = "ls")]
    List,
    /// Shows one slot: plugin, grants, limits, calls.
    Inspect {
        /// Its name.
        slot: String,
    },
    /// Looks at a plugin file on this machine without running it; exit code 1 when it is unfit.
    Check {
        /// A .wasm file.
        file: PathBuf,
    },
    /// Shows every plugin file that the gateway could load.
    Available,
    /// Lets another plugin fill a slot while everything runs.
    Swap(SwapArgs),
    /// Lets the plugin before fill a slot again; a registry that was filled by a copy is copied back.
    Rollback {
        /// The slot.
        slot: String,
    },
}

#[derive(Debug, Args)]
struct SwapArgs {
    /// The slot: registry, prober or `charts-…`.
    slot: String,
    /// The plugin's name, as `plugin available` shows it.
    plugin: String,
    /// Takes server, CA and credential of the central cluster from here; only what is needed is sent, and sealed there.
    #[arg(long, value_name = "FILE")]
    central_kubeconfig: Option<PathBuf>,
    /// The context of that kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME", requires = "central_kubeconfig")]
    central_context: Option<String>,
    /// A JSON or YAML file with the plugin's configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// `sha256:…` that the plugin's file must have.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// What becomes of the clusters: copied into the new registry, or left where they are.
    #[arg(long, value_enum, default_value = "none")]
    migrate: Migrate,
    /// What the plugin may do beyond what the slot was granted so far; `all` is everything that it asks for.
    #[arg(long, value_name = "all|NAME,…", value_delimiter = ',')]
    grant: Vec<String>,
    /// Loads and tries the plugin, and changes nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Migrate {
    Copy,
    None,
}

/// Does what was asked.
pub(crate) async fn run(args: PluginArgs) -> Result<ExitCode> {
    let format = args.output.output;
    if let Command::Check { file } = &args.command {
        return check(file, format).await;
    }
    let client = Client::new(&args.gateway)?;
    match args.command {
        Command::List => {
            let list = client.get("/plugins", &[]).await?;
            show(
                &list,
                format,
                &["SLOT", "STATE", "PLUGIN", "VERSION", "DIGEST", "PROBLEM"],
                |slot| {
                    vec![
                        text_at(slot, "/slot"),
                        text_at(slot, "/state"),
                        text_at(slot, "/plugin/name"),
                        text_at(slot, "/plugin/version"),
                        text_at(slot, "/plugin/digest").chars().take(19).collect(),
                        text_at(slot, "/problem"),
                    ]
                },
            )?;
        }
        Command::Available => {
            let list = client.get("/plugins/available", &[]).await?;
            show(
                &list,
                format,
                &["PLUGIN", "VERSION", "WORLD", "DIGEST", "FIT", "DESCRIPTION"],
                |p| {
                    let problems = p
                        .get("problems")
                        .and_then(Value::as_array)
                        .map_or(0, Vec::len);
                    vec![
                        text_at(p, "/name"),
                        text_at(p, "/version"),
                        text_at(p, "/world"),
                        text_at(p, "/digest").chars().take(19).collect(),
                        if problems == 0 {
                            "yes".into()
                        } else {
                            format!("{problems} problem(s)")
                        },
                        text_at(p, "/description"),
                    ]
                },
            )?;
        }
        Command::Swap(swap) => return run_swap(&client, &swap, format).await,
        Command::Rollback { slot } => {
            let path = format!("/plugins/{}/rollback", segment(&slot));
            let operation = client.send(Method::POST, &path, &[], None, None).await?;
            return follow(&client, &text_at(&operation, "/id"), false, format).await;
        }
        Command::Inspect { slot } => {
            let slot = client
                .get(&format!("/plugins/{}", segment(&slot)), &[])
                .await?;
            match format {
                Format::Json | Format::Yaml => output::document(&slot, format)?,
                Format::Name => say(text_at(&slot, "/slot")),
                Format::Table | Format::Wide => describe(&slot),
            }
        }
        Command::Check { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn show(
    list: &Value,
    format: Format,
    header: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
) -> Result<()> {
    let items = list
        .get("items")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    match format {
        Format::Json | Format::Yaml => output::document(list, format)?,
        Format::Name => items.iter().for_each(|i| {
            say(row(i).first().map(String::as_str).unwrap_or_default());
        }),
        Format::Table | Format::Wide => table(header, items.iter().map(row).collect()),
    }
    Ok(())
}

fn describe(slot: &Value) {
    for (title, pointer) in [
        ("slot", "/slot"),
        ("state", "/state"),
        ("problem", "/problem"),
        ("plugin", "/plugin/name"),
        ("version", "/plugin/version"),
        ("description", "/plugin/description"),
        ("digest", "/plugin/digest"),
    ] {
        let text = text_at(slot, pointer);
        if text != "-" {
            say(format_args!("{title:<12} {}", output::clean(&text)));
        }
    }
    let pairs = |key: &str| -> Vec<Vec<String>> {
        let list = slot.get(key).and_then(Value::as_array);
        let rows = list.into_iter().flatten();
        rows.map(|l| vec![text_at(l, "/key"), text_at(l, "/value")])
            .collect()
    };
    if let Some(asks) = slot.pointer("/plugin/asks").and_then(Value::as_object) {
        say("");
        let granted = |name: &str| {
            let grants = slot.get("grants").and_then(Value::as_array);
            grants
                .into_iter()
                .flatten()
                .any(|g| g.as_str() == Some(name))
        };
        let rows = asks.iter().map(|(name, why)| {
            let word = if granted(name) {
                "granted"
            } else {
                "not granted"
            };
            vec![
                name.clone(),
                word.into(),
                why.as_str().unwrap_or_default().to_owned(),
            ]
        });
        table(&["IMPORT", "GRANT", "WHY"], rows.collect());
    }
    say("");
    table(&["LIMIT", "VALUE"], pairs("limits"));
    if let Some(calls) = slot
        .get("calls")
        .and_then(Value::as_object)
        .filter(|c| !c.is_empty())
    {
        say("");
        let rows = calls.iter().map(|(name, stats)| {
            vec![
                name.clone(),
                text_at(stats, "/ok"),
                text_at(stats, "/failed"),
            ]
        });
        table(&["FUNCTION", "OK", "FAILED"], rows.collect());
    }
}

async fn check(file: &std::path::Path, format: Format) -> Result<ExitCode> {
    let inspection = optikon_engine::inspect_file(file).await?;
    let value = serde_json::to_value(&inspection)?;
    match format {
        Format::Json | Format::Yaml => output::document(&value, format)?,
        Format::Name => say(text_at(&value, "/name")),
        Format::Table | Format::Wide => {
            say(format_args!(
                "{} {} fills a slot of the world {}",
                text_at(&value, "/name"),
                text_at(&value, "/version"),
                text_at(&value, "/world")
            ));
            say(format_args!("{}", text_at(&value, "/digest")));
            for problem in &inspection.problems {
                output::warn(format_args!("{}: {}", problem.what, problem.message));
            }
        }
    }
    Ok(if inspection.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

async fn run_swap(client: &Client, swap: &SwapArgs, format: Format) -> Result<ExitCode> {
    let migrate = match swap.migrate {
        Migrate::Copy => "copy",
        Migrate::None => "none",
    };
    let mut body = json!({ "plugin": swap.plugin, "migrate": migrate, "grants": swap.grant,
        "digest": swap.digest });
    let mut put = |key: &str, value: Value| {
        if let Value::Object(fields) = &mut body {
            fields.insert(key.to_owned(), value);
        }
    };
    if let Some(file) = &swap.config {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let config: Value = serde_saphyr::from_str(&text)
            .map_err(|_| anyhow::anyhow!("{} is neither JSON nor YAML", file.display()))?;
        put("config", config);
    }
    if let Some(file) = &swap.central_kubeconfig {
        let source = import::from_kubeconfig(file, swap.central_context.as_deref())?;
        let mut central = import::short_form("central", &source, Map::new())?;
        if let Value::Object(fields) = &mut central {
            fields.remove("name");
        }
        put("central", central);
    }
    let path = format!("/plugins/{}", segment(&swap.slot));
    if swap.dry_run {
        let path = format!("{path}/check");
        let checked = client
            .send(Method::POST, &path, &[], Some(&body), None)
            .await?;
        match format {
            Format::Json | Format::Yaml => output::document(&checked, format)?,
            _ => say(format_args!("{} can fill slot {}", swap.plugin, swap.slot)),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let operation = client
        .send(Method::PUT, &path, &[], Some(&body), None)
        .await?;
    follow(client, &text_at(&operation, "/id"), false, format).await
}

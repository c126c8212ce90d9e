//! `optikon plugin`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    client::{Client, GatewayArgs, segment},
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

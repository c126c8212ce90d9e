//! `optikon operation`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::{
    client::{Client, GatewayArgs, segment},
    follow,
    output::{self, Format, OutputArgs, say, table, text_at},
};

/// `optikon operation`.
#[derive(Debug, Args)]
pub(crate) struct OperationArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows operations, newest first.
    #[command(visible_alias = "ls")]
    List {
        /// Only in this state: running, paused, succeeded, partial, failed…
        #[arg(long)]
        state: Option<String>,
        /// Only of this release.
        #[arg(long)]
        release: Option<String>,
        /// At most so many, 1 to 1,000. Default: 100.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
    },
    /// Shows one operation: a row per cluster.
    Get {
        /// Its id.
        id: String,
    },
    /// Follows an operation to its end; the exit code says how it ended.
    #[command(visible_alias = "watch")]
    Follow {
        /// Its id.
        id: String,
        /// Ctrl-C cancels the operation; by default it goes on.
        #[arg(long)]
        cancel_on_interrupt: bool,
    },
    /// Ends an operation: no further cluster is begun, those that were are finished.
    Cancel {
        /// Its id.
        id: String,
    },
    /// Goes on with an operation that pauses.
    Resume {
        /// Its id.
        id: String,
    },
}

/// Does what was asked.
pub(crate) async fn run(args: OperationArgs) -> Result<ExitCode> {
    let client = Client::new(&args.gateway)?;
    let format = args.output.output;
    match args.command {
        Command::List {
            state,
            release,
            limit,
        } => {
            let mut query = Vec::new();
            query.extend(state.map(|s| ("state", s)));
            query.extend(release.map(|r| ("release", r)));
            query.extend(limit.map(|l| ("limit", l.to_string())));
            list(&client.get("/operations", &query).await?, format)?;
        }
        Command::Get { id } => {
            let operation = client.get(&path(&id), &[]).await?;
            match format {
                Format::Json | Format::Yaml => output::document(&operation, format)?,
                _ => follow::show(&operation, format)?,
            }
        }
        Command::Follow {
            id,
            cancel_on_interrupt,
        } => return follow::follow(&client, &id, cancel_on_interrupt, format).await,
        Command::Cancel { id } => told(&client, &id, "cancel", format).await?,
        Command::Resume { id } => told(&client, &id, "resume", format).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn path(id: &str) -> String {
    format!("/operations/{}", segment(id))
}

async fn told(client: &Client, id: &str, verb: &str, format: Format) -> Result<()> {
    let path = format!("{}/{verb}", path(id));
    let operation = client.send(Method::POST, &path, &[], None, None).await?;
    match format {
        Format::Json | Format::Yaml => output::document(&operation, format)?,
        Format::Name => say(text_at(&operation, "/id")),
        Format::Table | Format::Wide => say(format_args!(
            "operation {id}: {}",
            if verb == "cancel" {
                "cancelling"
            } else {
                "goes on"
            }
        )),
    }
    Ok(())
}

fn list(answer: &Value, format: Format) -> Result<()> {
    let items = answer
        .get("items")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    match format {
        Format::Json | Format::Yaml => return output::document(answer, format),
        Format::Name => items.iter().for_each(|o| say(text_at(o, "/id"))),
        Format::Table | Format::Wide if items.is_empty() => say("no operations"),
        Format::Table | Format::Wide => {
            let rows = items.iter().map(|operation| {
                let targets = follow::targets(operation);
                let ended =
                    |t: &&Value| !matches!(text_at(t, "/state").as_str(), "pending" | "running");
                vec![
                    text_at(operation, "/id"),
                    text_at(operation, "/kind"),
                    text_at(operation, "/release"),
                    text_at(operation, "/namespace"),
                    text_at(operation, "/state"),
                    format!("{}/{}", targets.iter().filter(ended).count(), targets.len()),
                    text_at(operation, "/requestedBy"),
                ]
            });
            let header = [
                "ID",
                "KIND",
                "RELEASE",
                "NAMESPACE",
                "STATE",
                "CLUSTERS",
                "BY",
            ];
            table(&header, rows.collect());
        }
    }
    Ok(())
}

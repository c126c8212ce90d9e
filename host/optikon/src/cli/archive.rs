//! `optikon archive`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    chart::source,
    client::{Client, GatewayArgs, segment},
    forget::Noun,
    output::{self, Format, OutputArgs, say, table, text_at},
};

const ARCHIVE: Noun = Noun {
    one: "archive",
    many: "archives",
    path: "/archives",
    verb: "Erase",
    done: "erased",
};

/// `optikon archive`.
#[derive(Debug, Args)]
pub(crate) struct ArchiveArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Uploads a chart: a .tgz, or a folder, which is packed as `helm package` does.
    #[command(visible_alias = "push")]
    Add {
        /// The folder or file.
        chart: String,
        /// Sends the signature beside the file (FILE.prov) along, for the gateway to verify.
        #[arg(long)]
        verify: bool,
    },
    /// Shows every archive that the gateway keeps.
    #[command(visible_alias = "ls")]
    List,
    /// Shows one archive.
    Get {
        /// Its digest, `sha256:…`.
        digest: String,
    },
    /// Erases archives; one that a running operation needs is kept.
    #[command(visible_alias = "rm")]
    Delete {
        /// Their digests.
        #[arg(required = true)]
        digests: Vec<String>,
        /// Does not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// Does what was asked.
pub(crate) async fn run(args: ArchiveArgs) -> Result<ExitCode> {
    let client = Client::new(&args.gateway)?;
    let format = args.output.output;
    match args.command {
        Command::Add { chart, verify } => {
            let kept = source::keep(&client, &chart, verify).await?;
            match format {
                Format::Json | Format::Yaml => output::document(&kept, format)?,
                _ => say(text_at(&kept, "/digest")),
            }
        }
        Command::List => {
            let list = client.get("/archives", &[]).await?;
            let items = list.get("items").and_then(Value::as_array);
            let items = items.map(Vec::as_slice).unwrap_or_default();
            show(&list, items, format, "no archives")?;
        }
        Command::Get { digest } => {
            let path = format!("/archives/{}", segment(&digest));
            let archive = client.get(&path, &[]).await?;
            show(&archive, std::slice::from_ref(&archive), format, "")?;
        }
        Command::Delete { digests, yes } => return ARCHIVE.delete(&client, &digests, yes).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(answer: &Value, items: &[Value], format: Format, nothing: &str) -> Result<()> {
    match format {
        Format::Json | Format::Yaml => return output::document(answer, format),
        Format::Name => items.iter().for_each(|a| say(text_at(a, "/digest"))),
        Format::Table | Format::Wide if items.is_empty() => say(nothing),
        Format::Table | Format::Wide => {
            let rows = items.iter().map(|archive| {
                let digest = text_at(archive, "/digest");
                vec![
                    if format == Format::Wide {
                        digest
                    } else {
                        digest.chars().take(19).collect()
                    },
                    text_at(archive, "/chart/name"),
                    text_at(archive, "/chart/version"),
                    text_at(archive, "/chart/appVersion"),
                    text_at(archive, "/sizeBytes"),
                    text_at(archive, "/created"),
                    text_at(archive, "/createdBy"),
                    text_at(archive, "/signedBy"),
                ]
            });
            let header = [
                "DIGEST", "CHART", "VERSION", "APP", "BYTES", "CREATED", "BY", "SIGNED",
            ];
            table(&header, rows.collect());
        }
    }
    Ok(())
}

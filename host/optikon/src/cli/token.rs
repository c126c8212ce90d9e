//! `optikon token`.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use optikon_core::flows::access::Tokens;
use optikon_store::{Store, StoreOptions};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, GatewayArgs, segment},
    output::{self, Format, OutputArgs, say, table, text_at},
};
use crate::{serve, world::World};

/// `optikon token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a token and prints it, for the only time.
    Create {
        /// What its holder may do.
        #[arg(long, value_enum)]
        role: Role,
        /// Clusters it may know of, as labels. Default: all.
        #[arg(long, value_name = "SELECTOR", default_value = "")]
        selector: String,
        /// When it ends: 30m, 12h, 90d. Default: never.
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
        /// For people.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Shows every token that is not revoked.
    #[command(visible_alias = "ls")]
    List,
    /// Ends a token at once.
    Revoke {
        /// Its id.
        id: String,
    },
    /// Makes the first admin token anew, in the data folder of a gateway that does not run.
    ResetAdmin {
        /// The data folder.
        #[arg(long, value_name = "DIR", default_value = "data")]
        data_dir: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Viewer,
    Operator,
    Admin,
}

/// Does what was asked.
pub(crate) async fn run(args: TokenArgs) -> Result<ExitCode> {
    let format = args.output.output;
    if let Command::ResetAdmin { data_dir } = &args.command {
        super::store::present(data_dir)?;
        let store = Arc::new(Store::open(data_dir, StoreOptions::default())?);
        let tokens = Tokens::load(store.clone(), Arc::new(World)).await?;
        let token = tokens.reset_admin().await?;
        let file = data_dir.join("admin.token");
        serve::write_secret(&file, token.expose())?;
        store.close();
        say(format_args!(
            "wrote {}; the old admin token has ended",
            file.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let client = Client::new(&args.gateway)?;
    match args.command {
        Command::Create {
            role,
            selector,
            expires,
            description,
        } => {
            let role = match role {
                Role::Viewer => "viewer",
                Role::Operator => "operator",
                Role::Admin => "admin",
            };
            let seconds = expires.as_deref().map(seconds).transpose()?;
            let body = json!({ "role": role, "selector": selector, "description": description,
                "expiresInSeconds": seconds });
            let made = client
                .send(Method::POST, "/tokens", &[], Some(&body), None)
                .await?;
            match format {
                Format::Json | Format::Yaml => output::document(&made, format)?,
                Format::Name => say(text_at(&made, "/id")),
                Format::Table | Format::Wide => say(text_at(&made, "/token")),
            }
        }
        Command::List => {
            let list = client.get("/tokens", &[]).await?;
            let items = list
                .get("items")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            match format {
                Format::Json | Format::Yaml => output::document(&list, format)?,
                Format::Name => items.iter().for_each(|t| say(text_at(t, "/id"))),
                Format::Table | Format::Wide => {
                    let keys = [
                        "/id",
                        "/role",
                        "/selector",
                        "/created",
                        "/expires",
                        "/description",
                    ];
                    let rows = items.iter().map(|t| keys.map(|k| text_at(t, k)).to_vec());
                    table(
                        &[
                            "ID",
                            "ROLE",
                            "SELECTOR",
                            "CREATED",
                            "EXPIRES",
                            "DESCRIPTION",
                        ],
                        rows.collect(),
                    );
                }
            }
        }
        Command::Revoke { id } => {
            let path = format!("/tokens/{}", segment(&id));
            client.send(Method::DELETE, &path, &[], None, None).await?;
            say(format_args!("token {id} revoked"));
        }
        Command::ResetAdmin { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn seconds(text: &str) -> Result<u64> {
    let unit = text.chars().last().unwrap_or_default();
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => 0,
    };
    let number = text.strip_suffix(unit).and_then(|n| n.parse::<u64>().ok());
    number
        .and_then(|n| n.checked_mul(factor))
        .filter(|n| *n > 0)
        .with_context(|| format!("--expires \"{text}\" is not a duration such as 30m, 12h or 90d"))
}

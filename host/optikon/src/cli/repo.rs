//! `optikon repo`: chart repositories and registries that the gateway fetches from.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    client::{Client, GatewayArgs, read_token, segment},
    forget::Noun,
    import,
    output::{self, Format, OutputArgs, say, table, text_at},
};

const REPO: Noun = Noun {
    one: "repository",
    many: "repositories",
    path: "/repositories",
    verb: "Forget",
    done: "forgotten",
};

/// `optikon repo`.
#[derive(Debug, Args)]
pub(crate) struct RepoArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Names a repository; its credential is sealed in the gateway and never comes back.
    Add(AddArgs),
    /// Shows every repository.
    #[command(visible_alias = "ls")]
    List,
    /// Shows one repository.
    Get {
        /// Its name.
        name: String,
    },
    /// Forgets repositories and their credentials; archives that came from them stay.
    #[command(visible_aliases = ["rm", "delete"])]
    Remove {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        /// Does not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Its name, as in NAME/CHART.
    name: String,
    /// `https://host/path` of a repository with an index.yaml, or `oci://host/path` of a registry.
    url: String,
    /// A PEM file with the CA of its certificate. Default: the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The user's name; needs --password-file.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// A file that holds the password and nothing else; - is stdin.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// A file that holds a bearer token and nothing else; - is stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    token_file: Option<PathBuf>,
    /// A further host that may get the credential: where a registry's tokens are issued.
    #[arg(long = "token-host", value_name = "HOST")]
    token_hosts: Vec<String>,
}

/// Does what was asked.
pub(crate) async fn run(args: RepoArgs) -> Result<ExitCode> {
    let client = Client::new(&args.gateway)?;
    let format = args.output.output;
    match args.command {
        Command::Add(add) => {
            let path = format!("/repositories/{}", segment(&add.name));
            let body = body(&add)?;
            let made = client
                .send(Method::PUT, &path, &[], Some(&body), None)
                .await?;
            match format {
                Format::Json | Format::Yaml => output::document(&made, format)?,
                Format::Name => say(text_at(&made, "/name")),
                Format::Table | Format::Wide => {
                    say(format_args!("repository {} is kept", add.name))
                }
            }
        }
        Command::List => {
            let list = client.get("/repositories", &[]).await?;
            let items = list.get("items").and_then(Value::as_array);
            let items = items.map(Vec::as_slice).unwrap_or_default();
            show(&list, items, format)?;
        }
        Command::Get { name } => {
            let path = format!("/repositories/{}", segment(&name));
            let found = client.get(&path, &[]).await?;
            show(&found, std::slice::from_ref(&found), format)?;
        }
        Command::Remove { names, yes } => return REPO.delete(&client, &names, yes).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn body(add: &AddArgs) -> Result<Value> {
    let mut body = Map::from_iter([("url".to_owned(), Value::from(add.url.as_str()))]);
    if let Some(file) = &add.ca {
        body.insert("ca".into(), import::read_ca(file)?.into());
    }
    if let (Some(username), Some(file)) = (&add.username, &add.password_file) {
        body.insert("username".into(), username.as_str().into());
        let password = read_token(file).context("cannot read the password")?;
        body.insert("password".into(), password.into());
    }
    if let Some(file) = &add.token_file {
        body.insert("token".into(), read_token(file)?.into());
    }
    if !add.token_hosts.is_empty() {
        body.insert("tokenHosts".into(), json!(add.token_hosts));
    }
    Ok(Value::Object(body))
}

fn show(answer: &Value, items: &[Value], format: Format) -> Result<()> {
    match format {
        Format::Json | Format::Yaml => return output::document(answer, format),
        Format::Name => items.iter().for_each(|r| say(text_at(r, "/name"))),
        Format::Table | Format::Wide if items.is_empty() => say("no repositories"),
        Format::Table | Format::Wide => {
            let rows = items.iter().map(|repository| {
                vec![
                    text_at(repository, "/name"),
                    text_at(repository, "/url"),
                    text_at(repository, "/credential"),
                    text_at(repository, "/username"),
                ]
            });
            table(&["NAME", "URL", "CREDENTIAL", "USER"], rows.collect());
        }
    }
    Ok(())
}

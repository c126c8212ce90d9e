//! `optikon registry setup|remove`: prepares a central cluster to hold the registry, as the user, from the user's machine.

mod objects;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use optikon_core::words::Request;
use serde_json::{Value, json};

use super::{
    import::read_ca,
    output::{say, warn},
    peer::{Peer, path, title},
};
use crate::serve::write_secret;
use objects::{ACCOUNT, GROUP, Secrets, Service};

/// A definition is served a moment after it was taken; a loaded machine takes longer.
const SERVED_WITHIN: Duration = Duration::from_secs(60);
/// Asked for; the API server may give less.
const TOKEN_SECONDS: u64 = 365 * 24 * 3600;

/// `optikon registry`.
#[derive(Debug, Args)]
pub(crate) struct RegistryArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prepares a central cluster: definition or APIService, namespace, account and rights of the gateway. Again changes nothing.
    Setup(SetupArgs),
    /// Takes away what `setup` brought; refuses while clusters are registered there.
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct Target {
    /// The user's own way to the central cluster; nothing of it is sent anywhere else.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// The context of the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The gateway's account lives here, and the clusters where they live in namespaces.
    #[arg(long, short, value_name = "NAME", default_value = "optikon")]
    namespace: String,
    /// How the central cluster serves clusters.
    #[arg(long, value_enum, default_value = "crd")]
    form: Form,
    /// Runs the program that the kubeconfig names for its credential (exec), here and as you.
    #[arg(long)]
    allow_exec: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// As a custom resource.
    Crd,
    /// By an API server of its own, behind the central one.
    Aggregated,
}

#[derive(Debug, Args)]
struct SetupArgs {
    #[command(flatten)]
    target: Target,
    /// With --form aggregated: the service of that API server.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME:PORT",
        required_if_eq("form", "aggregated")
    )]
    service: Option<Service>,
    /// With --form aggregated: a PEM file with the CA of its certificate.
    #[arg(long, value_name = "FILE", required_if_eq("form", "aggregated"))]
    service_ca: Option<PathBuf>,
    /// Writes a kubeconfig with a token of the gateway's account (valid for a year, or as long as the API server
    /// allows), for `plugin swap --central-kubeconfig` or `[central] kubeconfig`. Mode 0600.
    #[arg(long, value_name = "FILE")]
    write_kubeconfig: Option<PathBuf>,
    /// Lets the gateway also read Secrets of the namespace, for clusters whose `spec.authInfo.controller` names one.
    #[arg(long)]
    secrets: bool,
    /// Lets the gateway also keep credentials of clusters as Secrets of the namespace, for `[vault] place = "central"`.
    #[arg(long)]
    vault: bool,
    /// Prints the objects as YAML and asks and changes nothing.
    #[arg(long, conflicts_with = "write_kubeconfig")]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    #[command(flatten)]
    target: Target,
    /// Also when clusters are registered there; with a custom resource they are forgotten.
    #[arg(long)]
    delete_clusters: bool,
}

/// Does what was asked.
pub(crate) async fn run(args: RegistryArgs) -> Result<ExitCode> {
    match args.command {
        Command::Setup(args) => setup(&args).await,
        Command::Remove(args) => remove(&args).await,
    }
}

impl Target {
    async fn open(&self) -> Result<Peer> {
        Peer::open(&self.kubeconfig, self.context.as_deref(), self.allow_exec).await
    }
}

impl SetupArgs {
    fn secrets(&self) -> Secrets {
        match (self.vault, self.secrets) {
            (true, _) => Secrets::Keep,
            (false, true) => Secrets::Read,
            (false, false) => Secrets::None,
        }
    }

    /// The definition or the registration of whoever serves clusters.
    fn served(&self) -> Result<Value> {
        match (self.target.form, &self.service, &self.service_ca) {
            (Form::Crd, None, None) => objects::definition(),
            (Form::Crd, _, _) => bail!("--service and --service-ca are for --form aggregated"),
            (Form::Aggregated, Some(service), Some(ca)) => {
                Ok(objects::api_service(service, &read_ca(ca)?))
            }
            (Form::Aggregated, _, _) => bail!("--form aggregated needs --service and --service-ca"),
        }
    }
}

async fn setup(args: &SetupArgs) -> Result<ExitCode> {
    let served = args.served()?;
    let namespace = &args.target.namespace;
    if args.dry_run {
        let mut all = vec![served];
        all.extend(objects::account(namespace));
        all.extend(objects::rights(
            namespace,
            args.target.form == Form::Crd,
            args.secrets(),
        ));
        for object in all {
            say("---");
            say(serde_saphyr::to_string(&object)?.trim_end());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let peer = args.target.open().await?;
    let is_namespaced = match args.target.form {
        Form::Crd => install_definition(&peer, &served).await?,
        Form::Aggregated => {
            apply(&peer, &served).await?;
            false
        }
    };
    for object in objects::account(namespace) {
        apply(&peer, &object).await?;
    }
    for object in objects::rights(namespace, is_namespaced, args.secrets()) {
        apply(&peer, &object).await?;
    }
    wait_until_served(&peer).await?;
    say(format_args!(
        "the central cluster serves clusters of {GROUP}/v1alpha1"
    ));
    if let Some(file) = &args.write_kubeconfig {
        write_kubeconfig(&peer, &args.target, file).await?;
        say(format_args!("wrote {}", file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

async fn apply(peer: &Peer, object: &Value) -> Result<()> {
    let applied = peer.apply(object).await?;
    say(format_args!("{} {}", title(object), applied.word()));
    Ok(())
}

/// Whether clusters live in namespaces. A definition of others is left as it is: its scope could not be changed, and its
/// schema is its owner's.
async fn install_definition(peer: &Peer, wanted: &Value) -> Result<bool> {
    let service = format!("/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.{GROUP}");
    if let Some(present) = peer.get(&service).await?
        && let Some(behind) = present.pointer("/spec/service")
        && !behind.is_null()
    {
        let text = |key| behind.get(key).and_then(Value::as_str).unwrap_or_default();
        bail!(
            "{GROUP} is served there by the APIService of {}/{}, which would hide a definition: use --form aggregated, or \
             remove it first",
            text("namespace"),
            text("name")
        );
    }
    let present = peer.get(&path(wanted)?).await?;
    let definition = match present {
        Some(present) if !objects::is_ours(&present) => {
            say(format_args!(
                "{} is there already, and stays as it is",
                title(wanted)
            ));
            let versions = present.pointer("/spec/versions").and_then(Value::as_array);
            let serves = versions.into_iter().flatten().any(|version| {
                version.get("name").is_some_and(|name| name == "v1alpha1")
                    && version.get("served") == Some(&Value::Bool(true))
            });
            if !serves {
                bail!("it does not serve the version v1alpha1, which the gateway needs");
            }
            present
        }
        _ => {
            apply(peer, wanted).await?;
            wanted.clone()
        }
    };
    Ok(definition.pointer("/spec/scope") == Some(&json!("Namespaced")))
}

async fn wait_until_served(peer: &Peer) -> Result<()> {
    let from = Instant::now();
    loop {
        let request = Request {
            query: vec![("limit".into(), "1".into())],
            ..Request::get(format!("/apis/{GROUP}/v1alpha1/clusters"))
        };
        let problem = match peer.send(request).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => "it is not served yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if from.elapsed() > SERVED_WITHIN {
            bail!("everything was applied, but clusters cannot be listed: {problem}");
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn write_kubeconfig(peer: &Peer, target: &Target, file: &Path) -> Result<()> {
    let namespace = &target.namespace;
    let collection = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}/token");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_SECONDS}});
    let reply = peer.create(&collection, &request).await?;
    let made = objects::kubeconfig(peer.server(), peer.ca(), &reply)?;
    write_secret(file, &serde_saphyr::to_string(&made)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    if let Some(end) = reply
        .pointer("/status/expirationTimestamp")
        .and_then(Value::as_str)
    {
        say(format_args!(
            "its token ends at {end}; `optikon registry setup` makes another"
        ));
    }
    Ok(())
}

async fn remove(args: &RemoveArgs) -> Result<ExitCode> {
    let target = &args.target;
    let peer = target.open().await?;
    let list = peer
        .get(&format!("/apis/{GROUP}/v1alpha1/clusters"))
        .await?;
    let count = list
        .as_ref()
        .and_then(|list| list.get("items")?.as_array().map(Vec::len))
        .unwrap_or_default();
    if count > 0 && !args.delete_clusters {
        bail!(
            "{count} cluster(s) are registered there: swap the registry with --migrate copy first, or give --delete-clusters"
        );
    }
    let mut all = Vec::new();
    for is_namespaced in [true, false] {
        all.extend(objects::rights(
            &target.namespace,
            is_namespaced,
            match is_namespaced {
                true => Secrets::Keep,
                false => Secrets::None,
            },
        ));
    }
    all.extend(objects::account(&target.namespace));
    let served = match target.form {
        Form::Crd => objects::definition()?,
        Form::Aggregated => json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": format!("v1alpha1.{GROUP}")}}),
    };
    all.push(served);
    all.reverse();
    for object in all {
        match peer.get(&path(&object)?).await? {
            None => {}
            Some(present) if objects::is_ours(&present) => {
                peer.delete(&object).await?;
                say(format_args!("{} removed", title(&object)));
            }
            Some(_) => warn(format_args!(
                "{} was not set up by this command, and stays",
                title(&object)
            )),
        }
    }
    Ok(ExitCode::SUCCESS)
}

//! Clusters from files or from another project's hub. Everything is read on this machine; only what registers a cluster is
//! sent.

mod formats;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use optikon_core::{flows::kubeconfig, words::Credential};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    client::Client,
    cluster::dry_run,
    output::{complain, say, warn},
    peer::Peer,
};

/// `optikon cluster import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// What the files are.
    #[arg(long, value_enum, default_value = "kubeconfig")]
    from: Form,
    /// The files.
    #[arg(required_unless_present = "central_kubeconfig")]
    files: Vec<PathBuf>,
    /// Reads the objects from the cluster that this kubeconfig leads to, as you, instead of from files.
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    central_kubeconfig: Option<PathBuf>,
    /// The context of that kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME", requires = "central_kubeconfig")]
    central_context: Option<String>,
    /// Runs the program that the kubeconfig names for its credential (exec), here and as you.
    #[arg(long)]
    allow_exec: bool,
    /// Checks everything, registers nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Each context becomes a cluster.
    Kubeconfig,
    /// Cluster objects or short forms, one or more documents a file.
    Yaml,
    /// ClusterProfiles of multicluster.x-k8s.io.
    Clusterprofile,
    /// Secrets with which Argo CD reaches clusters.
    Argocd,
    /// Clusters of Karmada, with the Secrets that they name.
    Karmada,
    /// ManagedClusters of Open Cluster Management.
    Ocm,
}

/// Where a context's own name is kept when it is no DNS label.
const ORIGINAL_NAME: &str = "optikon.io/imported-from";

/// What one cluster is reached by.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) server: String,
    pub(crate) ca: Option<String>,
    pub(crate) credential: Option<Credential>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) proxy_url: Option<String>,
}

/// The body of a registration. The only place that lets a member's secret out, to the gateway.
pub(crate) fn short_form(name: &str, source: &Source, labels: Map<String, Value>) -> Result<Value> {
    let mut body = Map::new();
    body.insert("name".into(), name.into());
    body.insert("server".into(), source.server.clone().into());
    let mut put = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            body.insert(key.into(), value.clone().into());
        }
    };
    put("ca", &source.ca);
    put("tlsServerName", &source.tls_server_name);
    put("proxyUrl", &source.proxy_url);
    match &source.credential {
        None => {}
        Some(Credential::Token(token)) => put("token", &Some(token.expose().clone())),
        Some(Credential::ClientCertificate { certificate, key }) => {
            put("clientCertificate", &Some(certificate.clone()));
            put("clientKey", &Some(key.expose().clone()));
        }
        Some(Credential::Basic { username, password }) => {
            put("username", &Some(username.clone()));
            put("password", &Some(password.expose().clone()));
        }
    }
    if !labels.is_empty() {
        body.insert("labels".into(), Value::Object(labels));
    }
    Ok(Value::Object(body))
}

/// One context of a kubeconfig.
pub(crate) fn from_kubeconfig(file: &Path, context: Option<&str>) -> Result<Source> {
    let text = read(file)?;
    let context = kubeconfig::parse(&text)?.context(context)?;
    of_context(&context, file)
}

fn of_context(context: &kubeconfig::Context, file: &Path) -> Result<Source> {
    let ca = match (&context.ca, &context.ca_file) {
        (Some(pem), _) => Some(pem.clone()),
        (None, Some(path)) => {
            // Relative paths in a kubeconfig are relative to it.
            Some(read_ca(
                &file.parent().unwrap_or(Path::new(".")).join(path),
            )?)
        }
        (None, None) => None,
    };
    Ok(Source {
        server: context.server.clone(),
        ca,
        credential: context.credential.clone(),
        tls_server_name: context.tls_server_name.clone(),
        proxy_url: context.proxy_url.clone(),
    })
}

/// A PEM file of certificates, and nothing else: it goes over the network.
pub(crate) fn read_ca(file: &Path) -> Result<String> {
    let text = read(file)?;
    let has_certificate = text.contains("-----BEGIN CERTIFICATE-----");
    if !has_certificate || text.contains("PRIVATE KEY") {
        bail!("{} is no PEM file of certificates", file.display());
    }
    Ok(text)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Registers everything that the files hold.
pub(crate) async fn run(client: &Client, args: &ImportArgs) -> Result<ExitCode> {
    let mut bodies: BTreeMap<String, (String, Value)> = BTreeMap::new();
    let mut failed = 0;
    for (origin, made) in all_bodies(args).await? {
        let body = match made {
            Ok((body, losses)) => {
                for loss in losses {
                    warn(format_args!("{origin}: not carried: {loss}"));
                }
                body
            }
            Err(error) => {
                failed += 1;
                complain(&error.context(origin));
                continue;
            }
        };
        let name = body
            .get("name")
            .or_else(|| body.pointer("/metadata/name"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if let Some((first, _)) = bodies.get(&name) {
            failed += 1;
            warn(format_args!(
                "error: {origin}: its name would be \"{name}\", which {first} has already"
            ));
            continue;
        }
        bodies.insert(name, (origin, body));
    }
    let total = bodies.len() + failed;
    for (name, (origin, body)) in &bodies {
        let query = dry_run(args.dry_run);
        match client
            .send(Method::POST, "/cluster", &query, Some(body), None)
            .await
        {
            Ok(_) if args.dry_run => say(format_args!(
                "cluster {name} would be registered ({origin})"
            )),
            Ok(_) => say(format_args!("cluster {name} registered ({origin})")),
            Err(error) => {
                failed += 1;
                complain(&error.context(format!("cluster {name} ({origin})")));
            }
        }
    }
    Ok(exit_code(total, failed))
}

/// Where it stood, the body to send, and what is not in it.
type Body = (String, Result<(Value, Vec<String>)>);

async fn all_bodies(args: &ImportArgs) -> Result<Vec<Body>> {
    let mut bodies = Vec::new();
    match &args.central_kubeconfig {
        Some(kubeconfig) => {
            let paths = formats::paths(args.from);
            if paths.is_empty() {
                bail!("this form is read from files only");
            }
            let peer = Peer::open(kubeconfig, args.central_context.as_deref(), args.allow_exec);
            let peer = peer.await?;
            let mut documents = Vec::new();
            for path in paths {
                let list = peer.get(path).await?;
                documents.push(list.with_context(|| format!("the cluster does not serve {path}"))?);
            }
            if args.from == Form::Karmada {
                documents.extend(secrets_of(&peer, &documents).await?);
            }
            bodies.extend(of_documents(documents, args.from, "the cluster"));
        }
        None => {
            for file in &args.files {
                bodies.extend(bodies_of(file, args.from)?);
            }
        }
    }
    Ok(bodies)
}

/// The Secrets that Karmada's clusters name.
async fn secrets_of(peer: &Peer, lists: &[Value]) -> Result<Vec<Value>> {
    let items = lists
        .iter()
        .filter_map(|list| list.get("items")?.as_array())
        .flatten();
    let mut found = Vec::new();
    for cluster in items {
        let text = |pointer| cluster.pointer(pointer).and_then(Value::as_str);
        let (Some(namespace), Some(name)) = (
            text("/spec/secretRef/namespace"),
            text("/spec/secretRef/name"),
        ) else {
            continue;
        };
        let mut secret = peer
            .get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"))
            .await?;
        if let Some(Value::Object(fields)) = &mut secret {
            fields.insert("kind".into(), "Secret".into());
        }
        found.extend(secret);
    }
    Ok(found)
}

/// Objects of other projects; a list's items may lack kind and version.
fn of_documents(mut documents: Vec<Value>, form: Form, origin: &str) -> Vec<Body> {
    for list in &mut documents {
        let kind = list.get("kind").and_then(Value::as_str).unwrap_or_default();
        let (Some(kind), version) = (
            kind.strip_suffix("List").map(str::to_owned),
            list.get("apiVersion").cloned(),
        ) else {
            continue;
        };
        let items = list.get_mut("items").and_then(Value::as_array_mut);
        for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
            item.entry("kind").or_insert_with(|| kind.clone().into());
            item.entry("apiVersion")
                .or_insert_with(|| version.clone().unwrap_or_default());
        }
    }
    let (objects, secrets) = formats::objects(form, documents);
    let bodies = objects.iter().map(|object| {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let origin = format!("{origin}, {}", name.unwrap_or("an object without a name"));
        let body = formats::imported(form, object, &secrets)
            .map(|made| (named(made.body, &made.name), made.losses));
        (origin, body)
    });
    bodies.collect()
}

/// The body under a name that is a label; the original one is kept beside it.
fn named(mut body: Value, name: &str) -> Value {
    let safe = label_of(name);
    if let Value::Object(fields) = &mut body {
        fields.insert("name".into(), safe.clone().into());
        if safe != name {
            let annotations = fields.entry("annotations").or_insert_with(|| json!({}));
            if let Value::Object(annotations) = annotations {
                annotations.insert(ORIGINAL_NAME.into(), name.into());
            }
        }
    }
    body
}

fn bodies_of(file: &Path, form: Form) -> Result<Vec<Body>> {
    let text = read(file)?;
    if form == Form::Kubeconfig {
        let parsed = kubeconfig::parse(&text).with_context(|| file.display().to_string())?;
        let names: Vec<String> = parsed.contexts().map(str::to_owned).collect();
        let bodies = names.into_iter().map(|name| {
            let body = parsed
                .context(Some(&name))
                .map_err(anyhow::Error::new)
                .and_then(|context| {
                    let body = short_form(&name, &of_context(&context, file)?, Map::new())?;
                    Ok((named(body, &name), Vec::new()))
                });
            (format!("context {name}"), body)
        });
        return Ok(bodies.collect());
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|_| anyhow::anyhow!("{} is not YAML", file.display()))?;
    if form != Form::Yaml {
        let bodies = of_documents(documents, form, &file.display().to_string());
        if bodies.is_empty() {
            bail!("{} holds nothing of this form", file.display());
        }
        return Ok(bodies);
    }
    let bodies = documents
        .into_iter()
        .enumerate()
        .filter(|(_, d)| !d.is_null());
    Ok(bodies
        .map(|(i, d)| {
            (
                format!("{} document {}", file.display(), i + 1),
                Ok((d, Vec::new())),
            )
        })
        .collect())
}

/// A DNS label as near to a name as can be: EKS contexts are ARNs.
fn label_of(name: &str) -> String {
    let tail = name.rsplit(['/', ':']).next().unwrap_or(name);
    let mut label = String::new();
    for c in tail.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => label.push(c),
            _ if label.ends_with('-') => {}
            _ => label.push('-'),
        }
    }
    let label: String = label.trim_matches('-').chars().take(63).collect();
    label.trim_end_matches('-').to_owned()
}

/// 0 all, 1 none, 3 some.
pub(crate) fn exit_code(total: usize, failed: usize) -> ExitCode {
    match failed {
        0 => ExitCode::SUCCESS,
        n if n >= total => ExitCode::from(1),
        _ => ExitCode::from(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_of_any_cloud_becomes_a_label() {
        for (name, label) in [
            ("kind-kind", "kind-kind"),
            (
                "arn:aws:eks:eu-west-1:123456789012:cluster/Prod_1",
                "prod-1",
            ),
            (
                "gke_project_europe-west1_edge",
                "gke-project-europe-west1-edge",
            ),
            ("admin@home", "admin-home"),
        ] {
            assert_eq!(label_of(name), label);
        }
    }
}

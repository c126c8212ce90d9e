//! Clusters from files: kubeconfigs and YAML. Everything is read on this machine; only what
//! registers a cluster is sent.

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
};

/// `optikon cluster import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// What the files are.
    #[arg(long, value_enum, default_value = "kubeconfig")]
    from: Form,
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
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
    for file in &args.files {
        for (origin, made) in bodies_of(file, args.from)? {
            let body = match made {
                Ok(body) => body,
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

type Body = (String, Result<Value>);

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
                    let safe = label_of(&name);
                    let mut body = short_form(&safe, &of_context(&context, file)?, Map::new())?;
                    if safe != name
                        && let Value::Object(map) = &mut body
                    {
                        map.insert("annotations".into(), json!({ ORIGINAL_NAME: name }));
                    }
                    Ok(body)
                });
            (format!("context {name}"), body)
        });
        return Ok(bodies.collect());
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|_| anyhow::anyhow!("{} is not YAML", file.display()))?;
    let bodies = documents
        .into_iter()
        .enumerate()
        .filter(|(_, d)| !d.is_null());
    Ok(bodies
        .map(|(i, d)| (format!("{} document {}", file.display(), i + 1), Ok(d)))
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

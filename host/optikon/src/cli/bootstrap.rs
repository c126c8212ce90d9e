//! `optikon cluster bootstrap|rotate`: an account for the gateway in a member, made by the user on the user's machine. Only
//! the account's new token leaves it.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Args;
// On the registered cluster: whose token it is, `namespace/account/secret`, so that it can be renewed.
use optikon_core::flows::renewal::ACCOUNT as ACCOUNT_OF;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    client::{Client, segment},
    output::{self, Format, say, text_at},
    peer::{Peer, title},
};

/// Asked for; the API server may give less. The gateway renews it at 80 % of its life.
const TOKEN_SECONDS: u64 = 30 * 24 * 3600;
/// The account's name.
const ACCOUNT: &str = "optikon";
/// A member is asked with its new token for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What both commands need to reach the member.
#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    /// The cluster's name in the gateway: a DNS label.
    name: String,
    /// The user's own way to the member; nothing of it is sent anywhere else.
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// The context of the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Runs the program that the kubeconfig names for its credential (EKS, GKE, AKS), here and as you.
    #[arg(long)]
    allow_exec: bool,
    /// Where the account is in the member.
    #[arg(long, value_name = "NAME", default_value = "optikon")]
    account_namespace: String,
}

/// `optikon cluster bootstrap`.
#[derive(Debug, Args)]
pub(crate) struct BootstrapArgs {
    #[command(flatten)]
    member: MemberArgs,
    /// What the gateway may do there: `viewer` looks, `deployer` also manages releases, or a YAML file with the rules of
    /// a Role.
    #[arg(long, value_name = "viewer|deployer|FILE")]
    role: String,
    /// Only in these namespaces (looking at nodes and pods is for the whole cluster). Default: everywhere.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// A label of the registered cluster; may be given again.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// Prints what would be applied in the member as YAML; asks and changes nothing.
    #[arg(long)]
    dry_run: bool,
}

impl BootstrapArgs {
    /// As they were given.
    pub(crate) fn labels(&self) -> &[String] {
        &self.labels
    }
}

/// Sets up the account, makes a token, and registers the cluster with it.
pub(crate) async fn bootstrap(
    client: &Client,
    args: &BootstrapArgs,
    labels: Map<String, Value>,
    format: Format,
) -> Result<ExitCode> {
    let objects = objects(args)?;
    if args.dry_run {
        for object in objects {
            say("---");
            say(serde_saphyr::to_string(&object)?.trim_end());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let member = &args.member;
    let peer = member.open().await?;
    for object in &objects {
        let applied = peer.apply(object).await?;
        if matches!(format, Format::Table | Format::Wide) {
            say(format_args!("{} {}", title(object), applied.word()));
        }
    }
    let (secret, token) = member.token(&peer).await?;
    let account = format!("{}/{ACCOUNT}/{secret}", member.account_namespace);
    let mut body = json!({
        "name": member.name, "server": peer.server(), "token": token, "annotations": {ACCOUNT_OF: account},
    });
    if let Some(fields) = body.as_object_mut() {
        fields.extend(peer.ca().map(|ca| ("ca".to_owned(), ca.into())));
        if !labels.is_empty() {
            fields.insert("labels".into(), labels.into());
        }
    }
    let made = client.send(Method::POST, "/cluster", &[], Some(&body), None);
    let made = match made.await {
        Ok(made) => made,
        Err(error) => {
            // Nobody uses it.
            peer.delete(&member.secret(&secret)).await?;
            return Err(error);
        }
    };
    match format {
        Format::Json | Format::Yaml => output::document(&made, format)?,
        Format::Name => say(text_at(&made, "/metadata/name")),
        Format::Table | Format::Wide => say(format_args!("cluster {} registered", member.name)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives the cluster a new token, waits until the member answers to it, and revokes the old one.
pub(crate) async fn rotate(client: &Client, member: &MemberArgs) -> Result<ExitCode> {
    let path = format!("/cluster/{}", segment(&member.name));
    let present = client.get(&path, &[("probe", "none".into())]).await?;
    let annotations = present.pointer("/metadata/annotations");
    let account = annotations
        .and_then(|a| a.get(ACCOUNT_OF))
        .and_then(Value::as_str);
    let account = account.with_context(|| {
        format!(
            "cluster \"{}\" was not set up by `optikon cluster bootstrap`",
            member.name
        )
    })?;
    let parts: Vec<&str> = account.split('/').collect();
    let [namespace, ACCOUNT, old] = parts.as_slice() else {
        bail!(
            "annotation {ACCOUNT_OF} of cluster \"{}\" is not one of ours",
            member.name
        );
    };
    if *namespace != member.account_namespace {
        bail!("the account is in namespace \"{namespace}\": give --account-namespace {namespace}");
    }
    let peer = member.open().await?;
    let (secret, token) = member.token(&peer).await?;
    let provider = json!({"name": ACCOUNT, "type": {"name": "Token"}, "config": {"token": token}});
    let body = json!({
        "metadata": {"annotations": {ACCOUNT_OF: format!("{namespace}/{ACCOUNT}/{secret}")}},
        "spec": {"authInfo": {"controller": null, "providers": [provider]}},
    });
    let kind = Some("application/merge-patch+json");
    client
        .send(Method::PATCH, &path, &[], Some(&body), kind)
        .await?;
    say(format_args!("cluster {} has a new token", member.name));
    let answered = async {
        loop {
            let live = client.get(&path, &[("probe", "live".into())]).await?;
            let seen = live.pointer("/status/observedAt/time").is_some();
            if seen && live.pointer("/status/reason").is_none() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(answered) => answered?,
        Err(_) => bail!(
            "the member did not answer to the new token within {} s; the old one was not revoked: {old}",
            PATIENCE.as_secs()
        ),
    }
    peer.delete(&member.secret(old)).await?;
    say("the member answers to it; the old token is revoked");
    Ok(ExitCode::SUCCESS)
}

impl MemberArgs {
    async fn open(&self) -> Result<Peer> {
        Peer::open(&self.kubeconfig, self.context.as_deref(), self.allow_exec).await
    }

    fn secret(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": name, "namespace": self.account_namespace,
                "labels": {"app.kubernetes.io/managed-by": "optikon", "optikon.io/credential-for": self.name}},
        })
    }

    /// A token of the account that is bound to a Secret of its own: whose deletion revokes it.
    async fn token(&self, peer: &Peer) -> Result<(String, String)> {
        let namespace = &self.account_namespace;
        let mut secret = self.secret("");
        if let Some(Value::Object(metadata)) = secret.get_mut("metadata") {
            metadata.remove("name");
            metadata.insert("generateName".into(), format!("{ACCOUNT}-token-").into());
        }
        let made = peer
            .create(&format!("/api/v1/namespaces/{namespace}/secrets"), &secret)
            .await?;
        let (name, uid) = (
            text_at(&made, "/metadata/name"),
            text_at(&made, "/metadata/uid"),
        );
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": name, "uid": uid}},
        });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}/token");
        let reply = peer.create(&path, &request).await?;
        let token = reply.pointer("/status/token").and_then(Value::as_str);
        let token = token.context("the member answered a token request without a token")?;
        Ok((name, token.to_owned()))
    }
}

/// Everything in the member, in order.
fn objects(args: &BootstrapArgs) -> Result<Vec<Value>> {
    let namespace = args.member.account_namespace.as_str();
    let version = "rbac.authorization.k8s.io/v1";
    let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]);
    let labels = json!({"app.kubernetes.io/managed-by": "optikon"});
    let role = |kind: &str, name: &str, namespace: Option<&str>, rules: &Value| {
        let mut metadata = json!({"name": name, "labels": labels});
        if let (Some(namespace), Some(fields)) = (namespace, metadata.as_object_mut()) {
            fields.insert("namespace".into(), namespace.into());
        }
        json!({"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules})
    };
    let bind = |to: &str, kind: &str, name: &str, namespace: Option<&str>| {
        let mut metadata = json!({"name": name, "labels": labels});
        if let (Some(namespace), Some(fields)) = (namespace, metadata.as_object_mut()) {
            fields.insert("namespace".into(), namespace.into());
        }
        let binding = if namespace.is_some() {
            "RoleBinding"
        } else {
            "ClusterRoleBinding"
        };
        json!({"apiVersion": version, "kind": binding, "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": to}, "subjects": subjects})
    };
    let mut all = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": labels}}),
        // It may renew its own token and nobody else's.
        role(
            "Role",
            "optikon-renew",
            Some(namespace),
            &json!([
                {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [ACCOUNT], "verbs": ["create"]},
                {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [ACCOUNT], "verbs": ["get"]},
            ]),
        ),
        bind("optikon-renew", "Role", "optikon-renew", Some(namespace)),
        role("ClusterRole", "optikon-viewer", None, &viewer()),
        bind("optikon-viewer", "ClusterRole", "optikon-viewer", None),
    ];
    let places: Vec<Option<&str>> = if args.namespaces.is_empty() {
        vec![None]
    } else {
        args.namespaces.iter().map(|n| Some(n.as_str())).collect()
    };
    match args.role.as_str() {
        "viewer" => {}
        // The cluster's own role of this name: everything in a namespace, but no quotas and no namespace itself.
        "deployer" => {
            all.extend(
                places
                    .iter()
                    .map(|place| bind("admin", "ClusterRole", "optikon-deployer", *place)),
            );
        }
        file => {
            let text = std::fs::read_to_string(file).with_context(|| {
                format!(
                    "--role \"{file}\" is neither viewer nor deployer, nor a file that can be read"
                )
            })?;
            let given: Value =
                serde_saphyr::from_str(&text).map_err(|_| anyhow::anyhow!("{file} is no YAML"))?;
            let rules = given.get("rules").unwrap_or(&given);
            if !rules.is_array() {
                bail!("{file} holds no list of rules");
            }
            all.push(role("ClusterRole", "optikon-custom", None, rules));
            all.extend(
                places
                    .iter()
                    .map(|place| bind("optikon-custom", "ClusterRole", "optikon-custom", *place)),
            );
        }
    }
    Ok(all)
}

/// What the prober looks at; no Secrets.
fn viewer() -> Value {
    let read = ["get", "list", "watch"];
    json!([
        {"apiGroups": [""], "resources": ["nodes", "pods", "namespaces", "replicationcontrollers"], "verbs": read},
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets", "replicasets"], "verbs": read},
        {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": read},
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(role: &str, namespaces: &[&str]) -> Vec<Value> {
        let args = BootstrapArgs {
            member: MemberArgs {
                name: "edge-1".into(),
                kubeconfig: "k".into(),
                context: None,
                allow_exec: false,
                account_namespace: "optikon".into(),
            },
            role: role.into(),
            namespaces: namespaces.iter().map(|n| (*n).to_owned()).collect(),
            labels: Vec::new(),
            dry_run: false,
        };
        objects(&args).unwrap()
    }

    #[test]
    fn a_viewer_reads_no_secrets_and_writes_nothing_but_its_own_token() {
        let text = Value::Array(of("viewer", &[])).to_string();
        assert!(
            !text.contains("\"secrets\"") && !text.contains("\"*\""),
            "{text}"
        );
        assert_eq!(text.matches("\"create\"").count(), 1, "{text}");
    }

    #[test]
    fn a_deployer_is_bound_where_it_may_deploy() {
        let bound = of("deployer", &["shop", "bank"]);
        let places: Vec<&str> = bound
            .iter()
            .filter(|o| o["roleRef"]["name"] == "admin")
            .map(|o| o["metadata"]["namespace"].as_str().unwrap())
            .collect();
        assert_eq!(places, ["shop", "bank"]);
        let everywhere = of("deployer", &[]);
        assert!(
            everywhere
                .iter()
                .any(|o| o["kind"] == "ClusterRoleBinding" && o["roleRef"]["name"] == "admin")
        );
    }
}

//! `optikon kubeconfig`: the gateway as a server for kubectl.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::{
    client::{Client, GatewayArgs},
    output,
};

/// `optikon kubeconfig`.
#[derive(Debug, Args)]
pub(crate) struct KubeconfigArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// The name of context, cluster and user.
    #[arg(long, default_value = "optikon")]
    name: String,
}

/// Prints a kubeconfig with the gateway's address, CA and the token in use.
pub(crate) fn run(args: &KubeconfigArgs) -> Result<ExitCode> {
    let client = Client::new(&args.gateway)?;
    let token = client
        .token()
        .context("a kubeconfig needs a token: set OPTIKON_TOKEN_FILE")?;
    let mut cluster = json!({ "server": client.base() });
    if let (Some(ca), Some(map)) = (client.ca(), cluster.as_object_mut()) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        map.insert(
            "certificate-authority-data".into(),
            STANDARD.encode(ca).into(),
        );
    }
    let name = &args.name;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{ "name": name, "cluster": cluster }],
        "users": [{ "name": name, "user": { "token": token.expose() } }],
        "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
    });
    output::document(&config, output::Format::Yaml)?;
    Ok(ExitCode::SUCCESS)
}

//! The cluster that holds the registry, as `[central]` names it.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use optikon_core::{
    flows::{
        address,
        kubeconfig::{self, Context as Kubecontext},
    },
    words::{Credential, Endpoint, Member, Secret},
};

use crate::{cli::client::read_token, config::Central};

/// A pod's token is replaced by its kubelet when a fifth of its hour is left.
const TOKEN_AGE: Duration = Duration::from_secs(30);

/// How the configured central cluster is reached.
#[derive(Debug)]
pub(crate) struct Reached {
    member: Member,
    token: Option<TokenFile>,
}

#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
    /// When it was read, and what it said.
    read: Mutex<Option<(Instant, Secret<String>)>>,
}

impl TokenFile {
    /// The token; a file that cannot be read keeps the one before.
    fn token(&self) -> Result<Secret<String>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, token)) = read.as_ref()
            && at.elapsed() < TOKEN_AGE
        {
            return Ok(token.clone());
        }
        match (read_token(&self.path), read.as_ref()) {
            (Ok(token), _) => {
                let token = Secret::new(token);
                *read = Some((Instant::now(), token.clone()));
                Ok(token)
            }
            (Err(error), Some((_, token))) => {
                tracing::warn!(error = %format!("{error:#}"), "the central cluster's token is not read again");
                Ok(token.clone())
            }
            (Err(error), None) => Err(error),
        }
    }
}

impl Reached {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// When one of them cannot be read or makes no sense.
    pub(crate) fn read(central: &Central) -> Result<Self> {
        if let Some(file) = &central.kubeconfig {
            let context = read_kubeconfig(file, central.context.as_deref())?;
            return Ok(Self {
                member: member("configured", context)?,
                token: None,
            });
        }
        let context = Kubecontext {
            name: "configured".into(),
            server: central.server.clone().unwrap_or_default(),
            ca: None,
            ca_file: central.ca.as_ref().map(|f| f.display().to_string()),
            tls_server_name: central.tls_server_name.clone(),
            proxy_url: central.proxy_url.clone(),
            namespace: None,
            credential: None,
        };
        let token = central.token_file.clone().map(|path| TokenFile {
            path,
            read: Mutex::default(),
        });
        if let Some(token) = &token {
            token.token()?;
        }
        let member = member("configured", with_ca_file(context, Path::new(""))?)?;
        Ok(Self { member, token })
    }

    /// What outbound needs, with the token as it is now.
    ///
    /// # Errors
    /// When there is a token file and it was never readable.
    pub(crate) fn member(&self) -> Result<Member> {
        let mut member = self.member.clone();
        if let Some(file) = &self.token {
            member.credential = Some(Credential::Token(file.token()?));
        }
        Ok(member)
    }
}

/// One context of a kubeconfig file of the operator's own, its CA file read.
///
/// # Errors
/// When the file cannot be read, or the context has what is refused (`exec`, insecure TLS …).
fn read_kubeconfig(file: &Path, context: Option<&str>) -> Result<Kubecontext> {
    let context = parse(file)?.context(context);
    let context = context.with_context(|| file.display().to_string())?;
    with_ca_file(context, file.parent().unwrap_or(Path::new("")))
}

/// The same for a command line: where the context's user has an `exec`, it comes along, to be run or refused.
///
/// # Errors
/// As above, `exec` aside.
pub(crate) fn read_own_kubeconfig(
    file: &Path,
    context: Option<&str>,
) -> Result<(Kubecontext, Option<serde_json::Value>)> {
    let read = parse(file)?.context_with_exec(context);
    let (context, exec) = read.with_context(|| file.display().to_string())?;
    let context = with_ca_file(context, file.parent().unwrap_or(Path::new("")))?;
    Ok((context, exec))
}

fn parse(file: &Path) -> Result<kubeconfig::Kubeconfig> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    kubeconfig::parse(&text).with_context(|| file.display().to_string())
}

fn with_ca_file(mut context: Kubecontext, folder: &Path) -> Result<Kubecontext> {
    if let Some(file) = context.ca_file.take() {
        let file = folder.join(file);
        let ca = std::fs::read_to_string(&file);
        context.ca = Some(ca.with_context(|| format!("cannot read the CA {}", file.display()))?);
    }
    Ok(context)
}

/// A context as outbound knows members; `name` tells it from other central clusters.
///
/// # Errors
/// When the server is no HTTPS address.
pub(crate) fn member(name: &str, context: Kubecontext) -> Result<Member> {
    let url = address::normalise(&context.server)
        .map_err(anyhow::Error::msg)
        .context("server")?;
    Ok(Member {
        name: "central".parse().context("name")?,
        uid: format!("central:{name}").parse().context("uid")?,
        endpoints: vec![Endpoint {
            client_cidr: None,
            url,
        }],
        ca: context.ca,
        tls_server_name: context.tls_server_name,
        proxy_url: context.proxy_url,
        direct: None,
        credential: context.credential,
    })
}

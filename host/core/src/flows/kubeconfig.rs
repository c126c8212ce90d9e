//! A kubeconfig, taken apart by a parser of our own.
//!
//! It runs on the client's machine for the command line, and in the gateway only for a kubeconfig
//! that stands inside an annotation. Nothing named in it is ever run or read from here: `exec`,
//! `auth-provider`, `tokenFile` and insecure TLS are refused by name; the paths that the command
//! line may follow (a CA file) are handed out as paths.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    error::{Error, Result},
    words::{Credential, Secret},
};

/// Larger ones are no kubeconfigs.
const MAX_BYTES: usize = 1 << 20;

/// A parsed kubeconfig. Fields it does not need are ignored.
#[derive(Deserialize)]
pub struct Kubeconfig {
    #[serde(default, rename = "current-context")]
    current_context: String,
    #[serde(default)]
    contexts: Vec<Named<ContextEntry>>,
    #[serde(default)]
    clusters: Vec<Named<ClusterEntry>>,
    #[serde(default)]
    users: Vec<Named<UserEntry>>,
}

impl std::fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("current_context", &self.current_context)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    value: Option<T>,
}

#[derive(Deserialize)]
struct ContextEntry {
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    #[serde(default)]
    server: String,
    certificate_authority_data: Option<String>,
    certificate_authority: Option<String>,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct UserEntry {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate_data: Option<String>,
    client_certificate: Option<String>,
    client_key_data: Option<String>,
    client_key: Option<String>,
    username: Option<String>,
    password: Option<String>,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
}

/// One context, ready to become a cluster.
#[derive(Debug, Clone)]
pub struct Context {
    /// The context's name.
    pub name: String,
    /// As it stands there; checked when it becomes a cluster.
    pub server: String,
    /// PEM.
    pub ca: Option<String>,
    /// A path, where the CA is in a file; only the command line may read it.
    pub ca_file: Option<String>,
    /// The name to verify.
    pub tls_server_name: Option<String>,
    /// A proxy for this cluster.
    pub proxy_url: Option<String>,
    /// The default namespace.
    pub namespace: Option<String>,
    /// Absent = anonymous.
    pub credential: Option<Credential>,
}

/// Parses a kubeconfig in YAML or JSON.
///
/// # Errors
/// [`Error::Malformed`] with the line, never with text of the file.
pub fn parse(text: &str) -> Result<Kubeconfig> {
    if text.len() > MAX_BYTES {
        return Err(Error::TooLarge {
            what: "kubeconfig".into(),
            limit_bytes: MAX_BYTES as u64,
        });
    }
    yaml(text, "kubeconfig")
}

/// Parses YAML (so JSON too) within bounds on depth, aliases and size; errors carry the line and
/// never a piece of the text, which may hold secrets.
///
/// # Errors
/// [`Error::Malformed`].
pub fn yaml<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error
            .location()
            .map(|l| format!(" at line {}, column {}", l.line(), l.column()))
            .unwrap_or_default();
        Error::Malformed(format!(
            "{what} is not valid YAML of the expected shape{place}"
        ))
    })
}

impl Kubeconfig {
    /// The names of all contexts, in order.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.contexts.iter().map(|c| c.name.as_str())
    }

    /// One context, or the current one.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the part of the kubeconfig that is missing or refused.
    pub fn context(&self, name: Option<&str>) -> Result<Context> {
        self.read(name, false).map(|(context, _)| context)
    }

    /// One context, or the current one, and what its user's `exec` says, for a command line that was told to run it. Then
    /// the context has no credential.
    ///
    /// # Errors
    /// As [`Kubeconfig::context`], `exec` aside.
    pub fn context_with_exec(
        &self,
        name: Option<&str>,
    ) -> Result<(Context, Option<serde_json::Value>)> {
        self.read(name, true)
    }

    fn read(
        &self,
        name: Option<&str>,
        takes_exec: bool,
    ) -> Result<(Context, Option<serde_json::Value>)> {
        let name = name.unwrap_or(&self.current_context);
        let refuse = |message: String| Error::invalid("kubeconfig", message);
        let shown = name.escape_debug();
        let context = find(&self.contexts, name)
            .ok_or_else(|| refuse(format!("has no context \"{shown}\"")))?;
        let cluster = find(&self.clusters, &context.cluster).ok_or_else(|| {
            refuse(format!(
                "has no cluster \"{}\"",
                context.cluster.escape_debug()
            ))
        })?;
        if cluster.insecure_skip_tls_verify {
            return Err(refuse(format!(
                "context \"{shown}\" says insecure-skip-tls-verify, which is refused; give the cluster's CA"
            )));
        }
        let ca = match &cluster.certificate_authority_data {
            Some(data) => Some(decode(data).ok_or_else(|| {
                refuse("certificate-authority-data is not base64 of text".into())
            })?),
            None => None,
        };
        let user = find(&self.users, &context.user);
        let exec = user.and_then(|u| u.exec.clone()).filter(|_| takes_exec);
        let credential = match user {
            Some(_) if exec.is_some() => None,
            Some(user) => user.credential().map_err(|message| {
                refuse(format!(
                    "user \"{}\": {message}",
                    context.user.escape_debug()
                ))
            })?,
            None if context.user.is_empty() => None,
            None => {
                return Err(refuse(format!(
                    "has no user \"{}\"",
                    context.user.escape_debug()
                )));
            }
        };
        let made = Context {
            name: name.to_owned(),
            server: cluster.server.clone(),
            ca_file: if ca.is_none() {
                cluster.certificate_authority.clone()
            } else {
                None
            },
            ca,
            tls_server_name: cluster.tls_server_name.clone(),
            proxy_url: cluster.proxy_url.clone(),
            namespace: context.namespace.clone(),
            credential,
        };
        Ok((made, exec))
    }
}

impl UserEntry {
    fn credential(&self) -> Result<Option<Credential>, String> {
        for (field, is_there) in [
            ("exec", self.exec.is_some()),
            ("auth-provider", self.auth_provider.is_some()),
            ("tokenFile", self.token_file.is_some()),
            ("as (impersonation)", self.impersonate.is_some()),
        ] {
            if is_there {
                return Err(format!(
                    "{field} is refused; give a token or a client certificate inline"
                ));
            }
        }
        let has_file = self.client_certificate.is_some() || self.client_key.is_some();
        if has_file && self.client_certificate_data.is_none() {
            return Err(
                "client-certificate and client-key are paths, which are refused; use the -data fields".into(),
            );
        }
        if let Some(token) = self.token.as_ref().filter(|t| !t.is_empty()) {
            return Ok(Some(Credential::Token(Secret::new(token.clone()))));
        }
        if let Some(certificate) = &self.client_certificate_data {
            let certificate =
                decode(certificate).ok_or("client-certificate-data is not base64 of text")?;
            let key = self
                .client_key_data
                .as_ref()
                .ok_or("client-key-data is missing")?;
            let key = decode(key).ok_or("client-key-data is not base64 of text")?;
            return Ok(Some(Credential::ClientCertificate {
                certificate,
                key: Secret::new(key),
            }));
        }
        match (&self.username, &self.password) {
            (Some(username), Some(password)) => Ok(Some(Credential::Basic {
                username: username.clone(),
                password: Secret::new(password.clone()),
            })),
            _ => Ok(None),
        }
    }
}

fn find<'a, T>(list: &'a [Named<T>], name: &str) -> Option<&'a T> {
    list.iter().find(|entry| entry.name == name)?.value.as_ref()
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()
}

/// PEM as it is, or PEM inside base64, as the `-data` fields have it.
pub(crate) fn pem_or_base64(text: &str) -> Option<String> {
    if text.contains("-----BEGIN") {
        Some(text.to_owned())
    } else {
        decode(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_user(user: &str) -> Result<Context> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\npreferences: {{}}\ncontexts:\n- name: c\n  context: {{cluster: k, user: u}}\n\
             clusters:\n- name: k\n  cluster:\n    server: https://10.0.0.1:6443\n    certificate-authority-data: aGVsbG8=\n\
             users:\n- name: u\n  user: {user}\n"
        );
        parse(&text)?.context(None)
    }

    #[test]
    fn a_token_and_the_ca_come_out() {
        let context = with_user("{token: abc}").unwrap();
        assert_eq!(context.server, "https://10.0.0.1:6443");
        assert_eq!(context.ca.as_deref(), Some("hello"));
        assert_eq!(
            context.credential,
            Some(Credential::Token(Secret::new("abc".into())))
        );
    }

    #[test]
    fn what_would_run_or_read_something_is_refused_by_name() {
        for (user, named) in [
            ("{exec: {command: /bin/sh}}", "exec"),
            ("{auth-provider: {name: gcp}}", "auth-provider"),
            ("{tokenFile: /etc/passwd}", "tokenFile"),
            (
                "{client-certificate: /a, client-key: /b}",
                "client-certificate",
            ),
            ("{token: a, as: admin}", "impersonation"),
        ] {
            let error = with_user(user).unwrap_err().to_string();
            assert!(
                error.contains(named) && error.contains("refused"),
                "{user}: {error}"
            );
        }
    }

    #[test]
    fn errors_never_quote_the_file() {
        let error = parse("users: [{name: u, user: {token: {s3cret: 1}}}]").unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
    }
}

//! Repositories that somebody gave a name; their credentials are sealed and never shown.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::repository_input::{Given, check, unquoted};
use crate::{
    error::{Error, Result},
    flows::{charts::ChartFlows, health::rfc3339},
    ports::{Fetch, Table},
    words::{Caller, Credential, Link, Secret},
};

/// More repositories than anybody names.
const MAX_REPOSITORIES: usize = 1_000;

/// How a repository is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepositoryKind {
    /// A folder with an `index.yaml`.
    Index,
    /// A registry of OCI artifacts.
    Oci,
}

/// What its credential is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// It has none.
    #[default]
    None,
    /// A user's name and password.
    Basic,
    /// A bearer token.
    Token,
}

/// A repository, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repository {
    /// Its name, as in `NAME/CHART`.
    pub name: String,
    /// `https://…` or `oci://…`, without a slash at the end.
    pub url: String,
    /// How it is read.
    #[serde(rename = "type")]
    pub kind: RepositoryKind,
    /// What its credential is.
    pub credential: CredentialKind,
    /// The user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// PEM bundle that its certificate is checked against; absent = the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Further hosts that may get the credential: where a registry's tokens are issued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_hosts: Vec<String>,
    /// RFC 3339.
    pub updated: String,
    /// Who wrote it last.
    pub updated_by: String,
}

/// What is sealed: the secret, and what it is bound to. A change of that without the secret given
/// anew would be a way to have it sent elsewhere.
#[derive(Serialize, Deserialize)]
struct Sealed {
    authority: String,
    ca: Option<String>,
    token_hosts: Vec<String>,
    secret: String,
}

impl Repository {
    /// Where it is, as an `https` address.
    pub(super) fn link(&self) -> Result<Link> {
        let text = match self.kind {
            RepositoryKind::Index => self.url.clone(),
            RepositoryKind::Oci => self.url.replacen("oci://", "https://", 1),
        };
        Link::parse(&text)
            .map_err(|why| Error::Internal(format!("repository {}: {why}", self.name)))
    }
}

impl ChartFlows {
    /// Every repository, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn repositories(&self) -> Result<Vec<Repository>> {
        let rows = self
            .inner
            .documents
            .scan_documents(Table::Repositories, "", None, MAX_REPOSITORIES)
            .await?;
        rows.iter().map(|(_, bytes)| read(bytes)).collect()
    }

    /// One repository.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn repository(&self, name: &str) -> Result<Repository> {
        let row = self.inner.documents.read(Table::Repositories, name).await?;
        let shown: String = name.escape_debug().take(80).collect();
        read(&row.ok_or_else(|| Error::not_found("repository", shown))?)
    }

    /// Writes a repository down, new or changed. A credential that is not given again stays, as long
    /// as the host is the same.
    ///
    /// # Errors
    /// `Invalid` with every field.
    pub async fn put_repository(
        &self,
        caller: &Caller,
        name: &str,
        body: Value,
    ) -> Result<Repository> {
        let input = serde_json::from_value(body).map_err(|e| Error::invalid("", unquoted(&e)))?;
        let (mut repository, link, secret) = check(name, input)?;
        repository.updated = rfc3339(self.inner.world.now_ms());
        repository.updated_by.clone_from(&caller.name);
        let known = match self.repository(name).await {
            Ok(known) => Some(known),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        if known.is_none() && self.repositories().await?.len() >= MAX_REPOSITORIES {
            let message = format!("there are {MAX_REPOSITORIES} repositories already");
            return Err(Error::invalid("name", message));
        }
        let (vault, id) = (&self.inner.vault, sealed_id(name));
        match secret {
            Given::Secret(secret) => {
                let sealed = Sealed {
                    authority: link.authority(),
                    ca: repository.ca.clone(),
                    token_hosts: repository.token_hosts.clone(),
                    secret,
                };
                let bytes = serde_json::to_vec(&sealed);
                let bytes = bytes.map_err(|e| Error::Internal(e.to_string()))?;
                vault.seal_bytes(&id, &bytes).await?;
            }
            Given::Kept => {
                if let Some(known) = known.filter(|k| k.credential != CredentialKind::None) {
                    let field = if known.link()?.authority() != link.authority() {
                        Some("url")
                    } else if known.ca != repository.ca {
                        Some("ca")
                    } else if !is_within(&repository.token_hosts, &known.token_hosts) {
                        Some("tokenHosts")
                    } else {
                        None
                    };
                    if let Some(field) = field {
                        let message = "the credential is bound to what was here; give it again, or \"credential\": \"none\"";
                        return Err(Error::invalid(field, message));
                    }
                    repository.credential = known.credential;
                    repository.username = known.username;
                }
            }
            Given::Nothing => vault.erase(&id).await?,
        }
        let row = serde_json::to_vec(&repository).map_err(|e| Error::Internal(e.to_string()))?;
        self.write_repository(caller, "put", name, Some(row))
            .await?;
        Ok(repository)
    }

    /// Forgets a repository and its credential; archives that came from it stay.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete_repository(&self, caller: &Caller, name: &str) -> Result<Repository> {
        let known = self.repository(name).await?;
        self.inner.vault.erase(&sealed_id(name)).await?;
        self.write_repository(caller, "delete", name, None).await?;
        Ok(known)
    }

    async fn write_repository(
        &self,
        caller: &Caller,
        verb: &str,
        name: &str,
        row: Option<Vec<u8>>,
    ) -> Result<()> {
        let inner = &self.inner;
        let written = inner
            .documents
            .write(vec![(Table::Repositories, name.to_owned(), row)])
            .await;
        inner.documents.audit(json!({
            "time": rfc3339(inner.world.now_ms()), "who": caller.name, "verb": verb,
            "kind": "repository", "name": name,
            "outcome": written.as_ref().map_or_else(Error::code, |()| "ok"),
        }));
        written
    }

    /// The repository that an address lies in, the innermost one.
    pub(super) async fn repository_around(
        &self,
        link: &Link,
        kind: RepositoryKind,
    ) -> Result<Option<Repository>> {
        let mut best: Option<(usize, Repository)> = None;
        for repository in self.repositories().await? {
            let base = repository.link()?;
            let path = base.path().trim_end_matches('/');
            let is_around = repository.kind == kind
                && base.authority() == link.authority()
                && link
                    .path()
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if is_around && best.as_ref().is_none_or(|(length, _)| *length < path.len()) {
                best = Some((path.len(), repository));
            }
        }
        Ok(best.map(|(_, repository)| repository))
    }

    /// Adds a repository's CA and credential to a read.
    pub(super) async fn with_access(
        &self,
        mut fetch: Fetch,
        repository: Option<&Repository>,
    ) -> Result<Fetch> {
        let Some(repository) = repository else {
            return Ok(fetch);
        };
        fetch.ca.clone_from(&repository.ca);
        if repository.credential == CredentialKind::None {
            return Ok(fetch);
        }
        let name = &repository.name;
        let bytes = self.inner.vault.open_bytes(&sealed_id(name)).await?;
        let lost = || {
            Error::unavailable(format!(
                "the credential of repository \"{name}\" is not there; give it again"
            ))
        };
        let sealed: Sealed = read(&bytes.ok_or_else(lost)?)?;
        let authority = repository.link()?.authority();
        let is_bound = sealed.authority == authority
            && sealed.ca == repository.ca
            && is_within(&repository.token_hosts, &sealed.token_hosts);
        if !is_bound {
            return Err(lost());
        }
        let secret = Secret::new(sealed.secret);
        fetch.credential = Some(match repository.credential {
            CredentialKind::Token => Credential::Token(secret),
            CredentialKind::Basic | CredentialKind::None => Credential::Basic {
                username: repository.username.clone().unwrap_or_default(),
                password: secret,
            },
        });
        fetch.trusted = vec![authority];
        Ok(fetch)
    }
}

fn is_within(some: &[String], all: &[String]) -> bool {
    some.iter().all(|one| all.contains(one))
}

fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // Never the error's own text: it may quote what is sealed.
    serde_json::from_slice(bytes)
        .map_err(|_| Error::Internal("a repository's record is not readable".into()))
}

fn sealed_id(name: &str) -> String {
    format!("repository/{name}")
}

//! Where a chart comes from: an archive that is kept, an address, a repository, a registry. Whatever
//! is fetched is looked at in the sandbox and kept by digest, as an upload is.

mod index;
mod provenance;
mod registry;
mod repositories;
mod repository_input;
mod versions;

use std::time::Duration;

use bytes::Bytes;

use super::{
    ChartFlows,
    archives::{ArchiveInfo, MAX_ARCHIVE_BYTES},
    request::ChartSource,
};
use crate::{
    error::{Error, FieldError, Result},
    ports::{Fetch, Fetched},
    words::{Caller, FaultReason, Link, sha256},
};

pub use provenance::Provenance;
use registry::Reference;
pub use repositories::{CredentialKind, Repository, RepositoryKind};

/// A signed `Chart.yaml` and a digest.
const MAX_PROVENANCE_BYTES: u64 = 1 << 20;
/// An archive, redirects included.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(120);
/// An index.
const INDEX_TIMEOUT: Duration = Duration::from_secs(60);
/// For a place among those that fetch; slow sources must not keep everybody.
const PLACE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a source came to.
#[derive(Debug)]
struct Obtained {
    /// Where it came from, for people.
    source: String,
    /// `sha256:…`, where the source says it.
    digest: Option<String>,
    /// Absent when the archive of this digest is kept already.
    archive: Option<Bytes>,
    provenance: Option<Bytes>,
}

/// The field of a request that an answer is about.
#[derive(Debug, Clone, Copy)]
enum Field {
    Url,
    Repository,
    Oci,
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Url => "chart.url",
            Self::Repository => "chart.repository",
            Self::Oci => "chart.oci",
        }
    }
}

/// What is wrong with a request's `chart`, from its text alone.
pub(super) fn check(chart: &ChartSource) -> Vec<FieldError> {
    let given = [
        !chart.digest.is_empty(),
        chart.url.is_some(),
        chart.repository.is_some(),
        chart.oci.is_some(),
    ];
    let mut problems = Vec::new();
    if given.iter().filter(|g| **g).count() != 1 {
        let message = "give one of digest, url, repository (with name) and oci";
        problems.push(FieldError::new("chart", message));
        return problems;
    }
    let is_named = chart.name.as_ref().is_some_and(|n| !n.is_empty());
    if chart.repository.is_some() && !is_named {
        problems.push(FieldError::new(
            "chart.name",
            "is missing beside repository",
        ));
    }
    if chart.repository.is_none() && chart.name.is_some() {
        problems.push(FieldError::new("chart.name", "goes with repository only"));
    }
    if chart.version.is_some() && chart.repository.is_none() && chart.oci.is_none() {
        let message = "goes with repository and oci only";
        problems.push(FieldError::new("chart.version", message));
    }
    if let Some(Err(why)) = chart.url.as_deref().map(Link::parse) {
        problems.push(FieldError::new("chart.url", why));
    }
    if let Some(Err(Error::Invalid(fields))) = chart
        .oci
        .as_deref()
        .map(|oci| Reference::parse(oci, chart.version.as_deref()))
    {
        problems.extend(fields);
    }
    problems
}

/// The body of a success; other statuses are the caller's mistake where he can do something.
fn reply(field: Field, answer: Fetched) -> Result<Bytes> {
    let (link, status) = (&answer.link, answer.status);
    match status {
        200 => Ok(answer.body),
        401 | 403 => Err(Error::invalid(
            field.name(),
            format!(
                "{link} refuses us (status {status}); give its repository a credential that may read it"
            ),
        )),
        404 | 410 => Err(Error::invalid(
            field.name(),
            format!("{link} is not there (status {status})"),
        )),
        _ => Err(Error::Source(format!(
            "{link} answered with status {status}"
        ))),
    }
}

impl ChartFlows {
    /// The digest of the archive that a request means; it is kept when this returns.
    ///
    /// # Errors
    /// `Invalid` on the field that the caller can change, `NotFound` for an archive or a repository,
    /// `Source` when a repository fails or answers nonsense, and what the loader says of the archive.
    pub async fn obtain(&self, caller: &Caller, chart: &ChartSource) -> Result<String> {
        let problems = check(chart);
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        if !chart.digest.is_empty() {
            self.usable_archive(&chart.digest).await?;
            return Ok(chart.digest.clone());
        }
        // Each may hold an archive and an index.
        let place = tokio::time::timeout(PLACE_TIMEOUT, self.inner.fetches.acquire());
        let _place = place.await.map_err(|_| Error::Busy {
            message: "charts of other requests are being fetched".into(),
            retry_after: INDEX_TIMEOUT,
        })?;
        let obtained = if let Some(url) = &chart.url {
            self.fetch_address(url).await?
        } else if let Some(oci) = &chart.oci {
            let reference = Reference::parse(oci, chart.version.as_deref())?;
            let link = reference.link()?;
            let around = self.repository_around(&link, RepositoryKind::Oci).await?;
            registry::pull(self, &reference, around.as_ref()).await?
        } else {
            self.fetch_listed(chart).await?
        };
        match (obtained.archive, obtained.digest) {
            (None, Some(digest)) => {
                self.sign(&digest, obtained.provenance).await?;
                Ok(digest)
            }
            (Some(bytes), digest) => {
                if digest.is_some_and(|d| d != sha256(&bytes)) {
                    return Err(Error::Source(format!(
                        "{}: what came has another digest than the index says",
                        obtained.source
                    )));
                }
                let (prov, source) = (obtained.provenance, Some(obtained.source));
                let kept = self.keep_from(caller, bytes, prov, source).await?;
                Ok(kept.digest)
            }
            (None, None) => Err(Error::Internal("a source without an archive".into())),
        }
    }

    async fn fetch_address(&self, url: &str) -> Result<Obtained> {
        let link = Link::parse(url).map_err(|why| Error::invalid("chart.url", why))?;
        let around = self.repository_around(&link, RepositoryKind::Index).await?;
        let archive = self.download(Field::Url, &link, around.as_ref()).await?;
        let provenance = self.provenance_of(Field::Url, &link, around.as_ref());
        Ok(Obtained {
            source: link.to_string(),
            digest: None,
            archive: Some(archive),
            provenance: provenance.await?,
        })
    }

    async fn fetch_listed(&self, chart: &ChartSource) -> Result<Obtained> {
        let (name, version) = (chart.repository.as_deref(), chart.version.as_deref());
        let repository = self.repository(name.unwrap_or_default()).await?;
        let wanted = chart.name.as_deref().unwrap_or_default();
        let base = repository.link()?;
        if repository.kind == RepositoryKind::Oci {
            let address = format!("{}/{wanted}", repository.url);
            if wanted.contains([':', '@']) {
                let message = "must be the chart's name alone; the version goes into chart.version";
                return Err(Error::invalid("chart.name", message));
            }
            let reference = Reference::parse(&address, version).map_err(|_| {
                Error::invalid("chart.name", "is no repository's name of a registry")
            })?;
            return registry::pull(self, &reference, Some(&repository)).await;
        }
        let at = base.below("index.yaml");
        let at =
            at.map_err(|why| Error::Internal(format!("repository {}: {why}", repository.name)))?;
        let fetch = Fetch::new(at.clone(), index::MAX_INDEX_BYTES, INDEX_TIMEOUT);
        let fetch = self.with_access(fetch, Some(&repository)).await?;
        let body = reply(
            Field::Repository,
            self.fetch(Field::Repository, fetch).await?,
        )?;
        let (wanted, version) = (wanted.to_owned(), version.map(str::to_owned));
        // A large index takes a second.
        let parsed = tokio::task::spawn_blocking(move || {
            index::find(&body, &at, &base, &wanted, version.as_deref())
        });
        let listed = parsed.await;
        let listed = listed.map_err(|e| Error::Internal(format!("an index: {e}")))??;
        let known = match &listed.digest {
            Some(digest) => self.usable_archive(digest).await.ok(),
            None => None,
        };
        let mut obtained = Obtained {
            source: listed.link.to_string(),
            digest: listed.digest,
            archive: None,
            provenance: None,
        };
        let (field, repository) = (Field::Repository, Some(&repository));
        if known.is_none() {
            obtained.archive = Some(self.download(field, &listed.link, repository).await?);
        }
        if self.wants_provenance(known.as_ref()) {
            obtained.provenance = self.provenance_of(field, &listed.link, repository).await?;
        }
        Ok(obtained)
    }

    /// Whether a signature is looked for: there is a keyring, and that of the kept archive is not known yet.
    fn wants_provenance(&self, known: Option<&ArchiveInfo>) -> bool {
        self.inner.provenance.get().is_some() && known.is_none_or(|k| k.signed_by.is_none())
    }

    /// The `.prov` beside an archive, where there is a keyring to check it and it is there.
    async fn provenance_of(
        &self,
        field: Field,
        archive: &Link,
        repository: Option<&Repository>,
    ) -> Result<Option<Bytes>> {
        if !self.wants_provenance(None) {
            return Ok(None);
        }
        let link = archive.clone().with_suffix(".prov");
        let fetch = Fetch::new(link, MAX_PROVENANCE_BYTES, INDEX_TIMEOUT);
        let fetch = self.with_access(fetch, repository).await?;
        let answer = self.fetch(field, fetch).await?;
        // Stores of objects say 403 for what is not there.
        if matches!(answer.status, 403 | 404 | 410) {
            return Ok(None);
        }
        reply(field, answer).map(Some)
    }

    async fn download(
        &self,
        field: Field,
        link: &Link,
        repository: Option<&Repository>,
    ) -> Result<Bytes> {
        let fetch = Fetch {
            is_packed: true,
            ..Fetch::new(link.clone(), MAX_ARCHIVE_BYTES as u64, ARCHIVE_TIMEOUT)
        };
        let fetch = self.with_access(fetch, repository).await?;
        reply(field, self.fetch(field, fetch).await?)
    }

    async fn fetch(&self, field: Field, fetch: Fetch) -> Result<Fetched> {
        let (link, limit_bytes) = (fetch.link.clone(), fetch.limit_bytes);
        self.inner.fetcher.fetch(fetch).await.map_err(|fault| {
            let reason = fault.reason.reason();
            match fault.reason {
                FaultReason::Denied | FaultReason::BadConfig => {
                    Error::invalid(field.name(), format!("{link}: {}", fault.message))
                }
                FaultReason::Timeout => Error::Timeout(format!("{link}: {}", fault.message)),
                FaultReason::TooLarge => Error::TooLarge {
                    what: format!("what {link} sends"),
                    limit_bytes,
                },
                _ => Error::Source(format!("{link}: {reason}: {}", fault.message)),
            }
        })
    }
}

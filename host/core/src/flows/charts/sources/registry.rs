//! Charts in OCI registries: the three reads of the distribution protocol (tags, manifest, blob), and
//! the exchange of the repository's credential for a token where a registry wants that.

use std::time::Duration;

use serde::Deserialize;

use super::{
    Field, MAX_PROVENANCE_BYTES, Obtained, index, reply, repositories::Repository, versions,
};
use crate::{
    error::{Error, Result},
    flows::charts::{ChartFlows, archives::MAX_ARCHIVE_BYTES},
    ports::{Fetch, Fetched},
    words::{Credential, Link, Secret, sha256},
};

const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const CONTENT: [&str; 2] = [
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    // As charts were pushed before Helm 3.7.
    "application/tar+gzip",
];
const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// As registries bound them.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;
const MAX_TAGS_BYTES: u64 = 8 << 20;
const MAX_TOKEN_BYTES: u64 = 256 << 10;
const SMALL: Duration = Duration::from_secs(30);
const LARGE: Duration = Duration::from_secs(120);
/// Of a tag; the protocol's.
const MAX_TAG_BYTES: usize = 128;

/// What an `oci://` address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    host: Link,
    /// `charts/web`.
    repository: String,
    /// A tag, or `sha256:…` of the manifest.
    tag: Option<String>,
    /// Without a tag: a version or a range of versions; absent = the newest.
    range: Option<String>,
}

impl Reference {
    /// `oci://host[:port]/path/name[:tag|@sha256:…]`; a version apart excludes one in the address.
    pub(super) fn parse(text: &str, version: Option<&str>) -> Result<Self> {
        let bad = |why: String| {
            Error::invalid(
                "chart.oci",
                format!("{why}; as in oci://host/charts/name:1.2.3"),
            )
        };
        let rest = text
            .strip_prefix("oci://")
            .ok_or_else(|| bad("must begin with oci://".into()))?;
        let (authority, path) = rest
            .split_once('/')
            .ok_or_else(|| bad("names no chart".into()))?;
        let host = Link::parse(&format!("https://{authority}/")).map_err(bad)?;
        let (repository, named) = match path.split_once('@') {
            Some((repository, digest)) => {
                let digest = index::digest(digest).filter(|_| digest.starts_with("sha256:"));
                let digest = digest
                    .ok_or_else(|| bad("after @ there must be sha256: and 64 digits".into()))?;
                (repository, Some(digest))
            }
            None => match path.split_once(':') {
                Some((repository, tag)) => (repository, Some(tag.to_owned())),
                None => (path, None),
            },
        };
        if !repository.split('/').all(is_component) {
            return Err(bad("its path is no repository's name".into()));
        }
        if let Some(tag) = named.as_deref().filter(|n| !n.starts_with("sha256:"))
            && !is_tag(tag)
        {
            return Err(bad("its tag is none".into()));
        }
        if named.is_some() && version.is_some() {
            let message = "the address names a version already";
            return Err(Error::invalid("chart.version", message));
        }
        Ok(Self {
            host,
            repository: repository.to_owned(),
            tag: named,
            range: version.map(str::to_owned),
        })
    }

    /// What of the registry's repositories it may lie in.
    pub(super) fn link(&self) -> Result<Link> {
        let link = self.host.join(&format!("/{}", self.repository));
        link.map_err(|why| Error::invalid("chart.oci", why))
    }

    fn part(&self, what: &str) -> Result<Link> {
        let link = self.host.join(&format!("/v2/{}/{what}", self.repository));
        link.map_err(|why| Error::invalid("chart.oci", why))
    }
}

fn is_component(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text
            .chars()
            .all(|c| is_edge(c) || matches!(c, '.' | '_' | '-'))
}

fn is_tag(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_TAG_BYTES
        && text.starts_with(is_first)
        && text.chars().all(|c| is_first(c) || matches!(c, '.' | '-'))
}

#[derive(Debug, Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    config: Blob,
    #[serde(default)]
    layers: Vec<Blob>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

/// One pull: what the registry is to be shown.
struct Session<'a> {
    flows: &'a ChartFlows,
    repository: Option<&'a Repository>,
    bearer: Option<Secret<String>>,
}

/// Pulls a chart; an archive that is kept already is not pulled again.
pub(super) async fn pull(
    flows: &ChartFlows,
    reference: &Reference,
    repository: Option<&Repository>,
) -> Result<Obtained> {
    let mut session = Session {
        flows,
        repository,
        bearer: None,
    };
    let (tag, version) = session.tag(reference).await?;
    let link = reference.part(&format!("manifests/{tag}"))?;
    let answer = session
        .get(&link, MANIFEST, MAX_MANIFEST_BYTES, SMALL, false)
        .await?;
    let body = reply(Field::Oci, answer)?;
    if tag.starts_with("sha256:") {
        check_digest(&link, &body, &tag)?;
    }
    let nonsense = |why: &str| Error::Source(format!("{link} is no Helm chart: {why}"));
    let manifest: Manifest =
        serde_json::from_slice(&body).map_err(|_| nonsense("it is no image manifest"))?;
    if manifest.config.media_type != CONFIG {
        return Err(nonsense("its configuration is another artifact's"));
    }
    let layer = |kinds: &[&str]| {
        let mut found = manifest.layers.iter();
        found.find(|l| kinds.contains(&l.media_type.as_str()))
    };
    let content = layer(&CONTENT).ok_or_else(|| nonsense("it has no layer with a chart"))?;
    let digest = index::digest(&content.digest)
        .ok_or_else(|| nonsense("its layer's digest is no SHA-256"))?;
    if content.size > MAX_ARCHIVE_BYTES as u64 {
        return Err(Error::TooLarge {
            what: format!("the chart {link}"),
            limit_bytes: MAX_ARCHIVE_BYTES as u64,
        });
    }
    let mut obtained = Obtained {
        source: format!(
            "oci://{}/{}:{version}",
            reference.host.authority(),
            reference.repository
        ),
        digest: Some(digest.clone()),
        archive: None,
        provenance: None,
    };
    let known = flows.usable_archive(&digest).await.ok();
    if let Some(prov) = layer(&[PROVENANCE]).filter(|_| flows.wants_provenance(known.as_ref())) {
        let digest = index::digest(&prov.digest)
            .ok_or_else(|| nonsense("its provenance's digest is no SHA-256"))?;
        let blob = session
            .blob(reference, &digest, MAX_PROVENANCE_BYTES)
            .await?;
        obtained.provenance = Some(blob);
    }
    if known.is_none() {
        let blob = session
            .blob(reference, &digest, MAX_ARCHIVE_BYTES as u64)
            .await?;
        obtained.archive = Some(blob);
    }
    Ok(obtained)
}

fn check_digest(link: &Link, body: &[u8], wanted: &str) -> Result<()> {
    if sha256(body) == wanted {
        return Ok(());
    }
    Err(Error::Source(format!(
        "{link}: what came has another digest than {wanted}"
    )))
}

impl Session<'_> {
    /// The tag to read, and the version as it is shown.
    async fn tag(&mut self, reference: &Reference) -> Result<(String, String)> {
        if let Some(tag) = &reference.tag {
            return Ok((tag.clone(), tag.clone()));
        }
        if let Some(version) = reference.range.as_deref().filter(|r| versions::is_whole(r)) {
            // Tags cannot hold a plus.
            return Ok((version.replace('+', "_"), version.to_owned()));
        }
        let link = reference.part("tags/list")?;
        let answer = self
            .get(&link, "application/json", MAX_TAGS_BYTES, SMALL, false)
            .await?;
        let body = reply(Field::Oci, answer)?;
        let tags: Tags = serde_json::from_slice(&body)
            .map_err(|_| Error::Source(format!("{link} is no list of tags")))?;
        let versions: Vec<String> = tags
            .tags
            .unwrap_or_default()
            .iter()
            .filter(|tag| is_tag(tag))
            .map(|tag| tag.replace('_', "+"))
            .collect();
        let all = versions.iter().map(String::as_str);
        let chosen = versions::choose(all, reference.range.as_deref())
            .map_err(|why| Error::invalid("chart.version", format!("{link}: {why}")))?;
        Ok((chosen.replace('+', "_"), chosen.to_owned()))
    }

    async fn blob(
        &mut self,
        reference: &Reference,
        digest: &str,
        limit: u64,
    ) -> Result<bytes::Bytes> {
        let link = reference.part(&format!("blobs/{digest}"))?;
        let answer = self.get(&link, "*/*", limit, LARGE, true).await?;
        let body = reply(Field::Oci, answer)?;
        check_digest(&link, &body, digest)?;
        Ok(body)
    }

    async fn get(
        &mut self,
        link: &Link,
        accept: &str,
        limit_bytes: u64,
        timeout: Duration,
        is_packed: bool,
    ) -> Result<Fetched> {
        let plain = Fetch {
            accept: Some(accept.to_owned()),
            is_packed,
            ca: self.repository.and_then(|r| r.ca.clone()),
            ..Fetch::new(link.clone(), limit_bytes, timeout)
        };
        let first = self
            .flows
            .fetch(Field::Oci, self.shown(plain.clone()).await?)
            .await?;
        let has_token = self.bearer.is_some();
        if first.status != 401 || has_token {
            return Ok(first);
        }
        let Some(challenge) = first.challenges.iter().find_map(|c| bearer(c)) else {
            return Ok(first);
        };
        self.bearer = Some(self.token(&challenge, link).await?);
        self.flows.fetch(Field::Oci, self.shown(plain).await?).await
    }

    /// With what the registry is shown: the token that it gave, else the repository's own.
    async fn shown(&self, mut fetch: Fetch) -> Result<Fetch> {
        match &self.bearer {
            Some(token) => {
                fetch.trusted = vec![fetch.link.authority()];
                fetch.credential = Some(Credential::Token(token.clone()));
                Ok(fetch)
            }
            None => self.flows.with_access(fetch, self.repository).await,
        }
    }

    /// Asks where the registry says for a token. Another host gets the credential only where the
    /// repository names it.
    async fn token(&self, challenge: &Challenge, registry: &Link) -> Result<Secret<String>> {
        let nonsense = |why: String| Error::Source(format!("{} {why}", registry.authority()));
        let realm = Link::parse(&challenge.realm)
            .map_err(|why| nonsense(format!("sends us for a token to an address that {why}")))?;
        let mut link = realm;
        for (name, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
            if let Some(value) = value {
                link = link.with_parameter(name, value);
            }
        }
        let host = link.authority();
        let fetch = Fetch {
            accept: Some("application/json".into()),
            ca: self.repository.and_then(|r| r.ca.clone()),
            ..Fetch::new(link, MAX_TOKEN_BYTES, SMALL)
        };
        let mut fetch = self.flows.with_access(fetch, self.repository).await?;
        if let Some(repository) = self.repository.filter(|_| fetch.credential.is_some()) {
            fetch.trusted.extend(repository.token_hosts.iter().cloned());
        }
        let was_trusted = fetch.credential.is_none() || fetch.trusted.contains(&host);
        let answer = self.flows.fetch(Field::Oci, fetch).await?;
        if !was_trusted && answer.status == 401 {
            let message = format!(
                "{} issues its tokens at {host}, which does not get the repository's credential; name it in tokenHosts",
                registry.authority()
            );
            return Err(Error::invalid("chart.repository", message));
        }
        let body = reply(Field::Oci, answer)?;
        let token: Token = serde_json::from_slice(&body)
            .map_err(|_| nonsense(format!("issues its tokens at {host}, which sent none")))?;
        let token = token.token.or(token.access_token).filter(|t| !t.is_empty());
        token
            .map(Secret::new)
            .ok_or_else(|| nonsense(format!("issues its tokens at {host}, which sent none")))
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
    scope: Option<String>,
}

/// `Bearer realm="…",service="…",scope="…"`.
fn bearer(header: &str) -> Option<Challenge> {
    let (scheme, mut rest) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut challenge = Challenge::default();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        let Some((name, after)) = rest.split_once('=') else {
            break;
        };
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "realm" => value.clone_into(&mut challenge.realm),
            "service" => challenge.service = Some(value.to_owned()),
            "scope" => challenge.scope = Some(value.to_owned()),
            _ => {}
        }
        rest = after;
    }
    Some(challenge).filter(|c| !c.realm.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_host_repository_and_version() {
        let parse = |text: &str, version| Reference::parse(text, version);
        let reference = parse("oci://R.example:5000/charts/web:1.2.3_b1", None).unwrap();
        assert_eq!(reference.host.authority(), "r.example:5000");
        assert_eq!(reference.repository, "charts/web");
        assert_eq!(reference.tag.as_deref(), Some("1.2.3_b1"));
        let reference = parse("oci://r/web", Some("1.2.3+b1")).unwrap();
        assert_eq!(reference.range.as_deref(), Some("1.2.3+b1"));
        let digest = format!("sha256:{}", "a".repeat(64));
        let reference = parse(&format!("oci://r/web@{digest}"), None).unwrap();
        assert_eq!(reference.tag, Some(digest));
        for bad in [
            "https://r/web",
            "oci://r",
            "oci://r/",
            "oci://r/Web",
            "oci://r/../x",
            "oci://r/a//b",
            "oci://u:p@r/web",
            "oci://r/web:a/b",
            "oci://r/web@sha256:1",
            "oci://r/web?x=1",
        ] {
            assert!(parse(bad, None).is_err(), "{bad}");
        }
        assert!(parse("oci://r/web:1", Some("2")).is_err());
    }

    #[test]
    fn challenges_are_taken_apart() {
        let header = r#"Bearer realm="https://auth.example/token",service="r",scope="repository:a/b:pull,push""#;
        let challenge = bearer(header).unwrap();
        assert_eq!(challenge.realm, "https://auth.example/token");
        assert_eq!(challenge.scope.as_deref(), Some("repository:a/b:pull,push"));
        for none in [
            "Basic realm=\"x\"",
            "Bearer",
            "Bearer service=\"x\"",
            "Bearer realm=\"x",
        ] {
            assert_eq!(bearer(none), None, "{none}");
        }
    }
}

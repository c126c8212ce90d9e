//! `index.yaml` of a classic repository.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::versions;
use crate::{
    error::{Error, Result},
    words::Link,
};

/// Larger indexes exist, but none that anybody should be asked to parse at each install.
pub(super) const MAX_INDEX_BYTES: u64 = 48 << 20;
/// A scalar, a key or a bracket each.
const MAX_EVENTS: usize = 8_000_000;

#[derive(Debug, Deserialize)]
struct Index {
    #[serde(default)]
    entries: BTreeMap<String, Option<Vec<Entry>>>,
}

/// What we need of an entry; the rest is for people who browse.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    version: String,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    digest: Option<String>,
}

/// A chart that an index lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) version: String,
    pub(super) link: Link,
    /// `sha256:…` of the archive, where the index says it.
    pub(super) digest: Option<String>,
}

/// Finds a chart.
///
/// # Errors
/// `Source` when this is no index, `Invalid` on `chart.name` or `chart.version`.
pub(super) fn find(
    index: &[u8],
    at: &Link,
    base: &Link,
    name: &str,
    version: Option<&str>,
) -> Result<Listed> {
    let shown: String = name.escape_debug().take(80).collect();
    let index = parse(index, at)?;
    let entries = index.entries.get(name).and_then(Option::as_ref);
    let entries = entries.filter(|e| !e.is_empty()).ok_or_else(|| {
        let message = format!("{at} lists no chart \"{shown}\", but {}", names(&index));
        Error::invalid("chart.name", message)
    })?;
    let chosen =
        versions::choose(entries.iter().map(|e| e.version.as_str()), version).map_err(|why| {
            Error::invalid("chart.version", format!("chart \"{shown}\" in {at}: {why}"))
        })?;
    let nonsense = |why: String| Error::Source(format!("{at}: {shown} {}: {why}", one(chosen)));
    let entry = entries.iter().find(|e| e.version == chosen);
    let url = entry.and_then(|e| e.urls.first());
    let url = url.ok_or_else(|| nonsense("the index names no address".into()))?;
    let link = base
        .below(url)
        .map_err(|why| nonsense(format!("its address {why}")))?;
    let digest = entry
        .and_then(|e| e.digest.as_deref())
        .filter(|d| !d.is_empty())
        .map(|text| digest(text).ok_or_else(|| nonsense("its digest is no SHA-256".into())));
    Ok(Listed {
        version: chosen.to_owned(),
        link,
        digest: digest.transpose()?,
    })
}

fn parse(bytes: &[u8], at: &Link) -> Result<Index> {
    let nonsense = |why: String| Error::Source(format!("{at} is no index of charts{why}"));
    let text = std::str::from_utf8(bytes).map_err(|_| nonsense(": it is not UTF-8".into()))?;
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: MAX_EVENTS,
            max_nodes: MAX_EVENTS,
            max_total_scalar_bytes: 64 << 20,
            max_documents: 1,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location();
        nonsense(place.map_or_else(String::new, |l| {
            format!(": line {}, column {}", l.line(), l.column())
        }))
    })
}

/// `sha256:` and 64 digits; indexes leave the prefix out.
pub(super) fn digest(text: &str) -> Option<String> {
    let hex = text
        .strip_prefix("sha256:")
        .unwrap_or(text)
        .to_ascii_lowercase();
    let is_hex = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| format!("sha256:{hex}"))
}

fn one(text: &str) -> String {
    text.escape_debug().take(80).collect()
}

fn names(index: &Index) -> String {
    let shown: Vec<String> = index.entries.keys().take(8).map(|n| one(n)).collect();
    match (shown.len(), index.entries.len()) {
        (0, _) => "nothing at all".into(),
        (some, all) if some < all => format!("{} and {} more", shown.join(", "), all - some),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "
apiVersion: v1
entries:
  web:
  - version: 1.0.0
    digest: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
    urls: [web-1.0.0.tgz]
  - version: 1.1.0
    urls: ['https://elsewhere.example/web-1.1.0.tgz']
  - version: 2.0.0-rc.1
    urls: []
  empty: []
  nothing:
generated: 2026-01-01T00:00:00Z
";

    fn look(name: &str, version: Option<&str>) -> Result<Listed> {
        let base = Link::parse("https://charts.example/stable").unwrap();
        let at = base.below("index.yaml").unwrap();
        find(INDEX.as_bytes(), &at, &base, name, version)
    }

    #[test]
    fn addresses_are_relative_to_the_repository_or_absolute() {
        let newest = look("web", None).unwrap();
        assert_eq!(
            newest.link.to_string(),
            "https://elsewhere.example/web-1.1.0.tgz"
        );
        assert_eq!((newest.version.as_str(), newest.digest), ("1.1.0", None));
        let older = look("web", Some("1.0.0")).unwrap();
        assert_eq!(
            older.link.to_string(),
            "https://charts.example/stable/web-1.0.0.tgz"
        );
        assert_eq!(older.digest, Some(format!("sha256:{}", "a".repeat(64))));
    }

    #[test]
    fn what_is_not_listed_is_the_callers_mistake_and_nonsense_is_the_repositorys() {
        for (name, version, field) in [
            ("nope", None, "chart.name"),
            ("empty", None, "chart.name"),
            ("nothing", None, "chart.name"),
            ("web", Some("9"), "chart.version"),
        ] {
            let Err(Error::Invalid(fields)) = look(name, version) else {
                panic!("{name}")
            };
            assert_eq!(fields[0].field, field);
        }
        let error = look("web", Some("2.0.0-rc.1")).unwrap_err();
        assert!(
            matches!(&error, Error::Source(m) if m.contains("no address")),
            "{error}"
        );
        let base = Link::parse("https://a/").unwrap();
        for bad in [
            "<html>",
            "[]",
            "entries: 3",
            "entries: {web: 1}",
            "\u{0}",
            "a: &a [*a, *a]\nentries: *a",
        ] {
            let error = find(bad.as_bytes(), &base, &base, "web", None).unwrap_err();
            assert!(matches!(error, Error::Source(_)), "{bad}: {error}");
        }
        for bad in [
            "entries: {web: [{version: 1.0.0, urls: ['http://a/x.tgz']}]}",
            "entries: {web: [{version: 1.0.0, urls: [x.tgz], digest: abc}]}",
        ] {
            let error = find(bad.as_bytes(), &base, &base, "web", None).unwrap_err();
            assert!(matches!(error, Error::Source(_)), "{bad}: {error}");
        }
    }
}

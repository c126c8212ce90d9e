//! Releases as Tiller writes them down: ConfigMaps that can be read while it is away.

use std::{collections::BTreeMap, io::Read};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use optikon_plugin_sdk::{
    Error, Requester,
    api::{Api, ListOptions},
};
use prost::Message;
use serde_json::Value;

use crate::wire::{Release, ReleaseHead, Revision};

/// What a record may unpack to: a ConfigMap holds 1 MiB, and text packs to a tenth at best.
const MAX_UNPACKED: u64 = 64 << 20;
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];
/// Records of one page.
const PAGE: u32 = 50;
/// Pages of one list.
const MAX_PAGES: usize = 200;

/// A record's text as one revision.
fn decoded<M: Message + Default>(text: &str) -> Result<M, Error> {
    let unreadable = || Error::unsupported("a record of Tiller is not readable");
    let bytes = STANDARD
        .decode(text.trim().as_bytes())
        .map_err(|_| unreadable())?;
    if !bytes.starts_with(&GZIP) {
        return M::decode(bytes.as_slice()).map_err(|_| unreadable());
    }
    let mut plain = Vec::new();
    GzDecoder::new(bytes.as_slice())
        .take(MAX_UNPACKED + 1)
        .read_to_end(&mut plain)
        .map_err(|_| unreadable())?;
    if plain.len() as u64 > MAX_UNPACKED {
        return Err(Error::too_large(
            "a record of Tiller unpacks to more than 64 MiB",
        ));
    }
    M::decode(plain.as_slice()).map_err(|_| unreadable())
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Hands over each record that these labels select: the object, and of its labels name and version, and its text.
async fn each<C: Requester>(
    cluster: &C,
    namespace: &str,
    selector: &str,
    mut take: impl FnMut(&str, (&str, i32), &str),
) -> Result<(), Error> {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let mut next = None;
    for _ in 0..MAX_PAGES {
        let options = ListOptions {
            selector: selector.to_owned(),
            limit: PAGE,
            name: None,
            next,
        };
        let page = Api(cluster).list(&path, options).await?;
        for item in &page.items {
            let version = text(item, "/metadata/labels/VERSION").parse().unwrap_or(0);
            let name = text(item, "/metadata/labels/NAME");
            let object = text(item, "/metadata/name");
            take(object, (name, version), text(item, "/data/release"));
        }
        next = page.next;
        if next.is_none() {
            return Ok(());
        }
    }
    Err(Error::too_large("Tiller has more records than are read"))
}

/// The newest revision of every release whose name fits.
///
/// # Errors
/// What the server says.
pub(crate) async fn list<C: Requester, R: Revision>(
    cluster: &C,
    tillers: &str,
    namespace: Option<&str>,
    fits: impl Fn(&str) -> bool,
) -> Result<Vec<R>, Error> {
    let mut newest: BTreeMap<String, (i32, String)> = BTreeMap::new();
    each(
        cluster,
        tillers,
        "OWNER=TILLER",
        |_, (name, version), text| {
            if newest.get(name).is_none_or(|(known, _)| *known < version) {
                newest.insert(name.to_owned(), (version, text.to_owned()));
            }
        },
    )
    .await?;
    let mut found = Vec::new();
    for (name, (_, text)) in newest {
        // One that cannot be read is no reason to show none.
        if let Some(head) = fits(&name).then(|| decoded::<R>(&text).ok()).flatten()
            && namespace.is_none_or(|wanted| wanted == head.namespace())
        {
            found.push(head);
        }
    }
    Ok(found)
}

/// The revisions of one release, newest first.
///
/// # Errors
/// What the server says.
pub(crate) async fn history<C: Requester>(
    cluster: &C,
    tillers: &str,
    name: &str,
) -> Result<Vec<ReleaseHead>, Error> {
    let mut found = Vec::new();
    each(cluster, tillers, &selector(name)?, |_, _, text| {
        found.extend(decoded::<ReleaseHead>(text).ok());
    })
    .await?;
    found.sort_by_key(|head| std::cmp::Reverse(head.version));
    Ok(found)
}

/// A revision and the ConfigMap that it is kept in.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) object: String,
    pub(crate) release: Release,
}

/// Every revision of one release whole, oldest first.
///
/// # Errors
/// What the server says; `unsupported` when one of them is not readable.
pub(crate) async fn records<C: Requester>(
    cluster: &C,
    tillers: &str,
    name: &str,
) -> Result<Vec<Record>, Error> {
    let mut found = Vec::new();
    each(cluster, tillers, &selector(name)?, |object, _, text| {
        found.push((object.to_owned(), text.to_owned()));
    })
    .await?;
    let records = found
        .into_iter()
        .map(|(object, text)| decoded(&text).map(|release| Record { object, release }));
    let mut records = records.collect::<Result<Vec<_>, _>>()?;
    records.sort_by_key(|record| record.release.version);
    Ok(records)
}

/// One revision whole, 0 for the newest.
///
/// # Errors
/// What the server says.
pub(crate) async fn content<C: Requester>(
    cluster: &C,
    tillers: &str,
    name: &str,
    version: u32,
) -> Result<Option<Release>, Error> {
    let wanted = i32::try_from(version).unwrap_or(i32::MAX);
    let mut best: Option<(i32, String)> = None;
    each(
        cluster,
        tillers,
        &selector(name)?,
        |_, (_, version), text| {
            let is_better = best.as_ref().is_none_or(|(known, _)| *known < version);
            if version == wanted || (wanted == 0 && is_better) {
                best = Some((version, text.to_owned()));
            }
        },
    )
    .await?;
    best.map(|(_, text)| decoded(&text)).transpose()
}

/// A name that is no label value is that of no release.
fn selector(name: &str) -> Result<String, Error> {
    let is_name = !name.is_empty()
        && name.len() <= 53
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if is_name {
        Ok(format!("OWNER=TILLER,NAME={name}"))
    } else {
        Err(Error::not_found(format!("release \"{name}\" is not there")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    #[test]
    fn a_record_is_read_packed_and_bare() {
        let release = Release {
            name: "web".into(),
            version: 3,
            ..Release::default()
        };
        let bytes = release.encode_to_vec();
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&bytes).unwrap();
        for bytes in [bytes, packed.finish().unwrap()] {
            let text = STANDARD.encode(bytes);
            assert_eq!(decoded::<Release>(&text).unwrap(), release);
            assert_eq!(decoded::<ReleaseHead>(&text).unwrap(), release.head());
        }
        assert!(decoded::<Release>("?").is_err());
    }

    #[test]
    fn a_name_cannot_widen_the_selection() {
        assert!(selector("web,OWNER!=x").is_err());
        assert!(selector("web-1").is_ok());
    }
}

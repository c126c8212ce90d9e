//! A registry plugin to begin with: one key of `kv` a cluster, and a region for those that bring none.
//!
//! It does not keep conditions and does not watch, and says so in `supported`; the gateway then serves conditions itself
//! and lists from time to time. A registry in front of another system keeps this shape: instead of `HostKeys` it asks
//! `upstream::connect("inventory".into()).await?`.

use optikon_plugin_sdk::{
    Document, Error, ErrorCode, HostKeys, Keys, Selector, check_expected, clock, configuration,
    export_registry,
    kv::{Entry, Expectation},
    log,
    paging::{Fetched, filtered},
    random,
    registry::{EventReader, Guest, Object, Page},
    uuid,
};
use serde_json::{Value, json};

struct OwnRegistry;

export_registry!(OwnRegistry);

const PREFIX: &str = "clusters/";

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn missing(name: &str) -> Error {
    Error::not_found(format!("cluster \"{name}\" is not registered"))
}

/// What the gateway gets to see: the object with its revision in it.
fn object(mut document: Document, version: u64) -> Object {
    let revision = version.to_string();
    document.set_metadata("resourceVersion", Some(revision.clone().into()));
    Object {
        name: document.name().to_owned(),
        json: document.to_json(),
        revision,
    }
}

fn parse(entry: &Entry) -> Result<Document, Error> {
    let text = String::from_utf8_lossy(&entry.value);
    Document::parse(&text).map_err(|e| Error::internal(format!("{}: {}", entry.key, e.message)))
}

/// The present state, if it is the one that the caller means.
async fn present(
    name: &str,
    uid: Option<&str>,
    expect: Option<&str>,
) -> Result<(Document, Entry), Error> {
    let entry = HostKeys.get(&key(name)).await?;
    let entry = entry.ok_or_else(|| missing(name))?;
    let document = parse(&entry)?;
    document.check_uid(uid)?;
    check_expected(&entry.version.to_string(), expect)?;
    Ok((document, entry))
}

/// Somebody else wrote between our read and our write. Whoever expected a revision learns that at the next read; the
/// others go on until they win.
fn lost_race(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Conflict | ErrorCode::NotFound)
}

impl Guest for OwnRegistry {
    fn supported() -> Vec<String> {
        ["object-references", "providers"].map(str::to_owned).into()
    }

    async fn check() -> Result<(), Error> {
        HostKeys.get(PREFIX).await.map(drop)
    }

    async fn list_clusters(
        selector: String,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page, Error> {
        let selector = Selector::parse(&selector)?;
        let fetch = async |limit, next| {
            let page = HostKeys.scan(PREFIX, limit, next).await?;
            Ok(Fetched {
                items: page.entries,
                revision: page.version.to_string(),
                next: page.next,
            })
        };
        let keep = |entry: Entry| {
            let document = parse(&entry)?;
            let is_selected = selector.matches(&document.labels());
            Ok(is_selected.then(|| object(document, entry.version)))
        };
        let page = filtered(limit, next, fetch, keep).await?;
        Ok(Page {
            items: page.items,
            revision: page.revision,
            next: page.next,
            remaining: None,
        })
    }

    async fn get(name: String) -> Result<Object, Error> {
        let (document, entry) = present(&name, None, None).await?;
        Ok(object(document, entry.version))
    }

    async fn create(json: String, dry_run: bool) -> Result<Object, Error> {
        let mut document = Document::parse(&json)?;
        let name = document.name().to_owned();
        let taken = || Error::already_exists(format!("cluster \"{name}\" is already registered"));
        document.begin(&uuid(&random::bytes(16)), clock::now_ms());
        let config: Value = configuration()?;
        let mut labels = json!(document.labels());
        if let (Some(region), None) = (config.get("region"), labels.get("region")) {
            if let Some(labels) = labels.as_object_mut() {
                labels.insert("region".into(), region.clone());
            }
            document.set_metadata("labels", Some(labels));
        }
        if dry_run {
            return match HostKeys.get(&key(&name)).await? {
                Some(_) => Err(taken()),
                None => Ok(object(document, 0)),
            };
        }
        let bytes = document.to_json().into_bytes();
        match HostKeys.put(&key(&name), bytes, Expectation::Absent).await {
            Err(error) if error.code == ErrorCode::Conflict => Err(taken()),
            Err(error) => Err(error),
            Ok(version) => {
                log::info!("a new cluster"; "cluster" = name);
                Ok(object(document, version))
            }
        }
    }

    async fn update(json: String, expect: Option<String>, dry_run: bool) -> Result<Object, Error> {
        let wanted = Document::parse(&json)?;
        loop {
            let (before, entry) = present(wanted.name(), None, expect.as_deref()).await?;
            let mut document = wanted.clone();
            document.succeed(&before)?;
            if dry_run || document == before {
                return Ok(object(document, entry.version));
            }
            let bytes = document.to_json().into_bytes();
            let at = Expectation::At(entry.version);
            match HostKeys.put(&entry.key, bytes, at).await {
                Ok(version) => return Ok(object(document, version)),
                Err(error) if lost_race(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn set_status(
        _: String,
        _: String,
        _: String,
        _: Option<String>,
    ) -> Result<Object, Error> {
        Err(Error::unsupported("this registry keeps no conditions"))
    }

    async fn delete(
        name: String,
        uid: Option<String>,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        loop {
            let (last, entry) = present(&name, uid.as_deref(), expect.as_deref()).await?;
            if dry_run {
                return Ok(object(last, entry.version));
            }
            let at = Expectation::At(entry.version);
            match HostKeys.delete(&entry.key, at).await {
                Ok(version) => return Ok(object(last, version)),
                Err(error) if lost_race(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn watch(_: String, _: Option<String>) -> Result<EventReader, Error> {
        Err(Error::unsupported("this registry does not watch: list it"))
    }
}

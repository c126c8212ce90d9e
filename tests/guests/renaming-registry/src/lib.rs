//! A registry that shows what `registry-embedded` kept in the same slot, each cluster under another name: what people see
//! comes from the plugin. It changes nothing.

use optikon_plugin_sdk::{
    Document, Error, HostKeys, Keys, Selector, export_registry,
    kv::Entry,
    registry::{EventReader, Guest, Object, Page},
};

const PREFIX: &str = "clusters/";

struct Renaming;

fn read_only<T>() -> Result<T, Error> {
    Err(Error::unsupported("this registry is read-only"))
}

/// The stored record holds the object beside what its own plugin needs.
fn renamed(entry: &Entry) -> Result<(Document, Object), Error> {
    let text = String::from_utf8_lossy(&entry.value);
    let record = Document::parse(&text).or_else(|_| {
        let value: serde_json::Value = serde_json::from_str(&text)
            .map_err(|e| Error::internal(format!("{}: {e}", entry.key)))?;
        Document::from_value(value.get("object").cloned().unwrap_or_default())
    });
    let mut document = record?;
    let name = format!("renamed-{}", document.name());
    let revision = entry.version.to_string();
    document.set_metadata("name", Some(name.clone().into()));
    document.set_metadata("resourceVersion", Some(revision.clone().into()));
    let object = Object {
        name,
        json: document.to_json(),
        revision,
    };
    Ok((document, object))
}

impl Guest for Renaming {
    fn supported() -> Vec<String> {
        vec!["object-references".to_owned()]
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
        let page = HostKeys.scan(PREFIX, limit, next).await?;
        let mut items = Vec::new();
        for entry in &page.entries {
            let (document, object) = renamed(entry)?;
            if selector.matches(&document.labels()) {
                items.push(object);
            }
        }
        Ok(Page {
            items,
            revision: page.version.to_string(),
            next: page.next,
            remaining: None,
        })
    }

    async fn get(name: String) -> Result<Object, Error> {
        let missing = || Error::not_found(format!("cluster \"{name}\" is not registered"));
        let kept = name.strip_prefix("renamed-").ok_or_else(missing)?;
        let entry = HostKeys.get(&format!("{PREFIX}{kept}")).await?;
        renamed(&entry.ok_or_else(missing)?).map(|(_, object)| object)
    }

    async fn create(_: String, _: bool) -> Result<Object, Error> {
        read_only()
    }

    async fn update(_: String, _: Option<String>, _: bool) -> Result<Object, Error> {
        read_only()
    }

    async fn set_status(
        _: String,
        _: String,
        _: String,
        _: Option<String>,
    ) -> Result<Object, Error> {
        read_only()
    }

    async fn delete(
        _: String,
        _: Option<String>,
        _: Option<String>,
        _: bool,
    ) -> Result<Object, Error> {
        read_only()
    }

    async fn watch(_: String, _: Option<String>) -> Result<EventReader, Error> {
        Err(Error::unsupported("this registry does not watch: list it"))
    }
}

export_registry!(Renaming);

//! How one cluster is stored: the object, and what a watch has to know about the state before.

use std::collections::BTreeMap;

use optikon_plugin_sdk::{Document, Error, kv::Entry, registry::Object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Every cluster's key starts so; the name follows.
pub const PREFIX: &str = "clusters/";

/// The contract's 1 MiB for an object, less what `resourceVersion` takes when it is read.
const MAX_BYTES: usize = (1 << 20) - 64;

/// One stored cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The object without `metadata.resourceVersion`, which is the key's version.
    pub document: Document,
    /// The labels before this write, where it changed them: a watch with a selector has to say that an object left its
    /// selection, also when it starts after the object was selected.
    pub labels_before: Option<BTreeMap<String, String>>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    object: Map<String, Value>,
    #[serde(
        rename = "labelsBefore",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    labels_before: Option<BTreeMap<String, String>>,
}

/// The key of a cluster.
pub fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl Record {
    /// A new cluster.
    pub fn new(document: Document) -> Self {
        Self {
            document,
            labels_before: None,
        }
    }

    /// What follows `present`.
    pub fn after(present: &Self, document: Document) -> Self {
        let before = present.document.labels();
        let labels_before = (before != document.labels()).then_some(before);
        Self {
            document,
            labels_before,
        }
    }

    /// Reads what is stored.
    ///
    /// # Errors
    /// `internal` when it is nothing that this plugin wrote.
    pub fn parse(entry: &Entry) -> Result<Self, Error> {
        let foreign =
            |why: String| Error::internal(format!("key \"{}\" holds no cluster: {why}", entry.key));
        let stored: Stored =
            serde_json::from_slice(&entry.value).map_err(|e| foreign(e.to_string()))?;
        let document =
            Document::from_value(Value::Object(stored.object)).map_err(|e| foreign(e.message))?;
        Ok(Self {
            document,
            labels_before: stored.labels_before,
        })
    }

    /// What to store.
    ///
    /// # Errors
    /// `too-large` over 1 MiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let stored = Stored {
            object: self.document.object().clone(),
            labels_before: self.labels_before.clone(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(|e| {
            Error::internal(format!(
                "cluster \"{}\" cannot be written: {e}",
                self.document.name()
            ))
        })?;
        if bytes.len() > MAX_BYTES {
            return Err(Error::too_large(format!(
                "cluster \"{}\" takes {} bytes, the most is {MAX_BYTES}: remove annotations",
                self.document.name(),
                bytes.len(),
            )));
        }
        Ok(bytes)
    }

    /// The object for the gateway, as of `version`; `None` for one that was only tried.
    pub fn into_object(mut self, version: Option<u64>) -> Object {
        let revision = version.map(|v| v.to_string());
        self.document
            .set_metadata("resourceVersion", revision.clone().map(Value::String));
        Object {
            name: self.document.name().to_owned(),
            revision: revision.unwrap_or_else(|| "0".to_owned()),
            json: self.document.to_json(),
        }
    }
}

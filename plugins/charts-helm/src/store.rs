//! The revisions of a release: Secrets of its namespace, as the Helm CLI reads and writes them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use optikon_plugin_sdk::{
    Error, ErrorCode, Method, Requester,
    api::{Api, page_of, request},
};
use serde_json::{Value, json};

use crate::record::{Record, Summary};

const TYPE: &str = "helm.sh/release.v1";
/// Which operation made a revision: `<id>.v<version>`. Helm copies labels to the next revision, so it counts only
/// where the version is the Secret's own.
const OPERATION: &str = "optikon.io/operation";
/// Helm's own labels; all others are the user's.
const SYSTEM: [&str; 6] = [
    "name",
    "owner",
    "status",
    "version",
    "createdAt",
    "modifiedAt",
];
/// Rows of one page of a list; without data they are small.
const PAGE: usize = 500;
const METADATA_ONLY: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What the labels of a revision say, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The release's name.
    pub name: String,
    /// Where it is kept.
    pub namespace: String,
    /// From 1.
    pub version: u32,
    /// Helm's word.
    pub status: String,
    /// The operation that made it.
    pub operation: Option<String>,
}

/// A revision that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its content.
    pub record: Record,
    /// The user's labels.
    pub labels: BTreeMap<String, String>,
    /// The operation that made it.
    pub operation: Option<String>,
    resource_version: String,
}

/// The revisions in one namespace of one cluster.
#[derive(Debug)]
pub struct Store<'a, C> {
    cluster: &'a C,
    namespace: &'a str,
}

fn labels_of(object: &Value) -> BTreeMap<String, String> {
    let labels = object
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn operation_of(labels: &BTreeMap<String, String>, version: u32) -> Option<String> {
    let id = labels
        .get(OPERATION)?
        .strip_suffix(&format!(".v{version}"))?;
    Some(id.to_owned())
}

fn entry_of(object: &Value) -> Option<Entry> {
    let labels = labels_of(object);
    let version = labels.get("version")?.parse().ok()?;
    let namespace = object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)?;
    Some(Entry {
        name: labels.get("name")?.clone(),
        namespace: namespace.to_owned(),
        version,
        status: labels
            .get("status")
            .cloned()
            .unwrap_or_else(|| "unknown".into()),
        operation: operation_of(&labels, version),
    })
}

/// Every revision that a selector finds, in a namespace or in all, newest first per release.
///
/// # Errors
/// What the server says.
pub async fn entries<C: Requester>(
    cluster: &C,
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<Entry>, Error> {
    let path = match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/secrets"),
        None => "/api/v1/secrets".to_owned(),
    };
    let mut entries = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut asked = request(Method::Get, &path);
        asked.accept = Some(METADATA_ONLY.to_owned());
        asked
            .query
            .push(("labelSelector".into(), selector.to_owned()));
        asked.query.push(("limit".into(), PAGE.to_string()));
        if let Some(next) = next {
            asked.query.push(("continue".into(), next));
        }
        let page = page_of(Api(cluster).send(asked).await?)?;
        entries.extend(page.items.iter().filter_map(entry_of));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    entries.sort_by(|a, b| {
        let place = (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name));
        place.then(b.version.cmp(&a.version))
    });
    Ok(entries)
}

impl<'a, C: Requester> Store<'a, C> {
    /// Those of a namespace.
    pub fn new(cluster: &'a C, namespace: &'a str) -> Self {
        Self { cluster, namespace }
    }

    /// The revisions of a release, newest first.
    ///
    /// # Errors
    /// What the server says.
    pub async fn revisions(&self, name: &str) -> Result<Vec<Entry>, Error> {
        entries(
            self.cluster,
            Some(self.namespace),
            &format!("name={name},owner=helm"),
        )
        .await
    }

    fn path(&self, name: &str, version: u32) -> String {
        format!(
            "/api/v1/namespaces/{}/secrets/{}",
            self.namespace,
            secret_name(name, version)
        )
    }

    /// One revision.
    ///
    /// # Errors
    /// `not-found`; `unsupported` when the record is not readable.
    pub async fn load(&self, name: &str, version: u32) -> Result<Stored, Error> {
        stored_of(&self.secret(name, version).await?, None)
    }

    /// What a list shows of one revision.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub async fn summary(&self, name: &str, version: u32) -> Result<Summary, Error> {
        Summary::decode(&content_of(&self.secret(name, version).await?)?)
    }

    async fn secret(&self, name: &str, version: u32) -> Result<Value, Error> {
        let found = Api(self.cluster).get(&self.path(name, version)).await;
        found.map_err(|e| match e.code {
            ErrorCode::NotFound => {
                Error::not_found(format!("release \"{name}\" has no revision {version}"))
            }
            _ => e,
        })
    }

    /// Writes down a new revision, which is the lock of every change.
    ///
    /// # Errors
    /// `conflict` when somebody else has just made it.
    pub async fn create(
        &self,
        record: Record,
        labels: BTreeMap<String, String>,
        operation: Option<String>,
        now_ms: u64,
    ) -> Result<Stored, Error> {
        let stored = Stored {
            record,
            labels,
            operation,
            resource_version: String::new(),
        };
        let secret = secret_of(&stored, ("createdAt", now_ms))?;
        let path = format!("/api/v1/namespaces/{}/secrets", self.namespace);
        let made = Api(self.cluster).create(&path, &secret, false).await;
        let made = made.map_err(|e| match e.code {
            ErrorCode::AlreadyExists => Error::conflict(
                format!("revision {} of release \"{}\" was made by somebody else: another operation is in progress",
                    stored.record.version, stored.record.name), None),
            _ => e,
        })?;
        stored_of(&made, Some(stored.record))
    }

    /// Writes a revision again.
    ///
    /// # Errors
    /// `conflict` when somebody else wrote it meanwhile.
    pub async fn update(&self, stored: &mut Stored, now_ms: u64) -> Result<(), Error> {
        let record = &stored.record;
        let secret = secret_of(stored, ("modifiedAt", now_ms))?;
        let made = Api(self.cluster)
            .replace(&self.path(&record.name, record.version), &secret, false)
            .await?;
        stored.resource_version = resource_version(&made);
        Ok(())
    }

    /// Forgets a revision; that it is gone already is fine.
    ///
    /// # Errors
    /// What the server says.
    pub async fn delete(&self, name: &str, version: u32) -> Result<(), Error> {
        match Api(self.cluster)
            .delete(&self.path(name, version), None, None, false)
            .await
        {
            Err(error) if error.code != ErrorCode::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn secret_name(name: &str, version: u32) -> String {
    format!("sh.helm.release.v1.{name}.v{version}")
}

fn resource_version(object: &Value) -> String {
    let version = object
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str);
    version.unwrap_or_default().to_owned()
}

fn secret_of(stored: &Stored, stamp: (&str, u64)) -> Result<Value, Error> {
    let record = &stored.record;
    let mut labels = stored.labels.clone();
    for (key, value) in [
        ("name", record.name.clone()),
        ("owner", "helm".to_owned()),
        ("status", record.info.status.clone()),
        ("version", record.version.to_string()),
        (stamp.0, (stamp.1 / 1000).to_string()),
    ] {
        labels.insert(key.to_owned(), value);
    }
    if let Some(operation) = &stored.operation {
        labels.insert(
            OPERATION.to_owned(),
            format!("{operation}.v{}", record.version),
        );
    }
    let mut metadata = json!({
        "name": secret_name(&record.name, record.version),
        "namespace": record.namespace,
        "labels": labels,
    });
    if let (false, Some(metadata)) = (stored.resource_version.is_empty(), metadata.as_object_mut())
    {
        metadata.insert(
            "resourceVersion".into(),
            stored.resource_version.as_str().into(),
        );
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": TYPE,
        "data": { "release": STANDARD.encode(record.encode()?) },
    }))
}

/// What a Secret keeps of a revision, without its own base64.
fn content_of(secret: &Value) -> Result<Vec<u8>, Error> {
    let data = secret.pointer("/data/release").and_then(Value::as_str);
    STANDARD
        .decode(data.unwrap_or_default())
        .map_err(|e| Error::unsupported(format!("the Secret of a release holds no base64: {e}")))
}

/// A Secret as a revision; `record` where its content is known already.
pub(crate) fn stored_of(secret: &Value, record: Option<Record>) -> Result<Stored, Error> {
    let record = match record {
        Some(record) => record,
        None => Record::decode(&content_of(secret)?)?,
    };
    let mut labels = labels_of(secret);
    let operation = operation_of(&labels, record.version);
    labels.retain(|key, _| key != OPERATION && !SYSTEM.contains(&key.as_str()));
    Ok(Stored {
        record,
        labels,
        operation,
        resource_version: resource_version(secret),
    })
}

//! The rules of the registry contract as requests to a v0.0.3 server.
//!
//! It knows no dry run and writes instead, so those are answered here, from what was read and checked. An update replaces the
//! whole object of this uid, at the resource version that is expected where one is. A deletion's revision is in no answer; it
//! is read from a watch of the one object, which begins before.

use optikon_plugin_sdk::{
    Document, Error, ErrorCode, Requester,
    api::{Api, ListOptions},
    collection::{self, Expect},
    log,
    registry::{Object, Page},
};
use serde_json::Value;

use crate::{
    object::{document, from_value, is_same, to_send},
    place::{COLLECTION, clusters, missing, path, refused},
};

/// Each lost race means that another writer won one.
const MAX_RACES: usize = 64;

/// The clusters of one API server.
#[derive(Debug)]
pub struct Clusters<'a, C> {
    api: Api<'a, C>,
}

impl<C> Clone for Clusters<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Clusters<'_, C> {}

fn not_found(name: &str) -> Error {
    Error::not_found(format!("cluster \"{name}\" is not registered"))
}

fn too_many(name: &str) -> Error {
    let message = format!("cluster \"{name}\" is written by too many at once: try again");
    Error::conflict(message, None)
}

/// A DNS-1035 label: the names that the server takes.
fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

impl<'a, C: Requester> Clusters<'a, C> {
    /// Those of this server.
    pub fn new(connection: &'a C) -> Self {
        Self {
            api: Api(connection),
        }
    }

    async fn read(self, name: &str) -> Result<Document, Error> {
        if !is_name(name) {
            return Err(not_found("…"));
        }
        match self.api.get(&path(name)).await {
            Ok(value) => document(value),
            Err(error) if error.code == ErrorCode::NotFound => Err(not_found(name)),
            Err(error) => Err(refused(error)),
        }
    }

    /// The object as last written.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn get(self, name: &str) -> Result<Object, Error> {
        collection::object(&self.read(name).await?)
    }

    /// One page of the objects that are selected.
    ///
    /// # Errors
    /// `expired` when `next` is too old; `invalid` on selector or `next`.
    pub async fn list(
        self,
        selector: &str,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page, Error> {
        clusters().list(self.api.0, selector, limit, next).await
    }

    /// Writes down a new cluster; uid and time are the API server's.
    ///
    /// # Errors
    /// `already-exists`; `invalid` for a name that is no DNS-1035 label, and for fields of another type.
    pub async fn create(self, json: &str, dry_run: bool) -> Result<Object, Error> {
        let wanted = Document::parse(json)?;
        let name = wanted.name().to_owned();
        if !is_name(&name) {
            return Err(Error::invalid(
                "metadata.name",
                "must be a DNS-1035 label in this registry: letters, digits and '-', a letter first, at most 63",
            ));
        }
        let send = to_send(&wanted, None)?;
        let exists = || Error::already_exists(format!("cluster \"{name}\" is already registered"));
        if dry_run {
            return match self.read(&name).await {
                Ok(_) => Err(exists()),
                Err(error) if error.code == ErrorCode::NotFound => from_value(send),
                Err(error) => Err(error),
            };
        }
        match self.api.create(COLLECTION, &send, false).await {
            Ok(value) => {
                let object = from_value(value)?;
                log::info!("wrote down a new cluster"; "cluster" = name);
                Ok(object)
            }
            Err(error) => Err(match error.code {
                ErrorCode::AlreadyExists => exists(),
                ErrorCode::NotFound => missing(),
                ErrorCode::Conflict => Error::unavailable(error.message),
                _ => refused(error),
            }),
        }
    }

    /// Replaces what a client may change: labels, annotations, finalizers, owner references, and all but `metadata` and
    /// `status`.
    ///
    /// # Errors
    /// `not-found`; `conflict` on uid or revision; `invalid` for fields of another type.
    pub async fn update(
        self,
        json: &str,
        expected: Option<&str>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let wanted = Document::parse(json)?;
        let name = wanted.name();
        let expect = Expect::new(Some(wanted.uid()), expected);
        for _ in 0..MAX_RACES {
            let present = self.read(name).await?;
            expect.check(&present)?;
            if is_same(&present, &wanted) {
                return collection::object(&present);
            }
            let mut send = to_send(&wanted, Some(&present))?;
            if dry_run {
                return from_value(send);
            }
            // Without a version it replaces whatever is there, of this uid, so that nobody waits for others to be through.
            if expected.is_none()
                && let Some(Value::Object(metadata)) = send.get_mut("metadata")
            {
                metadata.remove("resourceVersion");
            }
            match self.api.replace(&path(name), &send, false).await {
                Ok(value) => return from_value(value),
                Err(error) => match error.code {
                    // Changed or replaced since: read again, which tells whether it still is what was meant.
                    ErrorCode::Conflict | ErrorCode::NotFound => {}
                    _ => return Err(refused(error)),
                },
            }
        }
        Err(too_many(name))
    }

    /// Removes an object, or marks it as going while it has finalizers.
    ///
    /// # Errors
    /// `not-found`, `conflict`.
    pub async fn delete(
        self,
        name: &str,
        expect: Expect<'_>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        if !is_name(name) {
            return Err(not_found("…"));
        }
        let all = clusters();
        for _ in 0..MAX_RACES {
            let options = ListOptions {
                name: Some(name.to_owned()),
                ..ListOptions::default()
            };
            let page = self.api.list(COLLECTION, options).await;
            let mut page = page.map_err(|e| all.error(e))?;
            let present = page.items.pop().ok_or_else(|| not_found(name))?;
            let present = document(present)?;
            expect.check(&present)?;
            if dry_run {
                return collection::object(&present);
            }
            let uid = expect.uid.unwrap_or_else(|| present.uid());
            // It knows a precondition on the uid only: the revision was checked a moment ago, no later.
            match self.api.delete(&path(name), Some(uid), None, false).await {
                // It has finalizers, and is marked.
                Ok(value) if value.get("kind").is_some_and(|kind| kind == "Cluster") => {
                    return from_value(value);
                }
                Ok(_) => {
                    log::info!("removed a cluster"; "cluster" = name);
                    let after = &page.resource_version;
                    return all.last_state(self.api.0, name, uid, after).await;
                }
                Err(error) => match error.code {
                    ErrorCode::Conflict => {}
                    ErrorCode::NotFound => return Err(not_found(name)),
                    _ => return Err(refused(error)),
                },
            }
        }
        Err(too_many(name))
    }
}

//! The rules of the registry contract as requests to an API server.
//!
//! An update is one JSON patch that tests uid and revision on the server, so it is whole or absent, and one without
//! expectation cannot lose a race: the server applies it to whatever is there. A deletion's revision is in no answer of an
//! API server; it is read from a watch of the one object, which begins before.

use optikon_plugin_sdk::{
    Document, Error, ErrorCode, Method, Requester,
    api::{self, Api, ListOptions},
    collection::{Expect, object_as_sent, revision},
    log,
    registry::{Object, Page},
};
use serde_json::{Value, json};

use crate::{
    object::{draft, from_value, replacing},
    place::{MANAGER, Place, missing, refused},
};

/// Each lost race means that another writer won one.
const MAX_RACES: usize = 64;

/// The clusters of one API server.
#[derive(Debug)]
pub struct Clusters<'a, C> {
    pub(crate) api: Api<'a, C>,
    pub(crate) place: &'a Place,
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

/// Whether the name can be part of a path; one that cannot is no cluster's.
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(is_edge)
            && part.ends_with(is_edge)
            && part.chars().all(|c| is_edge(c) || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

impl<'a, C: Requester> Clusters<'a, C> {
    /// Those of this place.
    pub fn new(connection: &'a C, place: &'a Place) -> Self {
        Self {
            api: Api(connection),
            place,
        }
    }

    pub(crate) async fn read(self, name: &str) -> Result<Document, Error> {
        if !is_name(name) {
            return Err(not_found("…"));
        }
        match self.api.get(&self.place.path(name)).await {
            Ok(value) => Document::from_value(value)
                .map_err(|e| Error::internal(format!("the answer is no cluster: {}", e.message))),
            Err(error) if error.code == ErrorCode::NotFound => Err(not_found(name)),
            Err(error) => Err(refused(error)),
        }
    }

    /// The object as last written.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn get(self, name: &str) -> Result<Object, Error> {
        let document = self.read(name).await?;
        from_value(Value::Object(document.object().clone()))
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
        let collection = self.place.clusters();
        collection.list(self.api.0, selector, limit, next).await
    }

    /// Writes down a new cluster; uid and time are the API server's.
    ///
    /// # Errors
    /// `already-exists`; `invalid` as the definition's schema says; `unavailable` when the namespace is missing.
    pub async fn create(self, json: &str, dry_run: bool) -> Result<Object, Error> {
        let document = Document::parse(json)?;
        let name = document.name().to_owned();
        let mut request = api::request(Method::Post, &self.place.collection);
        request.query.push(("fieldManager".into(), MANAGER.into()));
        api::mark_dry_run(&mut request, dry_run);
        request.body = draft(document)?.to_string().into_bytes();
        match self.api.send_for_bytes(request).await {
            Ok(answer) => {
                let object = object_as_sent(answer)?;
                if !dry_run {
                    log::info!("wrote down a new cluster"; "cluster" = name);
                }
                Ok(object)
            }
            Err(error) => Err(match error.code {
                ErrorCode::AlreadyExists => {
                    Error::already_exists(format!("cluster \"{name}\" is already registered"))
                }
                ErrorCode::NotFound => match &self.place.namespace {
                    Some(namespace) if error.detail("resource") == Some("namespaces") => {
                        Error::unavailable(format!(
                            "the central cluster has no namespace \"{namespace}\": run `optikon registry setup` there"
                        ))
                    }
                    _ => missing(),
                },
                // A namespace on its way out, say: nothing that another form of the same would change.
                ErrorCode::Conflict => Error::unavailable(error.message),
                _ => refused(error),
            }),
        }
    }

    /// Replaces what a client may change: labels, annotations, finalizers, owner references, and all but `metadata` and
    /// `status`.
    ///
    /// # Errors
    /// `not-found`; `conflict` on uid or revision; `invalid` as the definition's schema says.
    pub async fn update(
        self,
        json: &str,
        expected: Option<&str>,
        dry_run: bool,
    ) -> Result<Object, Error> {
        let wanted = Document::parse(json)?;
        let uid = wanted.uid().to_owned();
        let expect = Expect::new(Some(&uid), expected);
        let mut last: Option<(String, Error)> = None;
        for _ in 0..MAX_RACES {
            let present = self.read(wanted.name()).await?;
            expect.check(&present)?;
            let now = revision(&present);
            // Refused although nothing had changed: it is the object that is refused.
            if let Some((_, error)) = last.take_if(|(before, _)| *before == now) {
                return Err(error);
            }
            let mut patch = replacing(&present, &wanted)?;
            if patch.is_empty() {
                return from_value(Value::Object(present.object().clone()));
            }
            let mut tests = vec![json!({"op": "test", "path": "/metadata/uid", "value": uid})];
            if let Some(expected) = expected {
                let path = "/metadata/resourceVersion";
                tests.push(json!({"op": "test", "path": path, "value": expected}));
            }
            tests.append(&mut patch);
            let mut request = api::request(Method::Patch, &self.place.path(wanted.name()));
            request.content_type = Some("application/json-patch+json".into());
            request.query.push(("fieldManager".into(), MANAGER.into()));
            api::mark_dry_run(&mut request, dry_run);
            request.body = Value::Array(tests).to_string().into_bytes();
            match self.api.send(request).await {
                Ok(value) => return from_value(value),
                Err(error) => match error.code {
                    ErrorCode::Invalid => last = Some((now, error)),
                    ErrorCode::Conflict | ErrorCode::NotFound => {}
                    _ => return Err(refused(error)),
                },
            }
        }
        Err(Error::conflict(
            format!(
                "cluster \"{}\" is written by too many at once: try again",
                wanted.name()
            ),
            None,
        ))
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
        let collection = self.place.clusters();
        for _ in 0..MAX_RACES {
            let options = ListOptions {
                name: Some(name.to_owned()),
                ..ListOptions::default()
            };
            let page = self.api.list(&self.place.collection, options).await;
            let mut page = page.map_err(|e| collection.error(e))?;
            let present = page.items.pop().ok_or_else(|| not_found(name))?;
            let present = Document::from_value(present)?;
            expect.check(&present)?;
            let uid = expect.uid.unwrap_or_else(|| present.uid());
            let path = self.place.path(name);
            let deleted = self.api.delete(&path, Some(uid), expect.revision, dry_run);
            match deleted.await {
                Ok(_) if dry_run => return from_value(Value::Object(present.object().clone())),
                // It has finalizers, and is marked.
                Ok(value) if value.get("kind").is_some_and(|kind| kind == "Cluster") => {
                    return from_value(value);
                }
                Ok(_) => {
                    log::info!("removed a cluster"; "cluster" = name);
                    let after = &page.resource_version;
                    return collection.last_state(self.api.0, name, uid, after).await;
                }
                Err(error) => match error.code {
                    ErrorCode::Conflict => {}
                    ErrorCode::NotFound => return Err(not_found(name)),
                    _ => return Err(refused(error)),
                },
            }
        }
        Err(Error::conflict(
            format!("cluster \"{name}\" is written by too many at once: try again"),
            None,
        ))
    }
}

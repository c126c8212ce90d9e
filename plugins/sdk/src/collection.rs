//! A registry whose clusters are objects of an API server: what holds for every form of them. Pages, the watch, the last state
//! of what was removed, sizes and preconditions.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    Document, Error, ErrorCode, Requester, Selector,
    api::{Api, ListOptions, Watch, WatchEvent},
    check_expected, log,
    paging::MAX_PAGE,
    registry::{self, Event, EventReader, Events, Object, Page},
};

/// The contract's 1 MiB for an object, less what the API server's own bookkeeping may add.
const MAX_BYTES: usize = (1 << 20) - (32 << 10);
/// The contract's.
const MAX_READ_BYTES: usize = 1 << 20;
/// The longest `continue` that an API server makes is far shorter.
const MAX_TOKEN_BYTES: usize = 4_096;
/// Objects asked for at once when a watch begins with everything.
const PAGE: u32 = 500;

/// What a client may change in `metadata`.
pub const CLIENTS: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// Where the objects are, and how they are to be read.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Its path on the server.
    pub path: String,
    /// Makes an object of the contract of one of the server's.
    pub read: fn(Value) -> Result<Object, Error>,
    /// What a refusal of the server means to the gateway's caller.
    pub refused: fn(Error) -> Error,
    /// Nobody serves it.
    pub missing: fn() -> Error,
}

/// Which object a caller means.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expect<'a> {
    /// This one and no namesake.
    pub uid: Option<&'a str>,
    /// Unchanged since.
    pub revision: Option<&'a str>,
}

impl<'a> Expect<'a> {
    /// Both, where given.
    pub fn new(uid: Option<&'a str>, revision: Option<&'a str>) -> Self {
        Self { uid, revision }
    }

    /// Whether it is this one.
    ///
    /// # Errors
    /// `conflict`.
    pub fn check(self, present: &Document) -> Result<(), Error> {
        present.check_uid(self.uid)?;
        check_expected(&revision(present), self.revision)
    }
}

/// `metadata.resourceVersion`; `0` for an object that was only tried.
pub fn revision(document: &Document) -> String {
    let version = document.metadata("resourceVersion");
    let version = version.and_then(Value::as_str).unwrap_or_default();
    if version.is_empty() { "0" } else { version }.to_owned()
}

/// The object of the contract.
///
/// # Errors
/// `too-large` over the contract's 1 MiB.
pub fn object(document: &Document) -> Result<Object, Error> {
    let json = document.to_json();
    check_size(document.name(), json.len(), MAX_READ_BYTES)?;
    Ok(Object {
        name: document.name().to_owned(),
        revision: revision(document),
        json,
    })
}

/// The same of an answer as it came: read through for name and revision, and not taken apart to be put together again.
///
/// # Errors
/// `internal` when it is no object; `too-large` over the contract's 1 MiB.
pub fn object_as_sent(bytes: Vec<u8>) -> Result<Object, Error> {
    #[derive(Deserialize)]
    struct Head {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        name: String,
        #[serde(default)]
        resource_version: String,
    }
    let no_object = |why: String| Error::internal(format!("the answer is no cluster: {why}"));
    let json = String::from_utf8(bytes).map_err(|e| no_object(e.to_string()))?;
    let head: Head = serde_json::from_str(&json).map_err(|e| no_object(e.to_string()))?;
    let Metadata {
        name,
        mut resource_version,
    } = head.metadata;
    check_size(&name, json.len(), MAX_READ_BYTES)?;
    if resource_version.is_empty() {
        resource_version = "0".to_owned();
    }
    Ok(Object {
        name,
        revision: resource_version,
        json,
    })
}

/// Whether there is room for what an API server adds.
///
/// # Errors
/// `too-large`.
pub fn check_sent(document: &Document) -> Result<(), Error> {
    check_size(document.name(), document.to_json().len(), MAX_BYTES)
}

fn check_size(name: &str, bytes: usize, most: usize) -> Result<(), Error> {
    if bytes <= most {
        return Ok(());
    }
    Err(Error::too_large(format!(
        "cluster \"{name}\" takes {bytes} bytes, the most is {most}: remove annotations"
    )))
}

/// Nothing, null and empty are the same to an API server.
pub fn filled(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    })
}

/// Where a watch begins.
///
/// # Errors
/// `expired` for a revision that is none of an API server, as after a swap: whoever asks has to list again.
pub fn start(after: Option<String>) -> Result<Option<String>, Error> {
    match &after {
        Some(text) if text.parse::<u64>().is_err() || text.starts_with('+') => Err(Error::expired(
            "the revision is not of this registry: list again",
        )),
        _ => Ok(after),
    }
}

impl Collection {
    /// What an error of the collection itself means: a 404 that names no object says that nobody serves it.
    pub fn error(&self, error: Error) -> Error {
        match error.code {
            ErrorCode::NotFound => (self.missing)(),
            _ => (self.refused)(error),
        }
    }

    /// One of many: what nobody can show is left out with a word in the log, and does not hide the others.
    fn item(&self, value: Value) -> Option<Object> {
        (self.read)(value)
            .inspect_err(|error| {
                log::warn!(
                    "an object of the central cluster is left out: {}",
                    error.message
                );
            })
            .ok()
    }

    /// One page of the objects that are selected.
    ///
    /// # Errors
    /// `expired` when `next` is too old; `invalid` on selector or `next`.
    pub async fn list<C: Requester>(
        &self,
        connection: &C,
        selector: &str,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page, Error> {
        Selector::parse(selector)?;
        if let Some(token) = &next {
            let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=');
            if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !token.chars().all(is_token) {
                return Err(Error::invalid("continue", "is not of this registry"));
            }
        }
        let mut limit = limit.clamp(1, MAX_PAGE);
        loop {
            let options = ListOptions {
                selector: selector.to_owned(),
                limit,
                next: next.clone(),
                name: None,
            };
            match Api(connection).list(&self.path, options).await {
                Err(error) if error.code == ErrorCode::TooLarge && limit > 1 => {
                    limit = (limit / 4).max(1);
                }
                Err(error) => return Err(self.error(error)),
                Ok(page) => {
                    let items = page.items.into_iter();
                    return Ok(Page {
                        items: items.filter_map(|item| self.item(item)).collect(),
                        revision: page.resource_version,
                        next: page.next,
                        remaining: page.remaining,
                    });
                }
            }
        }
    }

    /// The stream of a selection.
    ///
    /// # Errors
    /// `invalid` when the selector does not parse; `expired`; `unavailable`.
    pub async fn watch<C>(
        self,
        connection: C,
        selector: String,
        after: Option<String>,
    ) -> Result<EventReader, Error>
    where
        C: Requester + 'static,
    {
        Selector::parse(&selector)?;
        let after = start(after)?;
        // The first request is made before the answer, so that it says when it cannot be made at all.
        let mut first = None;
        if let Some(after) = &after {
            let events = Api(&connection).watch(&self.path, &selector, after);
            first = Some(events.await.map_err(self.refused)?);
        }
        Ok(registry::stream(async move |mut out| {
            let delivered = self.deliver(&connection, &selector, after, first, &mut out);
            if let Err(error) = delivered.await {
                out.send(Err((self.refused)(error))).await;
            }
        }))
    }

    /// Delivers until the reader leaves; `first` is a watch from `after` that was opened already. The API server ends a watch
    /// from time to time; the next one begins where it ended.
    ///
    /// # Errors
    /// `expired` when the API server has forgotten the start; whatever else keeps it from watching.
    pub async fn deliver<C: Requester>(
        &self,
        connection: &C,
        selector: &str,
        after: Option<String>,
        mut first: Option<Watch<C::Lines>>,
        out: &mut impl Events,
    ) -> Result<(), Error> {
        let api = Api(connection);
        let mut last = match after {
            Some(after) => after,
            None => match self.present(connection, selector, out).await? {
                Some(revision) => revision,
                None => return Ok(()),
            },
        };
        loop {
            let mut events = match first.take() {
                Some(events) => events,
                None => api.watch(&self.path, selector, &last).await?,
            };
            while let Some(event) = events.next().await {
                let item = match event? {
                    WatchEvent::Bookmark(revision) => {
                        last.clone_from(&revision);
                        Some(Event::Bookmark(revision))
                    }
                    WatchEvent::Stored(value) => {
                        mark(&mut last, &value);
                        self.item(value).map(Event::Stored)
                    }
                    WatchEvent::Deleted(value) => {
                        mark(&mut last, &value);
                        self.item(value).map(Event::Deleted)
                    }
                };
                if let Some(item) = item
                    && !out.send(Ok(item)).await
                {
                    return Ok(());
                }
            }
        }
    }

    /// Everything that is there, and a bookmark; its revision. None when the reader left.
    async fn present(
        &self,
        connection: &impl Requester,
        selector: &str,
        out: &mut impl Events,
    ) -> Result<Option<String>, Error> {
        let mut next = None;
        loop {
            let page = self.list(connection, selector, PAGE, next).await?;
            for object in page.items {
                if !out.send(Ok(Event::Stored(object))).await {
                    return Ok(None);
                }
            }
            if page.next.is_none() {
                let bookmark = Event::Bookmark(page.revision.clone());
                return Ok(out.send(Ok(bookmark)).await.then_some(page.revision));
            }
            next = page.next;
        }
    }

    /// The deleted event of that uid, which is there already: it alone says a deletion's revision. `after` is older.
    ///
    /// # Errors
    /// `unavailable` when the server does not say.
    pub async fn last_state<C: Requester>(
        &self,
        connection: &C,
        name: &str,
        uid: &str,
        after: &str,
    ) -> Result<Object, Error> {
        // Whatever happens now, it is gone; who reads only of a refusal would remove it again.
        let gone = |cause: &str| {
            Error::unavailable(format!(
                "cluster \"{name}\" was removed, but its API server did not say at which revision{cause}"
            ))
        };
        let failed = |error: Error| gone(&format!(": {}", (self.refused)(error).message));
        let events = Api(connection).watch_one(&self.path, name, after).await;
        let mut events = events.map_err(failed)?;
        while let Some(event) = events.next().await {
            if let WatchEvent::Deleted(value) = event.map_err(failed)?
                && value.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid)
            {
                return (self.read)(value);
            }
        }
        Err(gone(""))
    }
}

fn mark(last: &mut String, value: &Value) {
    let revision = value.pointer("/metadata/resourceVersion");
    if let Some(revision) = revision.and_then(Value::as_str) {
        revision.clone_into(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_as_it_came_is_the_same_object() {
        let json = r#"{"kind":"Cluster","metadata":{"name":"a","resourceVersion":"7","uid":"u"},"spec":{"x":[{}]}}"#;
        let object = object_as_sent(json.as_bytes().to_vec()).unwrap();
        let taken_apart = super::object(&Document::parse(json).unwrap()).unwrap();
        assert_eq!(
            (&object.name, &object.revision),
            (&taken_apart.name, &taken_apart.revision)
        );
        assert_eq!(object.json, json);
        // One that was only tried has no revision.
        let tried = object_as_sent(br#"{"metadata":{"name":"a"}}"#.to_vec()).unwrap();
        assert_eq!(tried.revision, "0");
        for bad in [&b"{}"[..], b"[]", b"\xff", br#"{"metadata":{"name":1}}"#] {
            let refused = object_as_sent(bad.to_vec()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Internal);
        }
    }
}

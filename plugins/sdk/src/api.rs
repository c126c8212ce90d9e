//! JSON over a connection: objects, pages, patches and watches of a Kubernetes API.

use serde_json::{Map, Value, json};

use crate::{Error, ErrorCode, Lines, Method, Request, Requester, Response};

/// Requests to one API server, JSON in and out. Any status that is not 2xx is an error of its code.
#[derive(Debug)]
pub struct Api<'a, C>(pub &'a C);

impl<C> Clone for Api<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Api<'_, C> {}

/// What of a collection is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListOptions {
    /// Labels, empty for all.
    pub selector: String,
    /// Items a page, 0 for the server's choice.
    pub limit: u32,
    /// From the page before.
    pub next: Option<String>,
    /// Only the object of this name.
    pub name: Option<String>,
}

/// One page of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage {
    /// The objects, `kind` and `apiVersion` filled in from the list's own where the server leaves them out.
    pub items: Vec<Value>,
    /// The snapshot's.
    pub resource_version: String,
    /// None on the last page.
    pub next: Option<String>,
    /// How many follow, where the server says so.
    pub remaining: Option<u64>,
}

/// How a patch is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch<'a> {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
    /// Server-side apply in the name of this field manager.
    Apply(&'a str),
}

/// One line of a watch.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// Created or changed.
    Stored(Value),
    /// The last state.
    Deleted(Value),
    /// Everything up to this resource version was delivered.
    Bookmark(String),
}

/// A watch under way.
#[derive(Debug)]
pub struct Watch<L>(L);

impl<C: Requester> Api<'_, C> {
    /// One object.
    ///
    /// # Errors
    /// See [`error_of`]; faults of the connection as well, here and below.
    pub async fn get(self, path: &str) -> Result<Value, Error> {
        self.send(request(Method::Get, path)).await
    }

    /// One page of a collection.
    ///
    /// # Errors
    /// `expired` when `next` is too old.
    pub async fn list(self, path: &str, options: ListOptions) -> Result<ListPage, Error> {
        let mut request = request(Method::Get, path);
        if !options.selector.is_empty() {
            add(&mut request, "labelSelector", options.selector);
        }
        if options.limit > 0 {
            add(&mut request, "limit", options.limit.to_string());
        }
        if let Some(next) = options.next {
            add(&mut request, "continue", next);
        }
        if let Some(name) = options.name {
            add(
                &mut request,
                "fieldSelector",
                format!("metadata.name={name}"),
            );
        }
        page_of(self.send(request).await?)
    }

    /// Creates in a collection.
    ///
    /// # Errors
    /// `already-exists`.
    pub async fn create(self, path: &str, object: &Value, dry_run: bool) -> Result<Value, Error> {
        self.write(Method::Post, path, object, dry_run).await
    }

    /// Replaces an object; `metadata.resourceVersion` and `metadata.uid` in it are its expectations.
    ///
    /// # Errors
    /// `not-found`, `conflict`.
    pub async fn replace(self, path: &str, object: &Value, dry_run: bool) -> Result<Value, Error> {
        self.write(Method::Put, path, object, dry_run).await
    }

    async fn write(
        self,
        method: Method,
        path: &str,
        object: &Value,
        dry_run: bool,
    ) -> Result<Value, Error> {
        let mut request = request(method, path);
        request.body = object.to_string().into_bytes();
        mark_dry_run(&mut request, dry_run);
        self.send(request).await
    }

    /// Changes an object in part.
    ///
    /// # Errors
    /// `not-found`, `conflict`.
    pub async fn patch(
        self,
        path: &str,
        kind: Patch<'_>,
        patch: &Value,
        dry_run: bool,
    ) -> Result<Value, Error> {
        let mut request = request(Method::Patch, path);
        let content_type = match kind {
            Patch::Merge => "application/merge-patch+json",
            Patch::Json => "application/json-patch+json",
            Patch::Apply(manager) => {
                add(&mut request, "fieldManager", manager.to_owned());
                "application/apply-patch+yaml"
            }
        };
        request.content_type = Some(content_type.to_owned());
        request.body = patch.to_string().into_bytes();
        mark_dry_run(&mut request, dry_run);
        self.send(request).await
    }

    /// Removes an object of this uid and resource version, where given.
    ///
    /// # Errors
    /// `not-found`; `conflict` when uid or resource version do not match.
    pub async fn delete(
        self,
        path: &str,
        uid: Option<&str>,
        resource_version: Option<&str>,
        dry_run: bool,
    ) -> Result<Value, Error> {
        let mut request = request(Method::Delete, path);
        let mut preconditions = Map::new();
        if let Some(uid) = uid {
            preconditions.insert("uid".into(), uid.into());
        }
        if let Some(version) = resource_version {
            preconditions.insert("resourceVersion".into(), version.into());
        }
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions});
        // A server that gets options in a body does not look at the query.
        if let (true, Value::Object(options)) = (dry_run, &mut options) {
            options.insert("dryRun".into(), json!(["All"]));
        }
        request.body = options.to_string().into_bytes();
        mark_dry_run(&mut request, dry_run);
        self.send(request).await
    }

    /// What changes in a collection after a resource version, bookmarks included.
    ///
    /// # Errors
    /// `expired` when the resource version is too old.
    pub async fn watch(
        self,
        path: &str,
        selector: &str,
        after: &str,
    ) -> Result<Watch<C::Lines>, Error> {
        let mut request = watch_request(path, after);
        if !selector.is_empty() {
            add(&mut request, "labelSelector", selector.to_owned());
        }
        Ok(Watch(self.0.lines(request).await?))
    }

    /// What becomes of the object of one name after a resource version.
    ///
    /// # Errors
    /// As [`Api::watch`].
    pub async fn watch_one(
        self,
        path: &str,
        name: &str,
        after: &str,
    ) -> Result<Watch<C::Lines>, Error> {
        let mut request = watch_request(path, after);
        add(
            &mut request,
            "fieldSelector",
            format!("metadata.name={name}"),
        );
        Ok(Watch(self.0.lines(request).await?))
    }

    /// Any request, its body parsed.
    ///
    /// # Errors
    /// `internal` when a 2xx body is not JSON.
    pub async fn send(self, request: Request) -> Result<Value, Error> {
        let what = request.path.clone();
        serde_json::from_slice(&self.send_for_bytes(request).await?)
            .map_err(|e| Error::internal(format!("the answer to {what} is not JSON: {e}")))
    }
}

impl<C: Requester> Api<'_, C> {
    /// Any request, its body as it came.
    ///
    /// # Errors
    /// As [`Api::send`].
    pub async fn send_for_bytes(self, request: Request) -> Result<Vec<u8>, Error> {
        let response = self.0.request(request).await?;
        if !(200..300).contains(&response.status) {
            return Err(error_of(&response));
        }
        Ok(response.body)
    }
}

impl<L: Lines> Watch<L> {
    /// The next event; none when the server ended the watch, which it does from time to time: watch again from the last
    /// resource version. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, Error>> {
        let line = match self.0.next().await? {
            Ok(line) => line,
            Err(fault) => return Some(Err(fault.into())),
        };
        Some(event_of(&line))
    }
}

/// A request without body, for [`Api::send`].
pub fn request(method: Method, path: &str) -> Request {
    Request {
        method,
        path: path.to_owned(),
        query: Vec::new(),
        accept: None,
        content_type: None,
        body: Vec::new(),
        timeout_ms: None,
    }
}

fn watch_request(path: &str, after: &str) -> Request {
    let mut request = request(Method::Get, path);
    add(&mut request, "watch", "true".into());
    add(&mut request, "allowWatchBookmarks", "true".into());
    add(&mut request, "resourceVersion", after.to_owned());
    request
}

fn add(request: &mut Request, key: &str, value: String) {
    request.query.push((key.to_owned(), value));
}

/// Asks the server to check and answer, and to write nothing.
pub fn mark_dry_run(request: &mut Request, dry_run: bool) {
    if dry_run {
        add(request, "dryRun", "All".into());
    }
}

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// Takes a `…List` apart.
///
/// # Errors
/// `internal` when it has no items.
pub fn page_of(mut list: Value) -> Result<ListPage, Error> {
    let mut items = match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        // Go writes an empty list so, and an API server its lists of metadata.
        Some(Value::Null) => Vec::new(),
        _ => return Err(Error::internal("the answer to a list has no items")),
    };
    let kind = text(&list, "/kind");
    let version = text(&list, "/apiVersion");
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(kind) = kind.strip_suffix("List") {
            item.entry("kind").or_insert_with(|| kind.into());
        }
        item.entry("apiVersion")
            .or_insert_with(|| version.clone().into());
    }
    let next = text(&list, "/metadata/continue");
    Ok(ListPage {
        items,
        resource_version: text(&list, "/metadata/resourceVersion"),
        next: (!next.is_empty()).then_some(next),
        remaining: list
            .pointer("/metadata/remainingItemCount")
            .and_then(Value::as_u64),
    })
}

fn event_of(line: &[u8]) -> Result<WatchEvent, Error> {
    let mut event: Value = serde_json::from_slice(line)
        .map_err(|e| Error::internal(format!("a line of the watch is not JSON: {e}")))?;
    let object = event.get_mut("object").map(Value::take).unwrap_or_default();
    match event.get("type").and_then(Value::as_str) {
        Some("ADDED" | "MODIFIED") => Ok(WatchEvent::Stored(object)),
        Some("DELETED") => Ok(WatchEvent::Deleted(object)),
        Some("BOOKMARK") => Ok(WatchEvent::Bookmark(text(
            &object,
            "/metadata/resourceVersion",
        ))),
        Some("ERROR") => {
            let status = object.get("code").and_then(Value::as_u64).unwrap_or(500);
            Err(status_error(u16::try_from(status).unwrap_or(500), &object))
        }
        _ => Err(Error::internal("a line of the watch has no known type")),
    }
}

/// The error that a status and its body stand for.
pub fn error_of(response: &Response) -> Error {
    let body = serde_json::from_slice(&response.body).unwrap_or_default();
    let error = status_error(response.status, &body);
    let header = |name: &str| {
        let found = response.headers.iter().find(|(n, _)| n == name);
        found.and_then(|(_, value)| value.parse::<u64>().ok())
    };
    match header("retry-after") {
        Some(seconds) => error.with("retry-after-ms", (seconds.saturating_mul(1000)).to_string()),
        None => error,
    }
}

fn status_error(status: u16, body: &Value) -> Error {
    let code = match (status, text(body, "/reason").as_str()) {
        (409, "AlreadyExists") => ErrorCode::AlreadyExists,
        (400 | 422, _) => ErrorCode::Invalid,
        (401, _) => ErrorCode::Unauthenticated,
        (403, _) => ErrorCode::Denied,
        (404, _) => ErrorCode::NotFound,
        (409, _) => ErrorCode::Conflict,
        (410, _) => ErrorCode::Expired,
        (413, _) => ErrorCode::TooLarge,
        (429, _) => ErrorCode::TooMany,
        (405 | 415 | 501, _) => ErrorCode::Unsupported,
        (408 | 504, _) => ErrorCode::Timeout,
        (500.., _) => ErrorCode::Unavailable,
        _ => ErrorCode::Internal,
    };
    let message = text(body, "/message");
    let message = if message.is_empty() {
        format!("the API server answered {status}")
    } else {
        message
    };
    let mut error = Error::new(code, message).with("status", status.to_string());
    // Of whom it speaks: of an object that is missing, say, and not of the collection.
    let resource = text(body, "/details/kind");
    if !resource.is_empty() {
        error = error.with("resource", resource);
    }
    match text(body, "/details/causes/0/field") {
        field if field.is_empty() => error,
        field => error.with("field", field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_fills_in_what_the_server_leaves_out() {
        let list = json!({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5","continue":"x",
            "remainingItemCount":3},"items":[{"metadata":{"name":"a"}},{"kind":"Other"}]});
        let page = page_of(list).unwrap();
        assert_eq!(page.items[0]["kind"], "Pod");
        assert_eq!(page.items[0]["apiVersion"], "v1");
        assert_eq!(page.items[1]["kind"], "Other");
        assert_eq!((page.next.as_deref(), page.remaining), (Some("x"), Some(3)));
        assert_eq!(page_of(json!({})).unwrap_err().code, ErrorCode::Internal);
        assert!(page_of(json!({"items": null})).unwrap().items.is_empty());
    }

    #[test]
    fn a_status_becomes_the_error_that_somebody_acts_on() {
        let answer = |status, body: &str| Response {
            status,
            headers: vec![("retry-after".into(), "2".into())],
            body: body.into(),
            phase_ms: vec![],
        };
        let exists = error_of(&answer(409, r#"{"reason":"AlreadyExists","message":"m"}"#));
        assert_eq!(exists.code, ErrorCode::AlreadyExists);
        assert_eq!(exists.message, "m");
        assert_eq!(error_of(&answer(409, "")).code, ErrorCode::Conflict);
        let busy = error_of(&answer(429, "not json"));
        assert_eq!(busy.code, ErrorCode::TooMany);
        assert_eq!(busy.detail("retry-after-ms"), Some("2000"));
    }

    #[test]
    fn a_watch_ends_with_the_servers_error() {
        let expired =
            br#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
        assert_eq!(event_of(expired).unwrap_err().code, ErrorCode::Expired);
        let bookmark = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8"}}}"#;
        assert_eq!(
            event_of(bookmark).unwrap(),
            WatchEvent::Bookmark("8".into())
        );
        assert!(event_of(b"{}").is_err());
    }
}

//! Credentials in objects of the central cluster, which other tools put there: no plugin sees one.
//!
//! What the central cluster answers has placeholders where they were ([`Found`] remembers them for the host), and a placeholder
//! in what a plugin writes becomes what stands in the object at that moment. Requests that could tell a plugin what a
//! placeholder stands for are refused, and so are answers that cannot be searched.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use optikon_core::{
    flows::{
        found::Found,
        input::{self, MASKED},
    },
    ports::Connection,
    words::{Fault, FaultReason, LineStream, Mapping, Method, Refusal, Request, Response},
};
use serde_json::{Map, Value, json};

use super::compatible::{is_of_status, is_write, reason_only};

/// Keys of which an object with a credential has one, in any case.
const MARKS: [&str; 6] = [
    "token",
    "password",
    "clientKey",
    "client-key-data",
    "Conf",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// Below it a JSON pointer has a number for a name, and what it points at depends on what stands there.
const INSIDE: &str = "/spec/authInfo/providers/";

/// A connection to the central cluster for a plugin.
#[derive(Debug)]
pub(super) struct Inline {
    pub(super) inner: Arc<dyn Connection>,
    pub(super) found: Arc<Found>,
}

/// Whether it is worth parsing.
fn is_suspicious(body: &[u8]) -> bool {
    let is_mark = |text: &[u8]| {
        MARKS
            .iter()
            .any(|mark| mark.as_bytes().eq_ignore_ascii_case(text))
    };
    body.split(|byte| *byte == b'"').any(is_mark)
}

/// In any spelling that JSON has for the brackets.
fn has_placeholder(body: &[u8]) -> bool {
    let word = MASKED.trim_matches(['<', '>']).as_bytes();
    body.windows(word.len()).any(|window| window == word)
}

fn refused(message: &str) -> Fault {
    Fault::new(FaultReason::Denied, message)
}

/// Refuses answers in a form that is not searched: in a table a column may show what is hidden in its object.
fn check_form(request: &Request) -> Result<(), Fault> {
    let accepted = request.accept.as_deref().unwrap_or_default();
    let is_searched = |form: &str| {
        let mut parts = form.split(';').map(str::trim);
        let is_json = matches!(parts.next(), Some("" | "application/json"));
        is_json
            && parts.all(|part| {
                !part.starts_with("as=") || part.starts_with("as=PartialObjectMetadata")
            })
    };
    match accepted.split(',').all(is_searched) {
        true => Ok(()),
        false => Err(refused(
            "the central cluster is asked for objects, or their metadata, as JSON only",
        )),
    }
}

/// Refuses a patch that compares or copies what could be a credential.
fn check_patch(request: &Request) -> Result<(), Fault> {
    if request.method != Method::Patch {
        return Ok(());
    }
    if request.body.trim_ascii_start().first() != Some(&b'[') {
        return Ok(());
    }
    // What is not read here could be read there.
    let operations = serde_json::from_slice::<Vec<Value>>(&request.body);
    let operations = operations
        .map_err(|_| refused("a JSON patch on the central cluster cannot be read: check it, and how deep it is nested"))?;
    let reads = |operation: &Value| {
        let text = |key: &str| {
            operation
                .get(key)
                .and_then(Value::as_str)
                .map(is_secret_place)
        };
        match operation.get("op").and_then(Value::as_str) {
            Some("test") => text("path"),
            Some("copy" | "move") => text("from"),
            _ => None,
        }
        .unwrap_or_default()
    };
    match operations.iter().any(reads) {
        true => Err(refused(
            "a patch on the central cluster tests, copies and moves nothing that may hold a credential: send the new value",
        )),
        false => Ok(()),
    }
}

/// Whether a JSON pointer leads to, into or around a place for credentials.
fn is_secret_place(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    match segments.next() {
        None => true,
        Some("metadata") => segments.next().is_none_or(|field| field == "annotations"),
        Some("spec") => segments.next().is_none_or(|field| field == "authInfo"),
        Some(_) => false,
    }
}

/// Calls `each` with every object of an answer: alone, in a list, or in an event. What looks like one inside of another is
/// somebody's data.
fn objects(answer: &mut Value, each: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(fields) = answer else {
        return;
    };
    match fields.get_mut("items") {
        Some(Value::Array(items)) => items
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(each),
        _ => match fields.get_mut("object") {
            Some(Value::Object(object)) => each(object),
            _ => each(fields),
        },
    }
}

/// The value of a JSON patch's operation as a part of an object, so that one rule serves all.
fn as_object(path: &str, value: Value) -> Option<Map<String, Value>> {
    let mut value = value;
    for segment in path.rsplit('/').filter(|segment| !segment.is_empty()) {
        value = json!({ segment.replace("~1", "/").replace("~0", "~"): value });
    }
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

impl Inline {
    fn hidden(&self, body: Bytes) -> Bytes {
        if !is_suspicious(&body) {
            return body;
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(&body) else {
            // Nothing that could be searched.
            return Bytes::new();
        };
        objects(&mut value, &mut |object| self.found.take(object));
        value.to_string().into()
    }

    /// The object that a write is about, as it is now; empty where there is none.
    async fn present(&self, path: &str) -> Result<Map<String, Value>, Fault> {
        let path = match path.strip_suffix("/status") {
            Some(object) if is_of_status(path) => object,
            _ => path,
        };
        let response = self.inner.request(Request::get(path)).await?;
        match response.status {
            200 => serde_json::from_slice(&response.body).map_err(|_| {
                Fault::new(
                    FaultReason::Protocol,
                    "the central cluster answers an object with something else",
                )
            }),
            404 => Ok(Map::new()),
            status => Err(Fault::new(
                FaultReason::Protocol,
                format!(
                    "what a placeholder stands for cannot be read: the central cluster answered {status}"
                ),
            )),
        }
    }

    /// Whether an error may quote one: a server that cannot read what a patch made of an object shows that, and not what was
    /// sent alone.
    async fn may_quote(&self, path: &str) -> bool {
        let present = self.present(path).await;
        present.map_or(true, |mut object| input::hide(&mut object))
    }

    /// The request as it goes out, and whether a credential is in it.
    async fn restored(&self, mut request: Request) -> Result<(Request, bool), Fault> {
        if !is_write(&request) || !has_placeholder(&request.body) {
            return Ok((request, false));
        }
        let mut body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| refused("a placeholder for a credential is written back as JSON only"))?;
        let present = match request.method {
            Method::Post => Map::new(),
            _ => self.present(&request.path).await?,
        };
        match &mut body {
            Value::Object(object) => input::restore(object, &present),
            Value::Array(operations) => {
                for operation in operations {
                    let path = operation.get("path").and_then(Value::as_str);
                    let path = path.unwrap_or_default().to_owned();
                    if path.starts_with(INSIDE) && has_placeholder(operation.to_string().as_bytes())
                    {
                        return Err(refused(
                            "a placeholder for a credential is written back with all of spec.authInfo.providers",
                        ));
                    }
                    let Some(value) = operation.get_mut("value") else {
                        continue;
                    };
                    let Some(mut part) = as_object(&path, value.clone()) else {
                        continue;
                    };
                    input::restore(&mut part, &present);
                    if let Some(restored) = Value::Object(part).pointer_mut(&path) {
                        *value = restored.take();
                    }
                }
            }
            _ => {}
        }
        request.body = body.to_string().into();
        Ok((request, true))
    }
}

#[async_trait]
impl Connection for Inline {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        check_form(&request)?;
        check_patch(&request)?;
        let changes = matches!(request.method, Method::Put | Method::Patch);
        let changed = changes.then(|| request.path.clone());
        let (request, has_credential) = self.restored(request).await?;
        let mut response = self.inner.request(request).await?;
        let is_done = matches!(response.status, 200..=299);
        let is_withheld = !is_done
            && match changed {
                _ if has_credential => true,
                Some(path) => self.may_quote(&path).await,
                None => false,
            };
        response.body = match is_withheld {
            true => reason_only(response.status, &response.body),
            false => self.hidden(response.body),
        };
        Ok(response)
    }

    async fn lines(&self, request: Request) -> Result<LineStream, Refusal> {
        // A write among them would pass by what is done to writes.
        if request.method != Method::Get {
            return Err(Refusal::Fault(refused("only reads are answered in lines")));
        }
        check_form(&request).map_err(Refusal::Fault)?;
        let lines = self.inner.lines(request).await?;
        let inline = Self {
            inner: self.inner.clone(),
            found: self.found.clone(),
        };
        Ok(lines
            .map(move |line| line.map(|line| inline.hidden(line)))
            .boxed())
    }

    async fn mapping(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault> {
        self.inner.mapping(group, version, kind).await
    }
}

#[cfg(test)]
mod tests;

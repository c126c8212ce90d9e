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

use super::compatible::{is_of_status, reason_only};

/// Keys of which an object with a credential has one, in any case.
const MARKS: [&str; 6] = [
    "token",
    "password",
    "clientKey",
    "client-key-data",
    "Conf",
    "kubectl.kubernetes.io/last-applied-configuration",
];

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

fn has_placeholder(body: &[u8]) -> bool {
    body.split(|byte| *byte == b'"')
        .any(|text| text == MASKED.as_bytes())
}

fn refused(message: &str) -> Fault {
    Fault::new(FaultReason::Denied, message)
}

/// Refuses answers in a form that is not searched.
fn check_form(request: &Request) -> Result<(), Fault> {
    let accepted = request.accept.as_deref().unwrap_or_default();
    let is_json = |form: &str| {
        let form = form.split(';').next().unwrap_or_default().trim();
        form.is_empty() || form == "application/json"
    };
    match accepted.split(',').all(is_json) {
        true => Ok(()),
        false => Err(refused("the central cluster is asked for JSON only")),
    }
}

/// Refuses a patch that compares or copies what could be a credential.
fn check_patch(request: &Request) -> Result<(), Fault> {
    if request.method != Method::Patch {
        return Ok(());
    }
    let operations = serde_json::from_slice::<Vec<Value>>(&request.body).unwrap_or_default();
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

/// Calls `each` with everything that is an object of the API: alone, in a list, or in an event.
fn objects(value: &mut Value, each: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| objects(item, each)),
        Value::Object(fields) => {
            if fields.contains_key("metadata") || fields.contains_key("spec") {
                each(fields);
            }
            fields.values_mut().for_each(|field| objects(field, each));
        }
        _ => {}
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
    async fn present(&self, request: &Request) -> Result<Map<String, Value>, Fault> {
        if request.method == Method::Post {
            return Ok(Map::new());
        }
        let path = match request.path.strip_suffix("/status") {
            Some(object) if is_of_status(&request.path) => object,
            _ => &request.path,
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

    /// The request as it goes out, and whether a credential is in it.
    async fn restored(&self, mut request: Request) -> Result<(Request, bool), Fault> {
        let writes = matches!(request.method, Method::Post | Method::Put | Method::Patch);
        if !writes || !has_placeholder(&request.body) {
            return Ok((request, false));
        }
        let mut body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| refused("a placeholder for a credential is written back as JSON only"))?;
        let present = self.present(&request).await?;
        match &mut body {
            Value::Object(object) => input::restore(object, &present),
            Value::Array(operations) => {
                for operation in operations {
                    let path = operation.get("path").and_then(Value::as_str);
                    let path = path.unwrap_or_default().to_owned();
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
        let (request, has_credential) = self.restored(request).await?;
        let mut response = self.inner.request(request).await?;
        response.body = match response.status {
            200..=299 => self.hidden(response.body),
            status if has_credential => reason_only(status, &response.body),
            _ => self.hidden(response.body),
        };
        Ok(response)
    }

    async fn lines(&self, request: Request) -> Result<LineStream, Refusal> {
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
mod tests {
    use std::sync::Mutex;

    use super::*;

    const OBJECT: &str = "/apis/clusterregistry.k8s.io/v1alpha1/clusters/a";

    /// An API server with one object; it keeps what it is sent.
    #[derive(Debug)]
    struct Server {
        status: u16,
        sent: Mutex<Vec<Request>>,
    }

    fn stored() -> Value {
        json!({"metadata": {"name": "a", "uid": "1", "annotations": {"Conf": "k8s"}},
            "spec": {"authInfo": {"providers": [{"name": "p", "config": {"token": "s3cret"}}]}}})
    }

    #[async_trait]
    impl Connection for Server {
        fn name(&self) -> &str {
            "central"
        }
        async fn request(&self, request: Request) -> Result<Response, Fault> {
            let is_read = request.method == Method::Get;
            let body = match is_read {
                true => stored().to_string().into(),
                false => request.body.clone(),
            };
            self.sent.lock().unwrap().push(request);
            Ok(Response {
                status: if is_read { 200 } else { self.status },
                headers: Vec::new(),
                body,
                phases: optikon_core::words::Phases::default(),
            })
        }
        async fn lines(&self, _: Request) -> Result<LineStream, Refusal> {
            let event = json!({"type": "MODIFIED", "object": stored()}).to_string();
            let line: Result<Bytes, Fault> = Ok(event.into());
            Ok(futures::stream::iter([line]).boxed())
        }
        async fn mapping(&self, _: &str, _: &str, _: &str) -> Result<Option<Mapping>, Fault> {
            Ok(None)
        }
    }

    fn over(status: u16) -> (Inline, Arc<Server>) {
        let server = Arc::new(Server {
            status,
            sent: Mutex::default(),
        });
        let inline = Inline {
            inner: server.clone(),
            found: Arc::default(),
        };
        (inline, server)
    }

    fn write(method: Method, body: &Value) -> Request {
        Request {
            method,
            body: body.to_string().into(),
            ..Request::get(OBJECT)
        }
    }

    fn text(bytes: &Bytes) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[tokio::test]
    async fn a_plugin_writes_back_what_it_never_sees() {
        let (inline, server) = over(200);
        let read = inline.request(Request::get(OBJECT)).await.unwrap();
        let shown: Value = serde_json::from_slice(&read.body).unwrap();
        assert_eq!(
            shown["spec"]["authInfo"]["providers"][0]["config"]["token"],
            MASKED
        );
        let line = inline
            .lines(Request::get(OBJECT))
            .await
            .unwrap()
            .next()
            .await;
        assert!(!text(&line.unwrap().unwrap()).contains("s3cret"));

        let whole = json!([{"op": "test", "path": "/metadata/uid", "value": "1"},
            {"op": "add", "path": "/metadata/annotations", "value": shown["metadata"]["annotations"]},
            {"op": "add", "path": "/spec", "value": shown["spec"]}]);
        for (method, body) in [
            (Method::Put, &shown),
            (Method::Patch, &whole),
            (Method::Patch, &shown),
        ] {
            let answer = inline.request(write(method, body)).await.unwrap();
            let sent = server.sent.lock().unwrap().pop().unwrap();
            let sent = text(&sent.body);
            assert!(
                sent.contains("s3cret") && sent.contains("k8s") && !sent.contains(MASKED),
                "{sent}"
            );
            if body.is_object() {
                assert!(!text(&answer.body).contains("s3cret"));
            }
        }
        // A new object has nothing that a placeholder could stand for.
        inline.request(write(Method::Post, &shown)).await.unwrap();
        let sent = server.sent.lock().unwrap().pop().unwrap();
        assert!(!text(&sent.body).contains("s3cret"));
        let (inline, _) = over(409);
        let refused = inline.request(write(Method::Put, &shown)).await.unwrap();
        assert!(
            !text(&refused.body).contains("s3cret"),
            "an error quotes what was sent"
        );
    }

    #[tokio::test]
    async fn no_request_tells_what_a_placeholder_stands_for() {
        let (inline, server) = over(200);
        for operation in [
            json!({"op": "test", "path": "/spec/authInfo/providers/0/config/token", "value": "guess"}),
            json!({"op": "test", "path": "/metadata/annotations/Conf", "value": "guess"}),
            json!({"op": "test", "path": "/spec", "value": {}}),
            json!({"op": "copy", "from": "/spec/authInfo", "path": "/spec/other"}),
            json!({"op": "move", "from": "/metadata/annotations/Conf", "path": "/metadata/labels/x"}),
            json!({"op": "copy", "from": "", "path": "/other"}),
        ] {
            let request = write(Method::Patch, &json!([operation]));
            let fault = inline.request(request).await.unwrap_err();
            assert_eq!(fault.reason, FaultReason::Denied, "{operation}");
        }
        for form in [
            "application/vnd.kubernetes.protobuf",
            "application/yaml, application/json",
        ] {
            let mut request = Request::get(OBJECT);
            request.accept = Some(form.into());
            let fault = inline.request(request).await.unwrap_err();
            assert_eq!(fault.reason, FaultReason::Denied, "{form}");
        }
        assert!(server.sent.lock().unwrap().is_empty());
        let table = "application/json;as=Table;g=meta.k8s.io;v=v1, application/json";
        let mut request = Request::get(OBJECT);
        request.accept = Some(table.into());
        inline.request(request).await.unwrap();
        assert!(inline.hidden("a \"token\" in no JSON".into()).is_empty());
    }
}

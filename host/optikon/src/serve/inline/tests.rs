//! A plugin's connection over an API server with one object.

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
    // As a writer in Go spells it.
    let mut spelled = write(Method::Put, &shown);
    let body = text(&spelled.body).replace(MASKED, "\\u003cmasked\\u003e");
    spelled.body = body.into();
    inline.request(spelled).await.unwrap();
    let sent = server.sent.lock().unwrap().pop().unwrap();
    assert!(text(&sent.body).contains("s3cret"));
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
    // … or what a patch would have made of the object.
    let (inline, _) = over(422);
    let quoting = json!([{"op": "add", "path": "/spec/x", "value": "around s3cret"}]);
    let refused = inline.request(write(Method::Patch, &quoting)).await;
    assert!(!text(&refused.unwrap().body).contains("s3cret"));
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
        "application/json;as=Table;g=meta.k8s.io;v=v1, application/json",
        "application/vnd.kubernetes.protobuf",
        "application/yaml, application/json",
    ] {
        let mut request = Request::get(OBJECT);
        request.accept = Some(form.into());
        let fault = inline.request(request).await.unwrap_err();
        assert_eq!(fault.reason, FaultReason::Denied, "{form}");
    }
    assert!(server.sent.lock().unwrap().is_empty());
    // What is read there and not here could be anything.
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let copy = r#"{"op":"copy","from":"/spec/authInfo","path":"/spec/other"}"#;
    let add = format!(r#"{{"op":"add","path":"/spec/x","value":{deep}}}"#);
    let token = "/spec/authInfo/providers/0/config/token";
    let placeholder = json!({"op": "replace", "path": token, "value": MASKED}).to_string();
    for body in [format!(" [{add},{copy}]"), format!("[{placeholder}]")] {
        let mut request = write(Method::Patch, &Value::Null);
        request.body = body.clone().into();
        let fault = inline.request(request).await.unwrap_err();
        assert_eq!(fault.reason, FaultReason::Denied, "{body}");
    }
    server.sent.lock().unwrap().clear();
    let patch = write(
        Method::Patch,
        &json!([{"op": "copy", "from": "/spec", "path": "/x"}]),
    );
    let refused = inline.lines(patch).await.err().unwrap();
    assert!(matches!(refused, Refusal::Fault(fault) if fault.reason == FaultReason::Denied));
    assert!(server.sent.lock().unwrap().is_empty());
    let metadata =
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    let mut request = Request::get(OBJECT);
    request.accept = Some(metadata.into());
    inline.request(request).await.unwrap();
    assert!(inline.hidden("a \"token\" in no JSON".into()).is_empty());
}

#[test]
fn what_looks_like_an_object_inside_of_one_is_data() {
    let mut seen = Vec::new();
    let inner = json!({"metadata": {"name": "victim"}, "spec": {}});
    let object = json!({"metadata": {"name": "own"}, "spec": {"other": inner}});
    for mut answer in [
        object.clone(),
        json!({"type": "ADDED", "object": object}),
        json!({"metadata": {}, "items": [object]}),
    ] {
        objects(&mut answer, &mut |o| {
            seen.push(o["metadata"]["name"].clone())
        });
    }
    assert_eq!(seen, ["own", "own", "own"]);
}

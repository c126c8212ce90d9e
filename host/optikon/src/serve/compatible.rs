//! The compatible mode: tools of 2018 read a cluster's token from its object, so it is put there on the way out.
//!
//! The plugin writes a reference, as always; the token is added to the request's body behind its back, and taken out of
//! every answer before the plugin sees it: by what stands beside it, so that requests which would part the two are refused,
//! and errors, which quote what was sent, keep their reason only. Whoever may read clusters on the central cluster then reads
//! their tokens.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use optikon_core::{
    flows::input::REFERENCE_KIND,
    ports::{Connection, Vault},
    words::{
        Credential, Fault, FaultReason, LineStream, Mapping, Method, Refusal, Request, Response,
    },
};
use serde_json::{Value, json};

/// A connection to the central cluster for a plugin.
#[derive(Debug)]
pub(super) struct Compatible {
    pub(super) inner: Arc<dyn Connection>,
    pub(super) vault: Arc<dyn Vault>,
}

/// Calls `each` with the `config` of every provider that is a reference of ours.
fn references<'a>(value: &'a mut Value, found: &mut Vec<&'a mut serde_json::Map<String, Value>>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| references(item, found)),
        Value::Object(fields) => {
            let kind = fields.get("type").and_then(|t| t.get("name"));
            if kind.and_then(Value::as_str) == Some(REFERENCE_KIND) {
                if let Some(Value::Object(config)) = fields.get_mut("config") {
                    found.push(config);
                }
            } else {
                fields
                    .values_mut()
                    .for_each(|field| references(field, found));
            }
        }
        _ => {}
    }
}

/// Whether it is worth parsing.
fn mentions(bytes: &[u8]) -> bool {
    let word = REFERENCE_KIND.as_bytes();
    bytes.windows(word.len()).any(|window| window == word)
}

/// The same without tokens.
fn masked(bytes: Bytes) -> Bytes {
    if !mentions(&bytes) {
        return bytes;
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) else {
        // Nothing that a plugin could read, and nothing that could be searched.
        return Bytes::new();
    };
    let mut found = Vec::new();
    references(&mut value, &mut found);
    for config in found {
        config.remove("token");
    }
    value.to_string().into()
}

/// Whether a request has an object, or a part of one, in its body.
pub(super) fn is_write(request: &Request) -> bool {
    matches!(request.method, Method::Post | Method::Put | Method::Patch)
}

/// From the front: a cluster, or a namespace, may have any name.
pub(super) fn is_of_status(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    matches!(
        segments.as_slice(),
        ["", "apis", _, _, "namespaces", _, _, _, "status"] | ["", "apis", _, _, _, _, "status"]
    )
}

/// Whether a patch could leave a token where it is and change or move what tells that it is one. What replaces a whole part
/// cannot, and the status is none of it.
fn parts(request: &Request) -> bool {
    if request.method != Method::Patch || is_of_status(&request.path) {
        return false;
    }
    let operations = serde_json::from_slice::<Vec<Value>>(&request.body).unwrap_or_default();
    let is_whole = |operation: &Value| {
        let text = |key: &str| operation.get(key).and_then(Value::as_str);
        let path = text("path").unwrap_or_default();
        matches!(text("op"), Some("add" | "remove" | "replace" | "test"))
            && (path.starts_with("/metadata/") || path.matches('/').count() == 1)
    };
    operations.is_empty() || !operations.iter().all(is_whole)
}

/// The reason of an error without its words.
pub(super) fn reason_only(status: u16, body: &[u8]) -> Bytes {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    // A word of Kubernetes', never longer.
    let reason = said.get("reason").and_then(Value::as_str);
    let reason = reason.filter(|r| r.len() <= 32 && r.bytes().all(|b| b.is_ascii_alphabetic()));
    let message = "the central cluster's words are withheld: they may quote a token that was sent";
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason, "message": message,
    })
    .to_string()
    .into()
}

impl Compatible {
    /// The request as it goes out, and whether a token is in it.
    async fn with_tokens(&self, mut request: Request) -> Result<(Request, bool), Fault> {
        if !is_write(&request) || !mentions(&request.body) {
            return Ok((request, false));
        }
        let mut has_token = false;
        let bad = |message: String| Fault::new(FaultReason::Protocol, message);
        let mut value: Value = serde_json::from_slice(&request.body)
            .map_err(|_| bad("a body that refers to a credential is no JSON".into()))?;
        let mut found = Vec::new();
        references(&mut value, &mut found);
        for config in found {
            let Some(id) = config.get("id").and_then(Value::as_str) else {
                continue;
            };
            let entry = self.vault.open(id).await;
            let entry =
                entry.map_err(|e| Fault::new(FaultReason::CredentialUnreadable, e.to_string()))?;
            // Certificates and passwords had no place in 2018.
            if let Some(Credential::Token(token)) = entry.map(|entry| entry.credential) {
                config.insert("token".into(), token.expose().as_str().into());
                has_token = true;
            }
        }
        request.body = value.to_string().into();
        Ok((request, has_token))
    }
}

#[async_trait]
impl Connection for Compatible {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        if parts(&request) {
            let message =
                "in compatible mode a patch replaces whole parts of an object: [vault] compatible";
            return Err(Fault::new(FaultReason::Denied, message));
        }
        let (request, has_token) = self.with_tokens(request).await?;
        let mut response = self.inner.request(request).await?;
        response.body = match response.status {
            200..=299 => masked(response.body),
            status if has_token => reason_only(status, &response.body),
            _ => masked(response.body),
        };
        Ok(response)
    }

    async fn lines(&self, request: Request) -> Result<LineStream, Refusal> {
        let lines = self.inner.lines(request).await?;
        Ok(lines.map(|line| line.map(masked)).boxed())
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
    use super::*;

    #[test]
    fn a_token_of_ours_is_taken_out_wherever_it_stands() {
        let provider = |token: bool| {
            let mut config = json!({"id": "1"});
            if token {
                config["token"] = "s3cret".into();
            }
            json!({"type": {"name": REFERENCE_KIND}, "config": config})
        };
        let other = json!({"type": {"name": "other"}, "config": {"token": "theirs"}});
        let list = |token: bool| json!({"items": [{"spec": {"authInfo": {"providers": [provider(token), other]}}}]});
        let bytes = masked(list(true).to_string().into());
        assert_eq!(
            serde_json::from_slice::<Value>(&bytes).unwrap(),
            list(false)
        );
        let broken = format!("{{ {REFERENCE_KIND} s3cret");
        assert!(masked(broken.into()).is_empty());
    }

    #[test]
    fn an_error_that_quotes_a_token_keeps_its_reason_only() {
        let said = json!({"kind": "Status", "reason": "AlreadyExists", "message": "|\"token\":\"s3cr", "details": {"name": "s3cret"}});
        let kept = reason_only(409, said.to_string().as_bytes());
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        assert_eq!(kept["reason"], "AlreadyExists");
        assert!(!kept.to_string().contains("s3cr"), "{kept}");
        let odd = json!({"reason": "s3cret!"}).to_string();
        let odd: Value = serde_json::from_slice(&reason_only(400, odd.as_bytes())).unwrap();
        assert_eq!(odd["reason"], Value::Null);
        let text: Value = serde_json::from_slice(&reason_only(500, b"s3cret")).unwrap();
        assert_eq!(text["code"], 500);
    }

    #[test]
    fn nothing_parts_a_token_from_what_tells_that_it_is_one() {
        let patch = |body: Value| Request {
            method: Method::Patch,
            body: body.to_string().into(),
            ..Request::get("/apis/clusterregistry.k8s.io/v1alpha1/clusters/a")
        };
        let deep = "/spec/authInfo/providers/0/type/name";
        for body in [
            json!([{"op": "replace", "path": deep, "value": "other"}]),
            json!([{"op": "move", "from": "/spec", "path": "/other"}]),
            json!([{"op": "copy", "from": "/spec/authInfo", "path": "/metadata/annotations"}]),
            json!([{"op": "test", "path": "/spec/authInfo/providers/0/config/token", "value": "a"}]),
            json!({"spec": {"authInfo": null}}),
            json!([]),
        ] {
            assert!(parts(&patch(body.clone())), "{body}");
        }
        let whole = json!([{"op": "test", "path": "/metadata/uid", "value": "1"},
            {"op": "add", "path": "/metadata/labels", "value": {}}, {"op": "add", "path": "/spec", "value": {}}]);
        assert!(!parts(&patch(whole)));
        let status = Request {
            path: "/apis/clusterregistry.k8s.io/v1alpha1/clusters/a/status".into(),
            ..patch(json!({"status": {}}))
        };
        assert!(!parts(&status));
        for path in ["", "/namespaces/clusters"] {
            let named = Request {
                path: format!("/apis/clusterregistry.k8s.io/v1alpha1{path}/clusters/status"),
                ..patch(json!({"status": {}}))
            };
            assert!(parts(&named), "{}", named.path);
        }
    }
}

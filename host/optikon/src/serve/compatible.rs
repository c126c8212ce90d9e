//! The compatible mode: tools of 2018 read a cluster's token from its object, so it is put there on the way out.
//!
//! The plugin writes a reference, as always; the token is added to the request's body behind its back, and taken out of
//! every answer before the plugin sees it. Whoever may read clusters on the central cluster then reads their tokens.

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
use serde_json::Value;

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

impl Compatible {
    async fn with_tokens(&self, mut request: Request) -> Result<Request, Fault> {
        let writes = matches!(request.method, Method::Post | Method::Put | Method::Patch);
        if !writes || !mentions(&request.body) {
            return Ok(request);
        }
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
            }
        }
        request.body = value.to_string().into();
        Ok(request)
    }
}

#[async_trait]
impl Connection for Compatible {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        let request = self.with_tokens(request).await?;
        let mut response = self.inner.request(request).await?;
        response.body = masked(response.body);
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
    use serde_json::json;

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
}

//! Renews the tokens that `optikon cluster bootstrap` made, by the right of each account on itself.
//!
//! The annotation says whose token it is and which Secret revokes it. Somebody else may have written it, so it counts only
//! where the token itself says the same; and what comes back is sealed for the same cluster, bound as before.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{clusters::Clusters, input, mirror::Entry};
use crate::{
    error::{Error, Result},
    words::{Credential, Method, Request, Rules, Secret},
};

/// `namespace/account/secret`.
pub const ACCOUNT: &str = "optikon.io/account";
/// How often it is looked for tokens that are due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Of a token's life, in tenths.
const DUE_TENTHS: u64 = 8;

/// Whose token it is, from its payload.
struct Claims {
    subject: String,
    issued_s: u64,
    expires_s: u64,
}

fn claims(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let json: Value = serde_json::from_slice(&json).ok()?;
    Some(Claims {
        subject: json.get("sub")?.as_str()?.to_owned(),
        issued_s: json.get("iat")?.as_u64()?,
        expires_s: json.get("exp")?.as_u64()?,
    })
}

/// The request that renews a token when it is due; none when it is not, or not ours to renew.
fn due(annotation: &str, token: &str, now_s: u64) -> Option<Request> {
    let mut parts = annotation.split('/');
    let (namespace, account, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let is_name = |text: &str| {
        let is_part =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        !text.is_empty() && text.len() <= 253 && !text.starts_with('.') && text.chars().all(is_part)
    };
    if parts.next().is_some() || ![namespace, account, secret].into_iter().all(is_name) {
        return None;
    }
    let claims = claims(token)?;
    if claims.subject != format!("system:serviceaccount:{namespace}:{account}") {
        return None;
    }
    let life = claims.expires_s.checked_sub(claims.issued_s)?;
    if now_s < claims.issued_s.saturating_add(life / 10 * DUE_TENTHS) || now_s >= claims.expires_s {
        return None;
    }
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": life,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": secret}},
    });
    Some(Request {
        method: Method::Post,
        body: body.to_string().into(),
        ..Request::get(format!(
            "/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        ))
    })
}

impl Clusters {
    /// Renews until dropped.
    pub async fn renew(&self) {
        loop {
            let (entries, _) = self.mirror.all();
            for entry in entries {
                match self.renew_one(&entry).await {
                    Ok(false) => {}
                    Ok(true) => {
                        tracing::info!(cluster = %entry.cluster.name(), "renewed the token");
                    }
                    Err(error) => {
                        tracing::warn!(cluster = %entry.cluster.name(), %error, "the token could not be renewed");
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn renew_one(&self, entry: &Entry) -> Result<bool> {
        let Some(annotation) = entry.cluster.annotation(ACCOUNT) else {
            return Ok(false);
        };
        let Some(id) = input::reference_in(&entry.cluster) else {
            return Ok(false);
        };
        let away = |fault: crate::words::Fault| Error::unavailable(fault.message);
        let member = self
            .custody
            .member(&entry.cluster, &entry.uid)
            .await
            .map_err(away)?;
        let Some(Credential::Token(token)) = &member.credential else {
            return Ok(false);
        };
        let now_s = self.world.now_ms() / 1_000;
        let Some(request) = due(&annotation, token.expose(), now_s) else {
            return Ok(false);
        };
        let connection = self.outbound.connect(&member, Rules::Host, false);
        let response = connection.request(request).await.map_err(away)?;
        if response.status != 201 {
            return Err(Error::unavailable(format!(
                "the member answered {} to a token request; `optikon cluster rotate` gives it a new one",
                response.status
            )));
        }
        // An error of the parser could quote the token.
        let reply: Value = serde_json::from_slice(&response.body)
            .map_err(|_| Error::unavailable("the member's answer is not JSON"))?;
        let token = reply.pointer("/status/token").and_then(Value::as_str);
        let token = token.ok_or_else(|| Error::unavailable("the member gave no token"))?;
        let credential = Credential::Token(Secret::new(token.to_owned()));
        self.custody.renew(&id, &entry.uid, credential).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(subject: &str) -> String {
        let payload = json!({"sub": subject, "iat": 1_000, "exp": 2_000}).to_string();
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn a_token_is_due_at_four_fifths_of_its_life() {
        let own = token("system:serviceaccount:optikon:optikon");
        let ask = |now| due("optikon/optikon/optikon-token-1", &own, now).is_some();
        assert!(!ask(1_799) && ask(1_800) && ask(1_999) && !ask(2_000));
    }

    #[test]
    fn an_annotation_that_the_token_contradicts_renews_nothing() {
        let own = token("system:serviceaccount:optikon:optikon");
        for other in [
            "kube-system/admin/x",
            "optikon/optikon",
            "optikon/optikon/a/b",
            "optikon/../x",
            "",
        ] {
            assert!(due(other, &own, 1_900).is_none(), "{other}");
        }
        assert!(due("optikon/optikon/x", "opaque", 1_900).is_none());
    }
}

//! Access tokens: made here, shown once, kept as digests, revoked at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::health::rfc3339;
use crate::{
    error::{Error, Result},
    ports::{Documents, Table, World},
    words::{Caller, Role, Secret, Selector, hex},
};

/// What the secret scanners of code hosts look for.
const PREFIX: &str = "optikon_";
/// The first admin token's id, which `reset-admin` makes anew.
const ADMIN_ID: &str = "admin";

/// What is kept of a token: everything but the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRecord {
    /// For lists and revocation; part of the token itself.
    pub id: String,
    /// What its holder may do.
    pub role: Role,
    /// Which clusters it may know of; empty = all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Unix milliseconds of `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    /// SHA-256 of the whole token, hex. A token has 256 random bits: no slow hash is needed.
    digest: String,
}

/// The tokens, in memory and in the store.
#[derive(Debug)]
pub struct Tokens {
    documents: Arc<dyn Documents>,
    world: Arc<dyn World>,
    records: RwLock<BTreeMap<String, (TokenRecord, Selector)>>,
}

impl Tokens {
    /// Reads what the store has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn load(documents: Arc<dyn Documents>, world: Arc<dyn World>) -> Result<Self> {
        let mut records = BTreeMap::new();
        for (id, bytes) in documents
            .scan_documents(Table::Tokens, "", None, usize::MAX)
            .await?
        {
            let record: TokenRecord = serde_json::from_slice(&bytes)
                .map_err(|e| Error::Internal(format!("token record \"{id}\": {e}")))?;
            let selector = Selector::parse(&record.selector)?;
            records.insert(id, (record, selector));
        }
        Ok(Self {
            documents,
            world,
            records: RwLock::new(records),
        })
    }

    /// Whether nobody can get in yet.
    pub fn is_empty(&self) -> bool {
        self.records
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Makes a token and answers it, for the only time.
    ///
    /// # Errors
    /// `Invalid` for a bad selector, and what keeps the store from writing.
    pub async fn create(
        &self,
        caller: &Caller,
        role: Role,
        selector: &str,
        description: &str,
        lifetime: Option<Duration>,
    ) -> Result<(TokenRecord, Secret<String>)> {
        let mut random = [0; 6];
        self.world.random(&mut random);
        let id = hex(&random);
        self.mint(caller, id, role, selector, description, lifetime)
            .await
    }

    /// Makes the admin token anew; the old one ends at once.
    ///
    /// # Errors
    /// What keeps the store from writing.
    pub async fn reset_admin(&self) -> Result<Secret<String>> {
        let host = Caller::host();
        let made = self.mint(
            &host,
            ADMIN_ID.into(),
            Role::Admin,
            "",
            "made at the first start",
            None,
        );
        Ok(made.await?.1)
    }

    async fn mint(
        &self,
        caller: &Caller,
        id: String,
        role: Role,
        selector: &str,
        description: &str,
        lifetime: Option<Duration>,
    ) -> Result<(TokenRecord, Secret<String>)> {
        let parsed = Selector::parse(selector)?;
        if description.len() > 256 || description.chars().any(char::is_control) {
            return Err(Error::invalid(
                "description",
                "must be at most 256 bytes in one line",
            ));
        }
        let mut random = [0; 32];
        self.world.random(&mut random);
        let secret = hex(&random);
        let token = format!("{PREFIX}{id}_{secret}");
        let now = self.world.now_ms();
        let expires_ms =
            lifetime.map(|l| now.saturating_add(u64::try_from(l.as_millis()).unwrap_or(u64::MAX)));
        let record = TokenRecord {
            id: id.clone(),
            role,
            selector: selector.to_owned(),
            description: description.to_owned(),
            created: rfc3339(now),
            expires: expires_ms.map(rfc3339),
            expires_ms,
            digest: digest(&token),
        };
        let bytes = serde_json::to_vec(&record).map_err(|e| Error::Internal(e.to_string()))?;
        self.documents
            .write(vec![(Table::Tokens, id.clone(), Some(bytes))])
            .await?;
        let mut records = self.records.write().unwrap_or_else(PoisonError::into_inner);
        records.insert(id.clone(), (record.clone(), parsed));
        drop(records);
        self.audit(caller, "create", &id);
        Ok((record, Secret::new(token)))
    }

    /// Every token that is not revoked, by id.
    pub fn list(&self) -> Vec<TokenRecord> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.values().map(|(record, _)| record.clone()).collect()
    }

    /// Ends a token at once.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for the last admin token, so that nobody is locked out by accident.
    pub async fn revoke(&self, caller: &Caller, id: &str) -> Result<()> {
        {
            let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
            let (record, _) = records
                .get(id)
                .ok_or_else(|| Error::not_found("token", id))?;
            let admins = records
                .values()
                .filter(|(r, _)| r.role == Role::Admin)
                .count();
            if record.role == Role::Admin && admins == 1 {
                return Err(Error::Conflict {
                    message: format!(
                        "token \"{id}\" is the last one of role admin; create another first"
                    ),
                    revision: None,
                });
            }
        }
        self.documents
            .write(vec![(Table::Tokens, id.to_owned(), None)])
            .await?;
        self.records
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        self.audit(caller, "revoke", id);
        Ok(())
    }

    /// Who holds this token.
    ///
    /// # Errors
    /// `Unauthenticated`, the same words for every reason.
    pub fn authenticate(&self, token: &str) -> Result<Caller> {
        let refused =
            || Error::Unauthenticated("the token is not known, revoked or expired".into());
        let rest = token.strip_prefix(PREFIX).ok_or_else(refused)?;
        let (id, _) = rest.split_once('_').ok_or_else(refused)?;
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        let (record, selector) = records.get(id).ok_or_else(refused)?;
        let is_expired = record
            .expires_ms
            .is_some_and(|at| at <= self.world.now_ms());
        if is_expired || !is_same(&record.digest, &digest(token)) {
            return Err(refused());
        }
        Ok(Caller {
            name: format!("token:{id}"),
            role: record.role,
            selector: selector.clone(),
        })
    }

    fn audit(&self, caller: &Caller, verb: &str, id: &str) {
        self.documents.audit(json!({
            "time": rfc3339(self.world.now_ms()),
            "who": caller.name, "verb": verb, "kind": "token", "name": id, "outcome": "ok",
        }));
    }
}

fn digest(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

/// In a time that does not tell how much of it was right.
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |acc, (x, y)| acc | (x ^ y))
            == 0
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;
    use crate::flows::fakes::{FakeWorld, MemoryDocuments};

    #[tokio::test]
    async fn a_token_is_shown_once_kept_as_a_digest_and_ends_when_told() {
        let documents = Arc::new(MemoryDocuments::default());
        let world = Arc::new(FakeWorld::default());
        let tokens = Tokens::load(documents.clone(), world.clone())
            .await
            .unwrap();
        let admin = tokens.reset_admin().await.unwrap();
        let host = Caller::host();
        let (record, token) = tokens
            .create(
                &host,
                Role::Viewer,
                "env=prod",
                "",
                Some(Duration::from_secs(60)),
            )
            .await
            .unwrap();
        let rows = documents
            .scan_documents(Table::Tokens, "", None, 9)
            .await
            .unwrap();
        let kept: Vec<u8> = rows.into_iter().flat_map(|(_, v)| v).collect();
        assert!(
            !String::from_utf8(kept)
                .unwrap()
                .contains(token.expose().as_str())
        );

        let tokens = Tokens::load(documents, world.clone()).await.unwrap();
        assert_eq!(
            tokens.authenticate(token.expose()).unwrap().role,
            Role::Viewer
        );
        assert!(
            tokens
                .authenticate(&format!("{}0", token.expose()))
                .is_err()
        );
        assert!(tokens.authenticate("optikon_").is_err());
        world.now_ms.store(60_000, SeqCst);
        assert!(tokens.authenticate(token.expose()).is_err());

        tokens.revoke(&host, &record.id).await.unwrap();
        assert!(matches!(
            tokens.revoke(&host, &record.id).await,
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(
            tokens.revoke(&host, "admin").await,
            Err(Error::Conflict { .. })
        ));
        let again = tokens.reset_admin().await.unwrap();
        assert!(tokens.authenticate(admin.expose()).is_err());
        assert!(tokens.authenticate(again.expose()).is_ok());
    }
}

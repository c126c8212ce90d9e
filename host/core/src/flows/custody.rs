//! Credentials: sealed on arrival, bound to where they may be sent, opened for one connection.

use std::{collections::HashSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use x509_parser::pem::Pem;

use super::{
    found::{self, Found, Seen},
    input::{self, PROXY_URL, TLS_SERVER_NAME},
    secrets::{self, SecretReader},
};
use crate::{
    error::{Error, Result},
    ports::{Bound, Owner, Vault, VaultEntry, World},
    words::{Cluster, Credential, Fault, FaultReason, Member, Uid, hex, sha256},
};

/// A sealed entry that no object refers to is a leftover of a crash when it is older than this.
const ORPHAN_MS: u64 = 10 * 60 * 1000;
/// The address of Tiller in objects of 2018.
const DIRECT: &str = "Tiller";

/// Keeps credentials. Only this and outbound ever look inside one.
#[derive(Debug, Clone)]
pub struct Custody {
    vault: Arc<dyn Vault>,
    world: Arc<dyn World>,
    secrets: Option<SecretReader>,
    found: Arc<Found>,
}

impl Custody {
    /// Over a vault.
    pub fn new(vault: Arc<dyn Vault>, world: Arc<dyn World>) -> Self {
        Self {
            vault,
            world,
            secrets: None,
            found: Arc::default(),
        }
    }

    /// The same with credentials that other tools wrote into their objects.
    #[must_use]
    pub fn with_found(mut self, found: Arc<Found>) -> Self {
        self.found = found;
        self
    }

    /// The same with Secrets of a central cluster.
    #[must_use]
    pub fn with_secrets(mut self, secrets: SecretReader) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Seals a credential for the cluster described by `object` and answers its id. The uid is bound
    /// by [`Custody::settle`] once the registry gave one.
    pub async fn take(
        &self,
        credential: Credential,
        object: &Map<String, Value>,
        uid: Option<Uid>,
    ) -> Result<String> {
        let mut random = [0; 16];
        self.world.random(&mut random);
        let id = hex(&random);
        let bound = bound_of(&Cluster::from_object(object.clone())?, uid)?;
        let expires_ms = expires_ms(&credential);
        let entry = VaultEntry {
            bound,
            credential,
            created_ms: self.world.now_ms(),
            expires_ms,
        };
        self.vault.seal(&id, entry).await?;
        Ok(id)
    }

    /// Binds a sealed credential to the uid that the registry gave.
    pub async fn settle(&self, id: &str, uid: &Uid) -> Result<()> {
        let Some(mut entry) = self.vault.open(id).await? else {
            return Ok(());
        };
        entry.bound.uid = Some(uid.clone());
        self.vault.seal(id, entry).await
    }

    /// Says whose a sealed credential is.
    ///
    /// # Errors
    /// The vault's.
    pub async fn belongs_to(&self, id: &str, cluster: &Cluster) -> Result<()> {
        match owner_of(cluster) {
            Some(owner) => self.vault.belongs_to(id, &owner).await,
            None => Ok(()),
        }
    }

    /// Puts another credential in the place of one, bound as that was.
    ///
    /// # Errors
    /// `NotFound` when there is none for that cluster.
    pub async fn renew(&self, id: &str, uid: &Uid, credential: Credential) -> Result<()> {
        let entry = self.vault.open(id).await?;
        let entry = entry.filter(|entry| entry.bound.uid.as_ref() == Some(uid));
        let mut entry = entry.ok_or_else(|| Error::not_found("credential", id))?;
        entry.created_ms = self.world.now_ms();
        entry.expires_ms = expires_ms(&credential);
        entry.credential = credential;
        self.vault.seal(id, entry).await
    }

    /// Erases a credential.
    pub async fn release(&self, id: &str) -> Result<()> {
        self.vault.erase(id).await
    }

    /// Everything outbound needs for one member, after the binding was checked.
    ///
    /// # Errors
    /// A fault before anything is sent: `BadConfig`, `CredentialUnbound`, `CredentialUnreadable`.
    pub async fn member(&self, cluster: &Cluster, uid: &Uid) -> Result<Member, Fault> {
        let bad = |error: Error| Fault::new(FaultReason::BadConfig, error.to_string());
        // Held, so that it is parsed once for all that is read of it.
        let object = cluster.object();
        let endpoints = cluster.endpoints().map_err(bad)?;
        if endpoints.is_empty() {
            let message = "the cluster has no server address; set spec.kubernetesApiEndpoints.serverEndpoints";
            return Err(Fault::new(FaultReason::BadConfig, message));
        }
        let mut ca = cluster.ca().map_err(bad)?;
        let credential = match input::reference_of(&object) {
            Some(id) => Some(self.open(id, cluster, uid).await?),
            None => match secrets::reference(cluster)? {
                None if input::is_hidden_in(cluster) => {
                    let (id, entry) = self.adopt(cluster, uid).await?;
                    Some(self.checked(&id, entry, cluster, uid).await?)
                }
                None => None,
                Some(reference) => {
                    let reader = self.secrets.as_ref().ok_or_else(|| {
                        let message = "spec.authInfo.controller names a Secret, which needs a central cluster; give the credential inline";
                        Fault::new(FaultReason::CredentialUnreadable, message)
                    })?;
                    let bound = bound_of(cluster, Some(uid.clone())).map_err(bad)?;
                    let found = reader.credential(&reference, cluster, uid, bound).await?;
                    ca = ca.or(found.ca);
                    Some(found.credential)
                }
            },
        };
        Ok(Member {
            name: cluster.name().clone(),
            uid: uid.clone(),
            endpoints,
            ca,
            tls_server_name: cluster.annotation(TLS_SERVER_NAME),
            proxy_url: cluster.annotation(PROXY_URL),
            direct: cluster.annotation(DIRECT),
            credential,
        })
    }

    /// Seals what another tool wrote into an object, bound to the addresses that stood beside it; the same one stays bound to
    /// those it was first seen with.
    ///
    /// # Errors
    /// `CredentialUnreadable` when nothing that can be used was seen, at this start or before.
    pub(in crate::flows) async fn adopt(
        &self,
        cluster: &Cluster,
        uid: &Uid,
    ) -> Result<(String, VaultEntry), Fault> {
        let unreadable = |message: String| Fault::new(FaultReason::CredentialUnreadable, message);
        let failed = |error: Error| unreadable(format!("the credential in the object: {error}"));
        let own = cluster.uid().ok_or_else(|| {
            unreadable("the registry gives the object no uid; give the credential here".into())
        })?;
        let id = found::id_of(&own);
        let known = self.vault.open(&id).await.map_err(failed)?;
        let entry = match (self.found.of(&own), known) {
            (Some(seen), Some(known)) if known.credential == seen.credential => known,
            (Some(Seen { credential, bound }), _) => {
                let entry = VaultEntry {
                    bound: Bound {
                        uid: Some(uid.clone()),
                        ..bound
                    },
                    created_ms: self.world.now_ms(),
                    expires_ms: expires_ms(&credential),
                    credential,
                };
                self.vault.seal(&id, entry.clone()).await.map_err(failed)?;
                entry
            }
            (None, Some(known)) => known,
            (None, None) => {
                return Err(unreadable(
                    "the credential in the object is of no form that is known, or was not read yet; give it here".into(),
                ));
            }
        };
        Ok((id, entry))
    }

    /// Erases what was kept of a credential in an object that is gone.
    pub(in crate::flows) fn forget_found(&self, uid: &Uid) {
        self.found.forget(uid);
    }

    async fn open(&self, id: &str, cluster: &Cluster, uid: &Uid) -> Result<Credential, Fault> {
        let unreadable = |message: String| Fault::new(FaultReason::CredentialUnreadable, message);
        let entry = self
            .vault
            .open(id)
            .await
            .map_err(|error| unreadable(format!("the credential cannot be opened: {error}")))?
            .ok_or_else(|| unreadable("the credential is gone; register it again".into()))?;
        self.checked(id, entry, cluster, uid).await
    }

    /// What was opened, if it was given for this cluster as it is.
    async fn checked(
        &self,
        id: &str,
        entry: VaultEntry,
        cluster: &Cluster,
        uid: &Uid,
    ) -> Result<Credential, Fault> {
        let unreadable = |message: String| Fault::new(FaultReason::CredentialUnreadable, message);
        let present = bound_of(cluster, Some(uid.clone()))
            .map_err(|error| Fault::new(FaultReason::BadConfig, error.to_string()))?;
        if entry.bound.uid.is_none() {
            // A crash between the registry's answer and the binding: the id is unguessable, so the
            // object that carries it is the one it was sealed for.
            if (Bound {
                uid: None,
                ..present.clone()
            }) == entry.bound
            {
                self.settle(id, uid)
                    .await
                    .map_err(|error| unreadable(error.to_string()))?;
                return Ok(entry.credential);
            }
        } else if entry.bound == present {
            return Ok(entry.credential);
        }
        let what = if entry.bound.uid != present.uid {
            "another cluster"
        } else if entry.bound.endpoints != present.endpoints {
            "other addresses"
        } else if entry.bound.ca_digest != present.ca_digest {
            "another CA"
        } else if entry.bound.proxy_url != present.proxy_url {
            "another proxy"
        } else {
            "another TLS name"
        };
        Err(Fault::new(
            FaultReason::CredentialUnbound,
            format!(
                "the credential was given for {what}; nothing was sent; give the credential again"
            ),
        ))
    }

    /// Unix milliseconds at which a cluster's credential ends, where it says so.
    pub async fn expiries(&self) -> Result<Vec<(Uid, u64)>> {
        let bounds = self.vault.bounds().await?;
        Ok(bounds
            .into_values()
            .filter_map(|(b, at)| Some((b.uid?, at?)))
            .collect())
    }

    /// Erases what no object refers to any more: leftovers of a crash between two writes.
    pub async fn sweep(&self, referenced: &HashSet<String>) -> Result<usize> {
        let now = self.world.now_ms();
        let mut erased = 0;
        for id in self.vault.ids().await? {
            if referenced.contains(&id) {
                continue;
            }
            let is_old = match self.vault.open(&id).await {
                Ok(Some(entry)) => now.saturating_sub(entry.created_ms) > ORPHAN_MS,
                Ok(None) => false,
                // Unreadable without the key: kept, the key may come back.
                Err(_) => false,
            };
            if is_old {
                self.vault.erase(&id).await?;
                erased += 1;
            }
        }
        Ok(erased)
    }
}

/// The object as its registry knows it; none where that gives no uids.
pub(super) fn owner_of(cluster: &Cluster) -> Option<Owner> {
    let object = cluster.object();
    let namespace = object.get("metadata")?.get("namespace");
    Some(Owner {
        name: cluster.name().to_string(),
        uid: cluster.uid()?.as_str().to_owned(),
        namespace: namespace.and_then(Value::as_str).map(str::to_owned),
    })
}

/// What a credential for this object is bound to.
pub(super) fn bound_of(cluster: &Cluster, uid: Option<Uid>) -> Result<Bound> {
    let mut endpoints: Vec<String> = cluster.endpoints()?.into_iter().map(|e| e.url).collect();
    endpoints.sort();
    let ca_digest = cluster.ca()?.map(|pem| sha256(pem.as_bytes()));
    Ok(Bound {
        uid,
        endpoints,
        ca_digest,
        tls_server_name: cluster.annotation(TLS_SERVER_NAME),
        proxy_url: cluster.annotation(PROXY_URL),
    })
}

/// When a credential says that it ends: a JWT's `exp`, a certificate's `notAfter`.
fn expires_ms(credential: &Credential) -> Option<u64> {
    let seconds = match credential {
        Credential::Token(token) => {
            let payload = token.expose().split('.').nth(1)?;
            let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
            serde_json::from_slice::<Value>(&json)
                .ok()?
                .get("exp")?
                .as_u64()?
        }
        Credential::ClientCertificate { certificate, .. } => {
            let block = Pem::iter_from_buffer(certificate.as_bytes()).next()?.ok()?;
            let end = block.parse_x509().ok()?.validity().not_after.timestamp();
            u64::try_from(end).ok()?
        }
        Credential::Basic { .. } => return None,
    };
    seconds.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flows::fakes::{FakeWorld, MemoryVault},
        words::Secret,
    };

    fn cluster(server: &str, id: Option<&str>) -> Cluster {
        let value = serde_json::json!({"name": "e", "server": server});
        let mut object = input::read(value, None, input::Unknown::Refuse)
            .unwrap()
            .object;
        input::set_reference(&mut object, id, true);
        Cluster::from_object(object).unwrap()
    }

    #[tokio::test]
    async fn a_credential_goes_only_where_it_was_given_for() {
        let vault = Arc::new(MemoryVault::default());
        let custody = Custody::new(vault, Arc::new(FakeWorld::default()));
        let uid: Uid = "u1".parse().unwrap();
        let token = Credential::Token(Secret::new("s3cret".into()));
        let id = custody
            .take(token.clone(), &cluster("a:1", None).object(), None)
            .await
            .unwrap();
        custody.settle(&id, &uid).await.unwrap();

        let member = custody
            .member(&cluster("a:1", Some(&id)), &uid)
            .await
            .unwrap();
        assert_eq!(member.credential, Some(token));
        let reason = |result: Result<Member, Fault>| result.unwrap_err().reason;
        let moved = custody.member(&cluster("b:1", Some(&id)), &uid).await;
        assert_eq!(reason(moved), FaultReason::CredentialUnbound);
        let namesake = custody
            .member(&cluster("a:1", Some(&id)), &"u2".parse().unwrap())
            .await;
        assert_eq!(reason(namesake), FaultReason::CredentialUnbound);
        custody.release(&id).await.unwrap();
        let gone = custody.member(&cluster("a:1", Some(&id)), &uid).await;
        assert_eq!(reason(gone), FaultReason::CredentialUnreadable);
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(r#"{"exp":1700000000}"#));
        assert_eq!(
            expires_ms(&Credential::Token(Secret::new(token))),
            Some(1_700_000_000_000)
        );
        assert_eq!(
            expires_ms(&Credential::Token(Secret::new("opaque".into()))),
            None
        );
    }
}

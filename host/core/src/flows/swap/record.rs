//! What fills a slot, as it lasts: what is no secret as a document, the rest sealed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Migrate;
use crate::{
    error::{Error, Result},
    ports::{Documents, Filling, Table, Vault},
    words::{
        ClusterName, Credential, Endpoint, Member, PluginName, ResourceGrant, Secret, SlotName, Uid,
    },
};

/// So many earlier fillings are kept.
pub(super) const KEPT: usize = 5;

/// One filling, without its secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Of the sealed part, and of what the registry held when it was left.
    pub(super) id: String,
    pub(super) plugin: PluginName,
    pub(super) digest: Option<String>,
    pub(super) grants: Vec<String>,
    #[serde(default)]
    pub(super) central_grants: Option<Vec<ResourceGrant>>,
    pub(super) limits: Map<String, Value>,
    /// The central cluster's address, for people.
    #[serde(default)]
    pub(super) central: Option<String>,
    /// Unix milliseconds since when it served.
    pub(super) since_ms: u64,
    /// How it took over.
    pub(super) migrate: Migrate,
    /// Whether it came back by a rollback.
    #[serde(default)]
    pub(super) is_back: bool,
    /// The mirror's number right after it took over: what is newer was changed since.
    #[serde(default)]
    pub(super) version: u64,
}

/// A slot's fillings: the present one first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct History {
    pub(super) fillings: Vec<Record>,
}

/// The sealed part.
#[derive(Serialize, Deserialize)]
struct Sealed {
    config: Map<String, Value>,
    central: Option<SealedCentral>,
}

#[derive(Serialize, Deserialize)]
struct SealedCentral {
    name: ClusterName,
    uid: Uid,
    endpoints: Vec<Endpoint>,
    ca: Option<String>,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
    credential: Option<SealedCredential>,
}

#[derive(Serialize, Deserialize)]
enum SealedCredential {
    Token(String),
    Certificate(String, String),
    Basic(String, String),
}

fn sealed_id(id: &str) -> String {
    format!("slot/{id}")
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("a kept filling is not readable: {error}"))
}

impl History {
    pub(super) async fn read(documents: &dyn Documents, slot: &SlotName) -> Result<Self> {
        match documents.read(Table::Slots, slot.as_str()).await? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(broken),
            None => Ok(Self::default()),
        }
    }

    /// The row to write.
    pub(super) fn row(&self, slot: &SlotName) -> Result<(Table, String, Option<Vec<u8>>)> {
        let bytes = serde_json::to_vec(self).map_err(broken)?;
        Ok((Table::Slots, slot.as_str().to_owned(), Some(bytes)))
    }
}

impl Record {
    /// Seals a filling's secrets; the rest is the record.
    pub(super) async fn seal(
        vault: &dyn Vault,
        id: String,
        filling: &Filling,
        digest: &str,
        migrate: Migrate,
        since_ms: u64,
    ) -> Result<Self> {
        let sealed = Sealed {
            config: filling.config.clone(),
            central: filling.central.as_ref().map(seal_central),
        };
        let bytes = serde_json::to_vec(&sealed).map_err(broken)?;
        vault.seal_bytes(&sealed_id(&id), &bytes).await?;
        let central = filling.central.as_ref();
        let endpoint = central.and_then(|c| c.endpoints.first());
        Ok(Self {
            id,
            plugin: filling.plugin.clone(),
            digest: Some(digest.to_owned()),
            grants: filling.grants.clone(),
            central_grants: filling.central_grants.clone(),
            limits: filling.limits.clone(),
            central: endpoint.map(|e| e.url.clone()),
            since_ms,
            migrate,
            is_back: false,
            version: 0,
        })
    }

    /// The whole filling.
    pub(super) async fn open(&self, vault: &dyn Vault) -> Result<Filling> {
        let bytes = vault.open_bytes(&sealed_id(&self.id)).await?;
        let bytes = bytes.ok_or_else(|| broken("its sealed part is gone"))?;
        // The error of the parser could quote what was sealed.
        let sealed: Sealed =
            serde_json::from_slice(&bytes).map_err(|_| broken("its sealed part"))?;
        Ok(Filling {
            plugin: self.plugin.clone(),
            digest: self.digest.clone(),
            config: sealed.config,
            grants: self.grants.clone(),
            central_grants: self.central_grants.clone(),
            limits: self.limits.clone(),
            central: sealed.central.map(open_central),
        })
    }

    pub(super) async fn erase(&self, vault: &dyn Vault) -> Result<()> {
        vault.erase(&sealed_id(&self.id)).await
    }
}

fn seal_central(member: &Member) -> SealedCentral {
    SealedCentral {
        name: member.name.clone(),
        uid: member.uid.clone(),
        endpoints: member.endpoints.clone(),
        ca: member.ca.clone(),
        tls_server_name: member.tls_server_name.clone(),
        proxy_url: member.proxy_url.clone(),
        credential: member
            .credential
            .as_ref()
            .map(|credential| match credential {
                Credential::Token(token) => SealedCredential::Token(token.expose().clone()),
                Credential::ClientCertificate { certificate, key } => {
                    SealedCredential::Certificate(certificate.clone(), key.expose().clone())
                }
                Credential::Basic { username, password } => {
                    SealedCredential::Basic(username.clone(), password.expose().clone())
                }
            }),
    }
}

fn open_central(sealed: SealedCentral) -> Member {
    Member {
        name: sealed.name,
        uid: sealed.uid,
        endpoints: sealed.endpoints,
        ca: sealed.ca,
        tls_server_name: sealed.tls_server_name,
        proxy_url: sealed.proxy_url,
        direct: None,
        credential: sealed.credential.map(|credential| match credential {
            SealedCredential::Token(token) => Credential::Token(Secret::new(token)),
            SealedCredential::Certificate(certificate, key) => Credential::ClientCertificate {
                certificate,
                key: Secret::new(key),
            },
            SealedCredential::Basic(username, password) => Credential::Basic {
                username,
                password: Secret::new(password),
            },
        }),
    }
}

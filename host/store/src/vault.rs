//! Sealed values: XChaCha20-Poly1305, a random nonce each.
//!
//! A row has two parts. The head (kind, what the credential is bound to, times) is readable without
//! the key; the rest is sealed together with id and head, so neither can be exchanged or altered
//! on disk without the seal breaking.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use optikon_core::{
    Error, Result,
    ports::{Bound, Vault, VaultEntry},
    words::{Credential, Secret},
};
use redb::{ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    keys::{Key, KeyId, Keyring},
    open::Store,
    tables::VAULT,
};

const NONCE_BYTES: usize = 24;
const MAX_ID_BYTES: usize = 1024;
/// Values and plans of an operation are the largest secrets.
const MAX_SECRET_BYTES: usize = 64 << 20;

/// What may be read without the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound: Option<Bound>,
    #[serde(default)]
    created_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Credential,
    Bytes,
}

/// What the seal covers beside the secret.
fn associated(id: &str, head: &[u8]) -> Vec<u8> {
    let mut bytes = b"optikon vault 1\0".to_vec();
    bytes.extend_from_slice(&(id.len() as u64).to_be_bytes());
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(head);
    bytes
}

/// Key id, nonce, ciphertext.
pub(crate) fn seal(key: &Key, id: &str, head: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce)
        .map_err(|e| Error::Internal(format!("asking the system for randomness: {e}")))?;
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    let payload = Payload {
        msg: secret,
        aad: &associated(id, head),
    };
    let sealed = cipher
        .encrypt(XNonce::from_slice(&nonce), payload)
        .map_err(|_| Error::Internal("sealing failed".to_owned()))?;
    Ok([key.id.as_slice(), nonce.as_slice(), sealed.as_slice()].concat())
}

/// The id of the key that sealed a row.
pub(crate) fn key_id(sealed: &[u8]) -> Option<KeyId> {
    sealed.first_chunk().copied()
}

/// The ids of all keys that sealed something.
pub(crate) fn key_ids(txn: &ReadTransaction) -> Result<Vec<KeyId>, redb::Error> {
    let mut ids = std::collections::BTreeSet::new();
    for row in txn.open_table(VAULT)?.iter()? {
        let (_, row) = row?;
        ids.extend(key_id(row.value().1));
    }
    Ok(ids.into_iter().collect())
}

/// Opens a row.
///
/// # Errors
/// `Unsupported`: no key, another key, or a row that was altered.
pub(crate) fn unseal(
    keys: &Keyring,
    id: &str,
    head: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    let unreadable = |why: &str| {
        Error::Unsupported(format!("the sealed value \"{id}\" cannot be opened: {why}"))
    };
    let (key_id, rest) = sealed
        .split_first_chunk::<8>()
        .ok_or_else(|| unreadable("it is too short"))?;
    let (nonce, sealed) = rest
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or_else(|| unreadable("it is too short"))?;
    let key = keys
        .find(key_id)
        .ok_or_else(|| unreadable("the vault key that sealed it is not here"))?;
    let payload = Payload {
        msg: sealed,
        aad: &associated(id, head),
    };
    XChaCha20Poly1305::new(key.bytes().into())
        .decrypt(XNonce::from_slice(nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| unreadable("it was altered"))
}

/// The parts of a credential, each with its length before it; the first byte says which kind.
fn encode(credential: &Credential) -> Zeroizing<Vec<u8>> {
    let (kind, parts): (u8, [&str; 2]) = match credential {
        Credential::Token(token) => (1, [token.expose(), ""]),
        Credential::ClientCertificate { certificate, key } => (2, [certificate, key.expose()]),
        Credential::Basic { username, password } => (3, [username, password.expose()]),
    };
    // Its full size at once: growing would leave copies of the secret in freed memory.
    let size = 1 + parts.iter().map(|p| 8 + p.len()).sum::<usize>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    bytes.push(kind);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Credential> {
    let (kind, rest) = bytes.split_first()?;
    let (first, rest) = take_part(rest)?;
    let (second, rest) = take_part(rest)?;
    if !rest.is_empty() {
        return None;
    }
    match kind {
        1 => Some(Credential::Token(Secret::new(first))),
        2 => Some(Credential::ClientCertificate {
            certificate: first,
            key: Secret::new(second),
        }),
        3 => Some(Credential::Basic {
            username: first,
            password: Secret::new(second),
        }),
        _ => None,
    }
}

fn take_part(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_be_bytes(*len)).ok()?;
    let (part, rest) = rest.split_at_checked(len)?;
    Some((std::str::from_utf8(part).ok()?.to_owned(), rest))
}

fn damaged(id: &str) -> Error {
    Error::Internal(format!(
        "the head of the sealed value \"{id}\" is no head: run `optikon store check`"
    ))
}

/// What is wrong with a row, if anything; for `check`.
pub(crate) fn judge(keys: &Keyring, id: &str, head: &[u8], sealed: &[u8]) -> Result<()> {
    let parsed: Head = serde_json::from_slice(head).map_err(|_| damaged(id))?;
    let secret = unseal(keys, id, head, sealed)?;
    if parsed.kind == Kind::Credential && decode(&secret).is_none() {
        return Err(damaged(id));
    }
    Ok(())
}

impl Store {
    async fn seal_row(&self, id: &str, head: &Head, secret: &[u8]) -> Result<()> {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(Error::invalid("id", "must have 1 to 1024 bytes"));
        }
        if secret.len() > MAX_SECRET_BYTES {
            return Err(Error::TooLarge {
                what: "a secret".to_owned(),
                limit_bytes: MAX_SECRET_BYTES as u64,
            });
        }
        let shared = self.shared();
        let key = shared.keys.sealing().ok_or_else(|| {
            Error::Unsupported(
                shared
                    .keys
                    .problem()
                    .unwrap_or_else(|| "no vault key".into()),
            )
        })?;
        let head = serde_json::to_vec(head).map_err(|e| Error::Internal(e.to_string()))?;
        let sealed = seal(key, id, &head, secret)?;
        let id = id.to_owned();
        shared
            .queue
            .submit(head.len() + sealed.len(), move |txn| {
                let mut table = txn.raw.open_table(VAULT)?;
                table.insert(id.as_str(), (head.as_slice(), sealed.as_slice()))?;
                Ok(())
            })
            .await
    }

    fn open_row(&self, id: &str, kind: Kind) -> Result<Option<(Head, Zeroizing<Vec<u8>>)>> {
        let shared = self.shared();
        let row = shared.db.read(|txn| {
            let row = txn.open_table(VAULT)?.get(id)?;
            Ok(row.map(|row| {
                let (head, sealed) = row.value();
                (head.to_vec(), sealed.to_vec())
            }))
        })?;
        let Some((head_bytes, sealed)) = row else {
            return Ok(None);
        };
        let head: Head = serde_json::from_slice(&head_bytes).map_err(|_| damaged(id))?;
        if head.kind != kind {
            return Ok(None);
        }
        let secret = unseal(&shared.keys, id, &head_bytes, &sealed)?;
        Ok(Some((head, secret)))
    }
}

#[async_trait]
impl Vault for Store {
    async fn seal(&self, id: &str, entry: VaultEntry) -> Result<()> {
        let head = Head {
            kind: Kind::Credential,
            bound: Some(entry.bound),
            created_ms: entry.created_ms,
            expires_ms: entry.expires_ms,
        };
        let secret = encode(&entry.credential);
        self.seal_row(id, &head, &secret).await
    }

    async fn open(&self, id: &str) -> Result<Option<VaultEntry>> {
        let Some((head, secret)) = self.open_row(id, Kind::Credential)? else {
            return Ok(None);
        };
        let credential = decode(&secret).ok_or_else(|| damaged(id))?;
        Ok(Some(VaultEntry {
            bound: head.bound.ok_or_else(|| damaged(id))?,
            credential,
            created_ms: head.created_ms,
            expires_ms: head.expires_ms,
        }))
    }

    async fn bounds(&self) -> Result<BTreeMap<String, (Bound, Option<u64>)>> {
        self.blocking(|shared| {
            shared.db.read(|txn| {
                let mut all = BTreeMap::new();
                for row in txn.open_table(VAULT)?.iter()? {
                    let (id, row) = row?;
                    let head: Head =
                        serde_json::from_slice(row.value().0).map_err(|_| damaged(id.value()))?;
                    if let Some(bound) = head.bound {
                        all.insert(id.value().to_owned(), (bound, head.expires_ms));
                    }
                }
                Ok(all)
            })
        })
        .await
    }

    async fn erase(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.shared()
            .queue
            .submit(id.len(), move |txn| {
                txn.raw.open_table(VAULT)?.remove(id.as_str())?;
                Ok(())
            })
            .await
    }

    async fn seal_bytes(&self, id: &str, bytes: &[u8]) -> Result<()> {
        let head = Head {
            kind: Kind::Bytes,
            bound: None,
            created_ms: (self.shared().now_ms)(),
            expires_ms: None,
        };
        self.seal_row(id, &head, bytes).await
    }

    async fn open_bytes(&self, id: &str) -> Result<Option<Vec<u8>>> {
        Ok(self
            .open_row(id, Kind::Bytes)?
            .map(|(_, secret)| secret.to_vec()))
    }
}

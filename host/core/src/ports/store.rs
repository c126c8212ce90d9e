//! What lasts.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    words::{Credential, SlotName, Uid},
};

/// A key of a slot's name space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// At most 1,024 bytes.
    pub key: String,
    /// At most 1 MiB.
    pub value: Vec<u8>,
    /// One rising number per slot; survives restarts.
    pub version: u64,
}

/// What must hold for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing.
    Any,
    /// The key is absent.
    Absent,
    /// The key is at this version.
    At(u64),
}

/// One page of a scan; all pages of a scan are of one version.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Sorted bytewise by key.
    pub entries: Vec<Entry>,
    /// The version that all pages show.
    pub version: u64,
    /// Opaque; absent on the last page.
    pub next: Option<String>,
}

/// One change of a slot's name space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Written.
    Put(Entry),
    /// The last value with the version of the deletion.
    Deleted(Entry),
    /// Everything up to this version was delivered.
    Bookmark(u64),
}

/// Changes in order; an error is the last item.
pub type ChangeStream = BoxStream<'static, Result<Change>>;

/// A plugin's durable keys: linearizable, one name space per slot. A write that was acknowledged
/// survives kill -9 and power loss.
#[async_trait]
pub trait Kv: Send + Sync + std::fmt::Debug {
    /// One entry.
    async fn get(&self, slot: &SlotName, key: &str) -> Result<Option<Entry>>;

    /// At most `limit` entries whose keys start with `prefix`. `Expired` when `next` is too old.
    async fn scan(
        &self,
        slot: &SlotName,
        prefix: &str,
        limit: u32,
        next: Option<String>,
    ) -> Result<Scan>;

    /// Writes; answers the new version. `Conflict` when the expectation does not hold (`revision`
    /// is then the present version), `TooLarge` over 1 MiB a value or 1 GiB a slot, `Unavailable`
    /// when the disk is full.
    async fn put(
        &self,
        slot: &SlotName,
        key: &str,
        value: Vec<u8>,
        expect: Expectation,
    ) -> Result<u64>;

    /// Removes; answers the version of the deletion. `NotFound` when the key is absent.
    async fn delete(&self, slot: &SlotName, key: &str, expect: Expectation) -> Result<u64>;

    /// Changes after a version, in order, each once; without it every present entry as `Put`, a
    /// bookmark, then changes. `Expired` when the change log no longer reaches back.
    async fn watch(
        &self,
        slot: &SlotName,
        prefix: &str,
        after: Option<u64>,
    ) -> Result<ChangeStream>;
}

/// The host's own tables. Small JSON documents, each under a text key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// The registry's content as last seen, for a start without it. Key: cluster name.
    Mirror,
    /// Last known probe results. Key: uid.
    Probes,
    /// Access tokens, hashed. Key: token id.
    Tokens,
    /// What fills each slot, and the last five before. Key: slot.
    Slots,
    /// Operations. Key: operation id.
    Operations,
    /// Events of operations. Key: operation id, `/`, ten digits.
    OperationEvents,
    /// Idempotency keys. Key: the key's digest.
    Idempotency,
    /// Archives' descriptions. Key: digest.
    Archives,
    /// Chart repositories, without secrets. Key: name.
    Repositories,
    /// The host's own counters and marks. Key: its name.
    Meta,
}

impl Table {
    /// Every table, for checks and backups.
    pub const ALL: [Self; 10] = [
        Self::Mirror,
        Self::Probes,
        Self::Tokens,
        Self::Slots,
        Self::Operations,
        Self::OperationEvents,
        Self::Idempotency,
        Self::Archives,
        Self::Repositories,
        Self::Meta,
    ];

    /// Its name on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Probes => "probes",
            Self::Tokens => "tokens",
            Self::Slots => "slots",
            Self::Operations => "operations",
            Self::OperationEvents => "operation-events",
            Self::Idempotency => "idempotency",
            Self::Archives => "archives",
            Self::Repositories => "repositories",
            Self::Meta => "meta",
        }
    }
}

/// The host's own documents and the audit trail.
#[async_trait]
pub trait Documents: Send + Sync + std::fmt::Debug {
    /// One document.
    async fn read(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>>;

    /// Every document whose key starts with `prefix`, sorted by key, at most `limit` of them, after
    /// the key `after`.
    async fn scan_documents(
        &self,
        table: Table,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>>;

    /// Writes all of these or none: `None` removes. Durable when it returns.
    async fn write(&self, changes: Vec<(Table, String, Option<Vec<u8>>)>) -> Result<()>;

    /// Reserves `count` numbers of a rising counter and answers the first: never the same twice,
    /// also not after a restart or a restored backup.
    async fn reserve(&self, counter: &str, count: u64) -> Result<u64>;

    /// Appends to the audit trail; durable within a second. Never blocks on the disk.
    fn audit(&self, record: serde_json::Value);

    /// The newest `limit` audit records before (not including) sequence number `before`, newest
    /// first, each with its number.
    async fn audit_records(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, serde_json::Value)>>;

    /// Whether writes are possible now, for `/readyz`: the text says why not.
    fn writable(&self) -> std::result::Result<(), String>;
}

/// Chart archives by digest. Content-addressed: the same bytes are kept once.
#[async_trait]
pub trait Archives: Send + Sync + std::fmt::Debug {
    /// Keeps an archive and answers its digest, `sha256:…`.
    ///
    /// # Errors
    /// `Unavailable` over the quota (1 GiB) or when the disk is full.
    async fn keep(&self, bytes: bytes::Bytes) -> Result<String>;

    /// One archive. `NotFound` when it is not kept.
    async fn fetch(&self, digest: &str) -> Result<bytes::Bytes>;

    /// Erases an archive; no error when there is none.
    async fn drop_archive(&self, digest: &str) -> Result<()>;
}

/// What a credential is bound to: where and to whom it may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// The cluster's uid; absent between sealing and the registry's answer to a create.
    pub uid: Option<Uid>,
    /// Every endpoint's URL, sorted.
    pub endpoints: Vec<String>,
    /// `sha256:…` of the CA bundle, absent for the system's roots.
    pub ca_digest: Option<String>,
    /// The TLS name, where given.
    pub tls_server_name: Option<String>,
    /// The proxy, where given.
    pub proxy_url: Option<String>,
}

/// The object that a credential is for, as its registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its uid there.
    pub uid: String,
    /// Its namespace, where it is in one.
    pub namespace: Option<String>,
}

/// A sealed credential.
#[derive(Debug, Clone)]
pub struct VaultEntry {
    /// What it is bound to.
    pub bound: Bound,
    /// The secret itself.
    pub credential: Credential,
    /// Unix milliseconds of its registration.
    pub created_ms: u64,
    /// Unix milliseconds of its end, where it says so (JWT `exp`, certificate `notAfter`).
    pub expires_ms: Option<u64>,
}

/// Sealed values, by id. A value is sealed with its id, so that entries cannot be exchanged on disk.
#[async_trait]
pub trait Vault: Send + Sync + std::fmt::Debug {
    /// Seals an entry under an id; replaces what was there.
    async fn seal(&self, id: &str, entry: VaultEntry) -> Result<()>;

    /// Opens an entry. `Ok(None)` when there is none.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] when the key does not open it (`CredentialUnreadable`).
    async fn open(&self, id: &str) -> Result<Option<VaultEntry>>;

    /// What an entry is bound to, and when it expires, without opening the secret; every entry.
    async fn bounds(&self) -> Result<BTreeMap<String, (Bound, Option<u64>)>>;

    /// The id of every entry, also of those that an earlier start left where this one has not looked yet.
    async fn ids(&self) -> Result<BTreeSet<String>> {
        Ok(self.bounds().await?.into_keys().collect())
    }

    /// Erases an entry; no error when there is none.
    async fn erase(&self, id: &str) -> Result<()>;

    /// Seals other secret bytes (values and plans of operations, plugin secrets) under an id.
    async fn seal_bytes(&self, id: &str, bytes: &[u8]) -> Result<()>;

    /// Opens such bytes.
    async fn open_bytes(&self, id: &str) -> Result<Option<Vec<u8>>>;

    /// Says whose an entry is, once the registry has the object; for vaults that show it to others.
    async fn belongs_to(&self, id: &str, owner: &Owner) -> Result<()> {
        let _ = (id, owner);
        Ok(())
    }

    /// Brings entries to where they outlast a change of the registry; all that can be, also after a failure.
    async fn gather(&self, ids: &[String]) -> Result<()> {
        let _ = ids;
        Ok(())
    }

    /// Puts entries where they belong, now that another registry serves or none came to serve.
    async fn spread(&self, ids: &[(String, Owner)]) -> Result<()> {
        let _ = ids;
        Ok(())
    }
}

//! Chart archives: looked at in a sandbox, then kept by digest.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ChartFlows;
use crate::{
    error::{Error, Result},
    flows::health::rfc3339,
    ports::{Call, Table},
    words::{Caller, sha256},
};

/// Packed; what is inside is bounded by the loader.
pub(super) const MAX_ARCHIVE_BYTES: usize = 32 << 20;

/// What is known of a kept archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveInfo {
    /// `sha256:…` of the bytes.
    pub digest: String,
    /// Their number.
    pub size_bytes: u64,
    /// RFC 3339.
    pub created: String,
    /// Who uploaded it first.
    pub created_by: String,
    /// Whose signature it has, where that was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Where it was fetched from; absent for an upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What its `Chart.yaml` says.
    pub chart: Value,
}

impl ChartFlows {
    /// Checks an archive, and its provenance where there is a keyring, and keeps it; the same bytes
    /// again change nothing.
    ///
    /// # Errors
    /// `Invalid` with what the loader found or what is wrong with its signature, `TooLarge`, and what
    /// keeps the store from writing.
    pub async fn keep_archive(
        &self,
        caller: &Caller,
        bytes: Bytes,
        provenance: Option<Bytes>,
    ) -> Result<ArchiveInfo> {
        self.keep_from(caller, bytes, provenance, None).await
    }

    pub(super) async fn keep_from(
        &self,
        caller: &Caller,
        bytes: Bytes,
        provenance: Option<Bytes>,
        source: Option<String>,
    ) -> Result<ArchiveInfo> {
        if bytes.len() > MAX_ARCHIVE_BYTES {
            return Err(Error::TooLarge {
                what: "the archive".into(),
                limit_bytes: MAX_ARCHIVE_BYTES as u64,
            });
        }
        let digest = sha256(&bytes);
        let now_ms = self.inner.world.now_ms();
        let signed_by = match self.inner.provenance.get() {
            Some(keys) => keys.signer(provenance.as_deref(), &digest, now_ms)?,
            // Who sends a signature along wants it looked at.
            None if provenance.is_some() => {
                let message =
                    "cannot be verified, this gateway has no keyring; send the archive without it";
                return Err(Error::invalid("prov", message));
            }
            None => None,
        };
        if let Ok(known) = self.archive(&digest).await {
            return self.signed(known, signed_by).await;
        }
        let (_, backend) = self.inner.backend(None)?;
        let chart = backend.describe(Call::client(), bytes.clone()).await;
        let chart = chart.map_err(|error| match error {
            // What it unpacks to, not what was sent.
            Error::TooLarge { what, .. } => Error::invalid("chart", what),
            other => other,
        })?;
        let info = ArchiveInfo {
            digest,
            size_bytes: bytes.len() as u64,
            created: rfc3339(now_ms),
            created_by: caller.name.clone(),
            signed_by,
            source,
            chart,
        };
        self.inner.archives.keep(bytes).await?;
        self.write_archive(&info).await?;
        Ok(info)
    }

    /// Looks at a signature that was found for a kept archive, where one was.
    pub(super) async fn sign(&self, digest: &str, provenance: Option<Bytes>) -> Result<()> {
        let (Some(keys), Some(provenance)) = (self.inner.provenance.get(), provenance) else {
            return Ok(());
        };
        let now_ms = self.inner.world.now_ms();
        let signed_by = keys.signer(Some(&provenance), digest, now_ms)?;
        let known = self.archive(digest).await?;
        self.signed(known, signed_by).await.map(drop)
    }

    async fn signed(&self, mut known: ArchiveInfo, by: Option<String>) -> Result<ArchiveInfo> {
        if by.is_some() && known.signed_by != by {
            known.signed_by = by;
            self.write_archive(&known).await?;
        }
        Ok(known)
    }

    async fn write_archive(&self, info: &ArchiveInfo) -> Result<()> {
        let row = serde_json::to_vec(info).map_err(|e| Error::Internal(e.to_string()))?;
        let change = (Table::Archives, info.digest.clone(), Some(row));
        self.inner.documents.write(vec![change]).await
    }

    /// An archive that may be applied: kept, and signed where that is required.
    pub(super) async fn usable_archive(&self, digest: &str) -> Result<ArchiveInfo> {
        let info = self.archive(digest).await?;
        let is_required = self.inner.provenance.get().is_some_and(|p| p.is_required);
        if is_required && info.signed_by.is_none() {
            let message = "is not signed, and only signed charts are taken here; upload it again with its .prov";
            return Err(Error::invalid("chart.digest", message));
        }
        Ok(info)
    }

    /// Every kept archive, by digest.
    ///
    /// # Errors
    /// The store's.
    pub async fn archives(&self) -> Result<Vec<ArchiveInfo>> {
        let rows = self
            .inner
            .documents
            .scan_documents(Table::Archives, "", None, 10_000)
            .await?;
        let read = |bytes: &[u8]| {
            serde_json::from_slice(bytes)
                .map_err(|e| Error::Internal(format!("archive record: {e}")))
        };
        rows.iter().map(|(_, bytes)| read(bytes)).collect()
    }

    /// One archive.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn archive(&self, digest: &str) -> Result<ArchiveInfo> {
        let row = self.inner.documents.read(Table::Archives, digest).await?;
        let shown: String = digest.escape_debug().take(80).collect();
        let row = row.ok_or_else(|| Error::not_found("archive", shown))?;
        serde_json::from_slice(&row).map_err(|e| Error::Internal(format!("archive record: {e}")))
    }

    /// Erases an archive.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while an operation that is not over needs it.
    pub async fn erase_archive(&self, digest: &str) -> Result<()> {
        self.archive(digest).await?;
        let query = super::OperationQuery {
            limit: 1_000,
            ..super::OperationQuery::default()
        };
        for operation in self.operations(&Caller::host(), &query).await? {
            let uses = operation.digests.get("chart").is_some_and(|d| d == digest);
            if uses && !operation.state.is_final() {
                return Err(Error::Conflict {
                    message: format!(
                        "operation {} is not over and needs this archive",
                        operation.id
                    ),
                    revision: None,
                });
            }
        }
        self.inner
            .documents
            .write(vec![(Table::Archives, digest.to_owned(), None)])
            .await?;
        self.inner.archives.drop_archive(digest).await
    }
}

//! A request that is sent twice is taken in once: `Idempotency-Key`.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ChartFlows, Inner, journal::read};
use crate::{
    error::{Error, Result},
    ports::Table,
    words::{Caller, Operation, OperationId, hex},
};

/// A key that its caller gave a request, and a digest of that request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    key: String,
    request: String,
}

#[derive(Serialize, Deserialize)]
struct Known {
    request: String,
    operation: OperationId,
}

impl Once {
    /// `request` is everything that makes two requests the same. Keys of different callers are different keys.
    ///
    /// # Errors
    /// `Invalid` for a key that is empty or longer than 255 bytes.
    pub fn new(caller: &Caller, key: &str, request: &[&[u8]]) -> Result<Self> {
        if key.is_empty() || key.len() > 255 {
            return Err(Error::invalid(
                "Idempotency-Key",
                "must have 1 to 255 characters",
            ));
        }
        Ok(Self {
            key: digest(&[caller.name.as_bytes(), key.as_bytes()]),
            request: digest(request),
        })
    }
}

fn digest(parts: &[&[u8]]) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        // With its length, so that no two lists of parts read the same.
        sum.update((part.len() as u64).to_be_bytes());
        sum.update(part);
    }
    hex(&sum.finalize())
}

/// Holds a key while its request is being taken in.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    inner: &'a Inner,
    once: Once,
}

impl Claim<'_> {
    /// The row that says which operation the key stands for.
    pub(super) fn row(&self, operation: &OperationId) -> Result<(Table, String, Option<Vec<u8>>)> {
        let known = Known {
            request: self.once.request.clone(),
            operation: operation.clone(),
        };
        let bytes = serde_json::to_vec(&known).map_err(|e| Error::Internal(e.to_string()))?;
        Ok((Table::Idempotency, self.once.key.clone(), Some(bytes)))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let claimed = self.inner.claimed.lock();
        claimed
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.once.key);
    }
}

impl ChartFlows {
    /// The operation that this request began before.
    ///
    /// # Errors
    /// `Conflict` when the key came with another request.
    pub async fn begun_before(&self, caller: &Caller, once: &Once) -> Result<Option<Operation>> {
        let row = self
            .inner
            .documents
            .read(Table::Idempotency, &once.key)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let known: Known = read(&row)?;
        if known.request != once.request {
            return Err(Error::Conflict {
                message: "this Idempotency-Key came with another request before; give each request a key of its own"
                    .into(),
                revision: None,
            });
        }
        self.operation(caller, &known.operation).await.map(Some)
    }
}

impl Inner {
    /// Keeps others with the same key out until the claim is dropped.
    pub(super) fn claim(&self, once: Option<Once>) -> Result<Option<Claim<'_>>> {
        let Some(once) = once else { return Ok(None) };
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if !claimed.insert(once.key.clone()) {
            return Err(Error::Conflict {
                message:
                    "a request with this Idempotency-Key is being taken in; ask again in a moment"
                        .into(),
                revision: None,
            });
        }
        drop(claimed);
        Ok(Some(Claim { inner: self, once }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_their_caller_and_requests_differ_by_every_part() {
        let host = Caller::host();
        let other = Caller {
            name: "other".into(),
            ..Caller::host()
        };
        let once = |caller: &Caller, request: &[&[u8]]| Once::new(caller, "k", request).unwrap();
        assert_eq!(once(&host, &[b"a", b"b"]), once(&host, &[b"a", b"b"]));
        assert_ne!(
            once(&host, &[b"a", b"b"]).request,
            once(&host, &[b"ab", b""]).request
        );
        assert_ne!(once(&host, &[]).key, once(&other, &[]).key);
        assert!(Once::new(&host, "", &[]).is_err());
    }
}

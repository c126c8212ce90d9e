//! Chart archives: one file each, named by its digest, whole or not there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use optikon_core::words::sha256;
use optikon_core::{Error, Result, ports::Archives};

/// All archives together; api.md.
const QUOTA_BYTES: u64 = 1 << 30;

/// A folder of archives.
#[derive(Debug, Clone)]
pub struct ArchiveFolder {
    folder: PathBuf,
    /// One is kept at a time, so that two cannot both be the last that fits.
    turn: Arc<Mutex<()>>,
}

impl ArchiveFolder {
    /// In `DIR/archives`, made when it is missing, closed to others.
    ///
    /// # Errors
    /// The system's.
    pub fn open(dir: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let folder = dir.join("archives");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            // What a crash left unfinished.
            if path.extension().is_some() {
                fs::remove_file(path)?;
            }
        }
        Ok(Self {
            folder,
            turn: Arc::default(),
        })
    }

    /// The file of a digest; a text that is no digest has none.
    fn file(&self, digest: &str) -> Result<PathBuf> {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex {
            Ok(self.folder.join(hex))
        } else {
            Err(Error::not_found(
                "archive",
                digest.escape_debug().take(80).collect::<String>(),
            ))
        }
    }

    fn used(&self) -> io::Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir(&self.folder)? {
            match entry?.metadata() {
                Ok(metadata) => sum += metadata.len(),
                // Erased, or renamed, in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    }

    fn write(&self, file: &Path, bytes: &[u8]) -> io::Result<()> {
        use std::{io::Write, os::unix::fs::OpenOptionsExt};
        // The same archive may be on its way twice.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let partial = file.with_extension(format!("partial-{number}"));
        let mut out = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&partial, file)?;
        fs::File::open(&self.folder)?.sync_all()
    }
}

fn unavailable(error: &io::Error) -> Error {
    Error::unavailable(format!("the archive could not be kept: {error}"))
}

/// File work of a moment, off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Internal(format!("archives: {error}")))?
}

#[async_trait]
impl Archives for ArchiveFolder {
    async fn keep(&self, bytes: Bytes) -> Result<String> {
        let this = self.clone();
        blocking(move || {
            let digest = sha256(&bytes);
            let file = this.file(&digest)?;
            let _turn = this.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if file.exists() {
                return Ok(digest);
            }
            let used = this.used().map_err(|e| unavailable(&e))?;
            if used.saturating_add(bytes.len() as u64) > QUOTA_BYTES {
                return Err(Error::unavailable(format!(
                    "archives take {used} of {QUOTA_BYTES} bytes; delete some that are not needed"
                )));
            }
            this.write(&file, &bytes).map_err(|e| unavailable(&e))?;
            Ok(digest)
        })
        .await
    }

    async fn fetch(&self, digest: &str) -> Result<Bytes> {
        let file = self.file(digest)?;
        let digest = digest.to_owned();
        blocking(move || match fs::read(&file) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::not_found("archive", digest))
            }
            Err(error) => Err(Error::Internal(format!("archive {digest}: {error}"))),
        })
        .await
    }

    async fn drop_archive(&self, digest: &str) -> Result<()> {
        let file = self.file(digest)?;
        blocking(move || match fs::remove_file(&file) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(unavailable(&error)),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_bytes_may_come_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let archives = ArchiveFolder::open(dir.path()).unwrap();
        let bytes = Bytes::from(vec![7; 1 << 16]);
        let kept = (0..32).map(|_| archives.keep(bytes.clone()));
        for digest in futures::future::join_all(kept).await {
            assert_eq!(archives.fetch(&digest.unwrap()).await.unwrap(), bytes);
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_until_something_is_erased() {
        let dir = tempfile::tempdir().unwrap();
        let archives = ArchiveFolder::open(dir.path()).unwrap();
        // A file that takes no place on the disk.
        let large = dir.path().join("archives").join("a".repeat(64));
        let file = fs::File::create(&large).unwrap();
        file.set_len(QUOTA_BYTES - 10).unwrap();
        let both = [b"12345678", b"87654321"].map(|b| archives.keep(Bytes::from_static(b)));
        let kept = futures::future::join_all(both).await;
        let refused: Vec<_> = kept.iter().filter_map(|k| k.as_ref().err()).collect();
        assert_eq!(refused.len(), 1, "only one of the two fits: {kept:?}");
        assert!(refused[0].to_string().contains("delete some"), "{kept:?}");
        let digest = format!("sha256:{}", "a".repeat(64));
        archives.drop_archive(&digest).await.unwrap();
        archives
            .keep(Bytes::from_static(b"87654321"))
            .await
            .unwrap();
        archives
            .keep(Bytes::from_static(b"12345678"))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn the_same_bytes_are_kept_once_and_come_back_by_digest() {
        let dir = tempfile::tempdir().unwrap();
        let archives = ArchiveFolder::open(dir.path()).unwrap();
        let digest = archives.keep(Bytes::from_static(b"chart")).await.unwrap();
        assert_eq!(
            archives.keep(Bytes::from_static(b"chart")).await.unwrap(),
            digest
        );
        assert_eq!(
            fs::read_dir(dir.path().join("archives")).unwrap().count(),
            1
        );
        assert_eq!(archives.fetch(&digest).await.unwrap(), "chart");
        archives.drop_archive(&digest).await.unwrap();
        assert!(matches!(
            archives.fetch(&digest).await,
            Err(Error::NotFound { .. })
        ));
        for odd in ["../../etc/passwd", "sha256:../x", "sha256:AB", ""] {
            assert!(
                matches!(archives.fetch(odd).await, Err(Error::NotFound { .. })),
                "{odd}"
            );
        }
    }
}

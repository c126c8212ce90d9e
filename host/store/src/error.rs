//! Why a store cannot be opened, and how redb's errors become core's.

use std::{io, path::PathBuf};

use optikon_core::Error;

/// Why a store was not opened. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store is in use by another process, which holds {}: stop that process, or give this one another data folder", .0.display())]
    InUse(PathBuf),
    /// What is there is no store, or not whole any more.
    #[error(
        "the store in {place} is damaged ({reason}): it was left untouched; bring back a backup with `optikon store restore`"
    )]
    Damaged {
        /// The file.
        place: String,
        /// What was found.
        reason: String,
    },
    /// Written by a later version of Optikon.
    #[error(
        "the store in {place} has format {found}, this version knows up to {known}: use the version that wrote it, or a newer one"
    )]
    TooNew {
        /// The file.
        place: String,
        /// The format that was found.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
    /// Written by a version so old that no migration is known.
    #[error(
        "the store in {place} has format {found}, from which no migration is known: open it with an older version first"
    )]
    TooOld {
        /// The file.
        place: String,
        /// The format that was found.
        found: u64,
    },
    /// Writes that were acknowledged are missing: an older copy was put in place.
    #[error(
        "the store in {place} is at revision {found}, but revision {acknowledged} was acknowledged: an older copy was put in its place; if that is meant, bring it in with `optikon store restore`"
    )]
    OlderThanAcknowledged {
        /// The file.
        place: String,
        /// The revision that was found, 0 when the database is missing.
        found: u64,
        /// The last acknowledged revision.
        acknowledged: u64,
    },
    /// The key file may be read by others.
    #[error("the vault key {} may be read by others (mode {mode:o}): run `chmod 600` on it, and `optikon store rekey` if others may have read it", .path.display())]
    KeyPermissions {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key is not 32 bytes in hexadecimal or base64.
    #[error("the vault key from {0} is not 32 bytes in hexadecimal or base64")]
    BadKey(String),
    /// A value cannot be opened with the key that was given as the old one.
    #[error("nothing was sealed again: {0}")]
    Sealed(String),
    /// The file system did not do what was asked.
    #[error("{what} failed: {source}")]
    Io {
        /// What was asked, with the file.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// An error of redb while opening or reading a store.
    pub(crate) fn redb(place: &str, error: redb::Error) -> Self {
        match error {
            // redb says so of a file that is no database.
            redb::Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => Self::Damaged {
                place: place.to_owned(),
                reason: e.to_string(),
            },
            // Shorter than its own header says.
            redb::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => Self::Damaged {
                place: place.to_owned(),
                reason: "it ends too early".to_owned(),
            },
            redb::Error::Io(source) => Self::Io {
                what: format!("reading the store in {place}"),
                source,
            },
            other => Self::Damaged {
                place: place.to_owned(),
                reason: other.to_string(),
            },
        }
    }
}

/// How one write ended otherwise than well.
pub(crate) enum Failure {
    /// The write itself is not acceptable; nothing of it was written, others go on.
    Refused(Error),
    /// The storage failed: the whole transaction is void.
    Storage(redb::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

macro_rules! storage {
    ($($type:ident),*) => {$(
        impl From<redb::$type> for Failure {
            fn from(error: redb::$type) -> Self {
                Self::Storage(error.into())
            }
        }
    )*};
}

storage!(
    Error,
    StorageError,
    TableError,
    TransactionError,
    CommitError,
    DatabaseError
);

/// What callers see of a failing storage.
pub(crate) fn unavailable(place: &str, error: &redb::Error) -> Error {
    let message = match error {
        redb::Error::Io(e) if is_full(e) => {
            format!("the disk of {place} is full: nothing can be written until there is space")
        }
        redb::Error::Io(e) => format!("the store in {place} cannot be used now: {e}"),
        redb::Error::Corrupted(what) => {
            format!("the store in {place} is damaged ({what}): stop and run `optikon store check`")
        }
        other => format!("the store in {place} cannot be used now: {other}"),
    };
    Error::unavailable(message)
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

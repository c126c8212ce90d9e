//! Where the bytes are: a folder, or in tests a disk that loses power.

use std::{fmt, io};

use redb::StorageBackend;

/// One place for one database and its side file.
pub trait Medium: fmt::Debug + Send + Sync + 'static {
    /// For messages: what an operator would look at.
    fn place(&self) -> String;

    /// Whether a database is there.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn exists(&self) -> io::Result<bool>;

    /// The bytes of the database that is there. May be called again once what it answered before
    /// was dropped.
    ///
    /// # Errors
    /// When it cannot be opened for reading and writing.
    fn open(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Space for a new database, which is not in place before [`Medium::publish`].
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Puts what [`Medium::create`] made in place, durably, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be put in place.
    fn publish(&self) -> io::Result<()>;

    /// The last acknowledged revision, where one is known.
    ///
    /// # Errors
    /// When the side file is there and cannot be read; `InvalidData` when no record in it is whole.
    fn acknowledged(&self) -> io::Result<Option<u64>>;

    /// Notes that this revision was committed, durably.
    ///
    /// # Errors
    /// When the note cannot be written; the one before it stays.
    fn acknowledge(&self, revision: u64) -> io::Result<()>;

    /// Keeps a copy of the database under a name that ends in `suffix`, durably.
    ///
    /// # Errors
    /// When the copy cannot be made.
    fn keep_copy(&self, suffix: &str) -> io::Result<()>;
}

/// A backend behind a box, as redb takes it.
#[derive(Debug)]
pub(crate) struct Boxed(pub(crate) Box<dyn StorageBackend>);

/// Locks stay unsupported on purpose: a lock file guards the whole folder, also while the database
/// is opened anew.
impl StorageBackend for Boxed {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.0.close()
    }
}

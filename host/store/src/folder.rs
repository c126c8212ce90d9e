//! A data folder: file names, modes, the lock, the side file.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use redb::StorageBackend;
use sha2::{Digest, Sha256};

use crate::{error::OpenError, medium::Medium};

/// The database.
pub const DATABASE_FILE: &str = "optikon.redb";
/// The last acknowledged revision.
pub const ACKNOWLEDGED_FILE: &str = "optikon.acknowledged";
/// Held locked while the store is open.
pub const LOCK_FILE: &str = "optikon.lock";
/// The vault's key.
pub const KEY_FILE: &str = "vault.key";

/// A data folder that this process alone uses.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// Locked; the lock ends with the process at the latest.
    _lock: File,
    side: Mutex<Option<File>>,
}

impl Folder {
    /// Takes a folder, which is made (0700) where there is none. Looser modes are tightened.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(OpenError::io(format!("making {}", dir.display())))?;
        let mode = fs::metadata(dir)
            .map_err(OpenError::io(format!("looking at {}", dir.display())))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(OpenError::io(
                format!("closing {} to others", dir.display()),
            ))?;
        }
        let path = dir.join(LOCK_FILE);
        let lock = private()
            .create(true)
            .open(&path)
            .map_err(OpenError::io(format!("opening {}", path.display())))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                dir: dir.to_owned(),
                _lock: lock,
                side: Mutex::new(None),
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(OpenError::Io {
                what: format!("locking {}", path.display()),
                source,
            }),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join(DATABASE_FILE)
    }

    fn candidate(&self) -> PathBuf {
        self.dir.join(format!("{DATABASE_FILE}.new"))
    }
}

/// Opens for reading and writing; what it creates only the owner may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Makes renames and new files in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Copies a file, 0600, durably, whole or not at all.
pub(crate) fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let temporary = with_suffix(to, ".partial");
    let mut source = File::open(from)?;
    let mut target = private().create(true).truncate(true).open(&temporary)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()?;
    fs::rename(&temporary, to)?;
    sync_dir(parent(to))
}

/// Writes a small file, 0600, durably, whole or not at all.
pub(crate) fn write_private(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = with_suffix(to, ".partial");
    let file = private().create(true).truncate(true).open(&temporary)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    fs::rename(&temporary, to)?;
    sync_dir(parent(to))
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

impl Medium for Folder {
    fn place(&self) -> String {
        self.database().display().to_string()
    }

    fn exists(&self) -> io::Result<bool> {
        self.database().try_exists()
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(DiskFile(private().open(self.database())?)))
    }

    fn create(&self) -> io::Result<Box<dyn StorageBackend>> {
        let file = private()
            .create(true)
            .truncate(true)
            .open(self.candidate())?;
        Ok(Box::new(DiskFile(file)))
    }

    fn publish(&self) -> io::Result<()> {
        fs::rename(self.candidate(), self.database())?;
        sync_dir(&self.dir)
    }

    fn acknowledged(&self) -> io::Result<Option<u64>> {
        let path = self.dir.join(ACKNOWLEDGED_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let newest = bytes.chunks(RECORD_BYTES).filter_map(parse_record).max();
        newest.map(Some).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} holds no whole record", path.display()),
            )
        })
    }

    fn acknowledge(&self, revision: u64) -> io::Result<()> {
        let mut side = self
            .side
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if side.is_none() {
            let path = self.dir.join(ACKNOWLEDGED_FILE);
            if !path.try_exists()? {
                // Both records, so that no later write makes the file longer: a full disk can
                // still take the note.
                let record = record(revision);
                write_private(
                    &path,
                    [record.as_str(), record.as_str()].concat().as_bytes(),
                )?;
            }
            *side = Some(private().open(path)?);
        }
        if let Some(file) = side.as_ref() {
            let slot = (revision % 2) * RECORD_BYTES as u64;
            file.write_all_at(record(revision).as_bytes(), slot)?;
            file.sync_data()?;
        }
        Ok(())
    }

    fn keep_copy(&self, suffix: &str) -> io::Result<()> {
        let from = self.database();
        copy_private(&from, &with_suffix(&from, suffix))
    }
}

/// Twenty digits, a space, sixteen digits of a checksum, a line feed. Two of them take turns, so
/// that a torn write leaves the one before.
const RECORD_BYTES: usize = 38;

fn record(revision: u64) -> String {
    let number = format!("{revision:020}");
    let sum = Sha256::digest(number.as_bytes());
    let short = sum
        .iter()
        .take(8)
        .fold(0u64, |all, byte| (all << 8) | u64::from(*byte));
    format!("{number} {short:016x}\n")
}

fn parse_record(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let revision = text.get(..20)?.parse().ok()?;
    (record(revision) == text).then_some(revision)
}

/// A file as redb's storage, without redb's lock: [`Folder`] holds one for the whole folder.
#[derive(Debug)]
pub(crate) struct DiskFile(pub(crate) File);

impl StorageBackend for DiskFile {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write_all_at(data, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_file_survives_a_torn_write() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::take(dir.path()).unwrap();
        assert_eq!(folder.acknowledged().unwrap(), None);
        for revision in [1, 2, 3, 2_000_000] {
            folder.acknowledge(revision).unwrap();
            assert_eq!(folder.acknowledged().unwrap(), Some(revision));
        }
        let path = dir.path().join(ACKNOWLEDGED_FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes[5] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(folder.acknowledged().unwrap(), Some(3));
        bytes[RECORD_BYTES + 5] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = folder.acknowledged().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_folder_has_one_user_and_no_spectators() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let folder = Folder::take(&data).unwrap();
        assert!(matches!(Folder::take(&data), Err(OpenError::InUse(p)) if p.ends_with(LOCK_FILE)));
        assert_eq!(
            fs::metadata(&data).unwrap().permissions().mode() & 0o777,
            0o700
        );
        drop(folder);
        Folder::take(&data).unwrap();
    }
}

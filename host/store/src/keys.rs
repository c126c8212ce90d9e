//! The vault's key: where it lies, who may read it, which one is in force.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use optikon_core::words::Secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    error::OpenError,
    folder::{KEY_FILE, parent, sync_dir, with_suffix, write_private},
};

const KEY_BYTES: usize = 32;

/// Where the key comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The file `vault.key` in the data folder; made at the first start.
    #[default]
    File,
    /// From the operator: 32 bytes in hexadecimal or base64.
    Given(Secret<String>),
}

/// Tells keys apart without telling anything of them.
pub(crate) type KeyId = [u8; 8];

/// One key, erased from memory with its owner.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

impl Key {
    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let sum = Sha256::new()
            .chain_update(b"optikon vault key id\0")
            .chain_update(bytes.as_slice())
            .finalize();
        let mut id = KeyId::default();
        id.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
        Self { id, bytes }
    }

    pub(crate) fn random() -> Result<Self, OpenError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|e| OpenError::Io {
            what: "asking the system for randomness".to_owned(),
            source: e.into(),
        })?;
        Ok(Self::new(bytes))
    }

    /// From hexadecimal or base64, with white space around it.
    pub(crate) fn parse(text: &str, origin: &str) -> Result<Self, OpenError> {
        let text = text.trim();
        let decoded = if text.len() == KEY_BYTES * 2 {
            from_hex(text)
        } else {
            STANDARD.decode(text).ok().map(Zeroizing::new)
        };
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        match decoded {
            Some(decoded) if decoded.len() == KEY_BYTES => bytes.copy_from_slice(&decoded),
            _ => return Err(OpenError::BadKey(origin.to_owned())),
        }
        Ok(Self::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(KEY_BYTES * 2 + 1));
        for byte in self.bytes.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
        text
    }

    /// Writes the key where only the owner may read it.
    pub(crate) fn write(&self, path: &Path) -> Result<(), OpenError> {
        write_private(path, self.text().as_bytes())
            .map_err(OpenError::io(format!("writing {}", path.display())))
    }

    /// Reads a key file; `None` when there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, OpenError> {
        let what = || format!("reading {}", path.display());
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(OpenError::io(what())(e)),
        };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(OpenError::KeyPermissions {
                path: path.to_owned(),
                mode,
            });
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(OpenError::io(what()))?);
        Self::parse(&text, &path.display().to_string()).map(Some)
    }
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES));
    for pair in text.as_bytes().chunks(2) {
        let pair = std::str::from_utf8(pair).ok()?;
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
    }
    Some(bytes)
}

pub(crate) fn key_path(dir: &Path) -> PathBuf {
    dir.join(KEY_FILE)
}

/// The key of a rekeying that is not finished.
pub(crate) fn next_path(dir: &Path) -> PathBuf {
    with_suffix(&key_path(dir), ".new")
}

/// The keys that this process has; the first one seals.
#[derive(Debug)]
pub(crate) struct Keyring {
    keys: Vec<Key>,
    problem: Option<String>,
}

impl Keyring {
    /// A key that was given, and no file.
    pub(crate) fn given(source: &KeySource) -> Result<Self, OpenError> {
        let keys = match source {
            KeySource::File => Vec::new(),
            KeySource::Given(text) => vec![Key::parse(text.expose(), "the configuration")?],
        };
        let problem = keys.is_empty().then(|| "no vault key was given".to_owned());
        Ok(Self { keys, problem })
    }

    /// The key for a folder in which the keys `sealed` sealed something. Makes a key when nothing
    /// is sealed yet; finishes a rekeying that was cut short after its commit.
    pub(crate) fn load(
        dir: &Path,
        source: &KeySource,
        sealed: &[KeyId],
    ) -> Result<Self, OpenError> {
        let path = key_path(dir);
        let mut keys = match source {
            KeySource::Given(_) => Self::given(source)?.keys,
            KeySource::File => {
                if let Some(next) = Key::read(&next_path(dir))?
                    && sealed.contains(&next.id)
                {
                    promote(dir)?;
                }
                Key::read(&path)?.into_iter().collect()
            }
        };
        if keys.is_empty() && sealed.is_empty() {
            let key = Key::random()?;
            key.write(&path)?;
            keys.push(key);
        }
        let problem = if keys.is_empty() {
            Some(format!(
                "the vault key {} is missing: put it back, or register the credentials again",
                path.display()
            ))
        } else if sealed.iter().any(|id| keys.iter().all(|k| k.id != *id)) {
            Some(
                "some sealed values were sealed with another vault key: put that key back, or register those credentials again"
                    .to_owned(),
            )
        } else {
            None
        };
        if let Some(problem) = &problem {
            tracing::error!(problem, "credentials cannot be opened");
        }
        Ok(Self { keys, problem })
    }

    /// The keys that are there, an unfinished rekeying's included, without making or moving any.
    pub(crate) fn look(dir: &Path, source: &KeySource) -> Result<Self, OpenError> {
        let mut keys = Self::given(source)?.keys;
        if *source == KeySource::File {
            keys.extend(Key::read(&key_path(dir))?);
            keys.extend(Key::read(&next_path(dir))?);
        }
        Ok(Self {
            keys,
            problem: None,
        })
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// The key that seals.
    pub(crate) fn sealing(&self) -> Option<&Key> {
        self.keys.first()
    }

    pub(crate) fn find(&self, id: &KeyId) -> Option<&Key> {
        self.keys.iter().find(|k| k.id == *id)
    }
}

/// Puts the new key of a rekeying in force. The one before stays beside it, for old backups.
pub(crate) fn promote(dir: &Path) -> Result<(), OpenError> {
    let path = key_path(dir);
    let swap = || -> io::Result<()> {
        if path.try_exists()? {
            fs::rename(&path, with_suffix(&path, ".old"))?;
        }
        fs::rename(next_path(dir), &path)?;
        sync_dir(parent(&path))
    };
    swap().map_err(OpenError::io(format!(
        "putting {} in place",
        path.display()
    )))
}

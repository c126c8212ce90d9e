//! Opening and closing a store.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use optikon_core::{Error, Result};
use redb::{Database, ReadableDatabase};

use crate::{
    database::{Db, alone, open_backend},
    error::OpenError,
    folder::Folder,
    keys::{KeySource, Keyring},
    medium::Medium,
    overlay::Overlay,
    sweep::Retention,
    tables::{self, FORMAT, FORMAT_KEY, Limits, Migration, NUMBERS},
    watch::Watchers,
    writer::{self, Queue},
};

/// Up to this size a store is read and checked whole before it is opened; a larger one on demand,
/// by `optikon store check`: a start takes no seconds.
const VERIFY_BYTES: u64 = 32 << 20;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where the vault's key is; default: the file beside the database.
    pub vault_key: KeySource,
    /// What is too large.
    pub limits: Limits,
    /// What `Store::sweep` removes.
    pub retention: Retention,
    /// How long after a failed write the disk is not tried again. Default: 500 ms.
    pub retry: Duration,
    /// Unix milliseconds. Default: the system's clock.
    pub now_ms: fn() -> u64,
    /// The format to write; default: [`FORMAT`]. Tests of migrations raise it.
    pub format: u64,
    /// Steps from older formats.
    pub migrations: &'static [Migration],
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            vault_key: KeySource::File,
            limits: Limits::default(),
            retention: Retention::default(),
            retry: Duration::from_millis(500),
            now_ms: system_ms,
            format: FORMAT,
            migrations: &[],
        }
    }
}

fn system_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// What the store's threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) db: Db,
    pub(crate) queue: Queue,
    pub(crate) watchers: Watchers,
    pub(crate) keys: Keyring,
    pub(crate) limits: Limits,
    pub(crate) retention: Retention,
    pub(crate) retry: Duration,
    pub(crate) now_ms: fn() -> u64,
    /// Tells tokens of this process's scans from those of an earlier one.
    pub(crate) nonce: u64,
}

/// An open store; clones share it. It closes with its last clone, or by [`Store::close`].
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Inner {
    fn close(&self) {
        self.shared.queue.close();
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the store's writer ended in a panic");
        }
        self.shared.watchers.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store {
    /// Opens the store in a folder; makes folder, database and key where there are none.
    ///
    /// # Errors
    /// See [`OpenError`]. Whatever the reason, the database is left as it was.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are made for one store, in place"
    )]
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let folder = Arc::new(Folder::take(dir)?);
        let db = open_database(&*folder, &options)?;
        let keys = Keyring::load(
            folder.dir(),
            &options.vault_key,
            &sealed_state(&*folder, &db)?,
        )?;
        Self::start(folder, db, keys, &options)
    }

    /// Opens a store elsewhere than in a folder. The key must be given: no file is read.
    ///
    /// # Errors
    /// As [`Store::open`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are made for one store, in place"
    )]
    pub fn open_on(medium: Arc<dyn Medium>, options: StoreOptions) -> Result<Self, OpenError> {
        let db = open_database(&*medium, &options)?;
        let keys = Keyring::given(&options.vault_key)?;
        Self::start(medium, db, keys, &options)
    }

    fn start(
        medium: Arc<dyn Medium>,
        db: Database,
        keys: Keyring,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            db: Db::new(medium, db, options.retry),
            queue: Queue::default(),
            watchers: Watchers::default(),
            keys,
            limits: options.limits,
            retention: options.retention,
            retry: options.retry,
            now_ms: options.now_ms,
            nonce: random_number()?,
        });
        let thread = shared.clone();
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::run(&thread))
            .map_err(OpenError::io("starting the store's writer"))?;
        Ok(Self(Arc::new(Inner {
            shared,
            writer: Mutex::new(Some(writer)),
        })))
    }

    /// Finishes every write that was handed in, the audit trail included, and refuses new ones.
    /// Blocks on the disk. Reads go on until the last clone is gone.
    pub fn close(&self) {
        self.0.close();
    }

    /// Why sealed values cannot be opened, where that is known without trying.
    pub fn vault_problem(&self) -> Option<String> {
        self.0.shared.keys.problem()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Runs a longer read where it may block.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.0.shared.clone();
        tokio::task::spawn_blocking(move || work(&shared))
            .await
            .map_err(|e| Error::Internal(format!("reading the store: {e}")))?
    }
}

pub(crate) fn random_number() -> Result<u64, OpenError> {
    getrandom::u64().map_err(|e| OpenError::Io {
        what: "asking the system for randomness".to_owned(),
        source: e.into(),
    })
}

/// The ids of the keys that sealed what is in the vault.
fn sealed_state(medium: &dyn Medium, db: &Database) -> Result<Vec<crate::keys::KeyId>, OpenError> {
    let read = || -> Result<_, redb::Error> { crate::vault::key_ids(&db.begin_read()?) };
    read().map_err(|e| OpenError::redb(&medium.place(), e))
}

/// Looks at what is there, and only then opens it.
pub(crate) fn open_database(
    medium: &dyn Medium,
    options: &StoreOptions,
) -> Result<Database, OpenError> {
    let place = medium.place();
    let acknowledged = acknowledged(medium)?;
    let exists = medium
        .exists()
        .map_err(OpenError::io(format!("looking for {place}")))?;
    if !exists {
        if let Some(acknowledged) = acknowledged {
            return Err(OpenError::OlderThanAcknowledged {
                place,
                found: 0,
                acknowledged,
            });
        }
        create(medium, options.format)?;
        medium
            .acknowledge(1)
            .map_err(OpenError::io(format!("noting the revision of {place}")))?;
    }
    let (format, revision) = inspect(medium)?;
    if format > options.format {
        return Err(OpenError::TooNew {
            place,
            found: format,
            known: options.format,
        });
    }
    match acknowledged {
        Some(acknowledged) if revision < acknowledged => {
            return Err(OpenError::OlderThanAcknowledged {
                place,
                found: revision,
                acknowledged,
            });
        }
        Some(_) => {}
        None => medium
            .acknowledge(revision)
            .map_err(OpenError::io(format!("noting the revision of {place}")))?,
    }
    let steps = steps(&place, format, options)?;
    if !steps.is_empty() {
        medium
            .keep_copy(&format!(".format-{format}"))
            .map_err(OpenError::io(format!("keeping a copy of {place}")))?;
    }
    let backend = medium
        .open()
        .map_err(OpenError::io(format!("opening {place}")))?;
    let open = || -> Result<Database, redb::Error> {
        let db = open_backend(backend, false)?;
        if !steps.is_empty() {
            alone(&db, |txn| {
                for step in &steps {
                    (step.apply)(txn)?;
                }
                txn.open_table(NUMBERS)?
                    .insert(FORMAT_KEY, options.format)?;
                Ok(())
            })?;
        }
        Ok(db)
    };
    open().map_err(|e| OpenError::redb(&place, e))
}

fn acknowledged(medium: &dyn Medium) -> Result<Option<u64>, OpenError> {
    medium.acknowledged().map_err(|e| {
        if e.kind() == std::io::ErrorKind::InvalidData {
            OpenError::Damaged {
                place: medium.place(),
                reason: e.to_string(),
            }
        } else {
            OpenError::io("reading the acknowledged revision")(e)
        }
    })
}

/// Makes an empty store, whole or not at all.
fn create(medium: &dyn Medium, format: u64) -> Result<(), OpenError> {
    let place = medium.place();
    let backend = medium
        .create()
        .map_err(OpenError::io(format!("creating {place}")))?;
    let fill = || -> Result<(), redb::Error> {
        let db = open_backend(backend, false)?;
        alone(&db, |txn| tables::initialise(txn, format))?;
        db.close()?;
        Ok(())
    };
    fill().map_err(|e| OpenError::redb(&place, e))?;
    medium
        .publish()
        .map_err(OpenError::io(format!("putting {place} in place")))
}

/// Format and revision of what is there, without touching it.
pub(crate) fn inspect(medium: &dyn Medium) -> Result<(u64, u64), OpenError> {
    let place = medium.place();
    let backend = medium
        .open()
        .map_err(OpenError::io(format!("opening {place}")))?;
    let len = backend
        .len()
        .map_err(OpenError::io(format!("measuring {place}")))?;
    let damaged = |reason: &str| OpenError::Damaged {
        place: place.clone(),
        reason: reason.to_owned(),
    };
    if len == 0 {
        return Err(damaged("it is empty"));
    }
    let view = Overlay::new(backend).map_err(OpenError::io(format!("measuring {place}")))?;
    open_backend(Box::new(view), len <= VERIFY_BYTES)
        .and_then(|db| tables::stamps(&db))
        .map_err(|e| OpenError::redb(&place, e))?
        .ok_or_else(|| damaged("it has no format number"))
}

fn steps(
    place: &str,
    format: u64,
    options: &StoreOptions,
) -> Result<Vec<&'static Migration>, OpenError> {
    (format..options.format)
        .map(|from| {
            options
                .migrations
                .iter()
                .find(|m| m.from == from)
                .ok_or_else(|| OpenError::TooOld {
                    place: place.to_owned(),
                    found: format,
                })
        })
        .collect()
}

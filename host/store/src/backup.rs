//! Online backup: one snapshot of every table into a new database file.

use std::path::Path;

use optikon_core::{Error, Result, ports::Table};
use redb::{Key, ReadTransaction, ReadableTable, TableDefinition, Value, WriteTransaction};

use crate::{
    database::{alone, open_backend},
    error::Failure,
    folder::{DiskFile, parent, private, sync_dir, with_suffix},
    open::Store,
    tables::{self, AUDIT, ENTRIES, LOG, NUMBERS, SLOTS, VAULT},
};

impl Store {
    /// Writes a backup to a new file, 0600, whole or not at all; writes go on meanwhile. Sealed
    /// values stay sealed, and the key is not in it: keep `vault.key` apart.
    ///
    /// # Errors
    /// `AlreadyExists` when the file is there; `Unavailable` when it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        let to = to.to_owned();
        self.blocking(move |shared| {
            let failed = |e: std::io::Error| {
                Error::unavailable(format!("writing the backup {} failed: {e}", to.display()))
            };
            if to.try_exists().map_err(failed)? {
                return Err(Error::AlreadyExists {
                    kind: "backup",
                    name: to.display().to_string(),
                });
            }
            let partial = with_suffix(&to, ".partial");
            let copied = shared.db.read(|txn| {
                let file = private()
                    .create(true)
                    .truncate(true)
                    .open(&partial)
                    .map_err(failed)?;
                copy_all(txn, file).map_err(|e| {
                    Failure::from(Error::unavailable(format!(
                        "writing the backup {} failed: {e}",
                        to.display()
                    )))
                })
            });
            let published = copied.and_then(|()| {
                std::fs::rename(&partial, &to)
                    .and_then(|()| sync_dir(parent(&to)))
                    .map_err(failed)
            });
            if published.is_err()
                && let Err(error) = std::fs::remove_file(&partial)
            {
                tracing::warn!(%error, file = %partial.display(), "cannot remove an unfinished backup");
            }
            published
        })
        .await
    }
}

fn copy_all(from: &ReadTransaction, file: std::fs::File) -> Result<(), redb::Error> {
    let db = open_backend(Box::new(DiskFile(file)), false)?;
    alone(&db, |to| {
        copy(from, to, NUMBERS)?;
        copy(from, to, ENTRIES)?;
        copy(from, to, LOG)?;
        copy(from, to, SLOTS)?;
        copy(from, to, VAULT)?;
        copy(from, to, AUDIT)?;
        for table in Table::ALL {
            copy(from, to, tables::documents(table))?;
        }
        Ok(())
    })?;
    db.close()?;
    Ok(())
}

fn copy<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'static, K, V>,
) -> Result<(), redb::Error> {
    let source = from.open_table(table)?;
    let mut target = to.open_table(table)?;
    for row in source.iter()? {
        let (key, value) = row?;
        target.insert(key.value(), value.value())?;
    }
    Ok(())
}

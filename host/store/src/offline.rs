//! Tools for a store that nobody has open: restore, check, rekey.

use std::{collections::BTreeMap, fs, io, path::Path};

use optikon_core::ports::Table;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend};

use crate::{
    database::{alone, open_backend},
    error::OpenError,
    folder::{DiskFile, Folder, copy_private, parent, sync_dir, with_suffix},
    keys::{Key, KeySource, Keyring, next_path, promote},
    kv,
    medium::Medium,
    open::{StoreOptions, open_database},
    overlay::Overlay,
    tables::{
        self, AUDIT, AUDIT_KEY, COUNTER_PREFIX, ENTRIES, FORMAT, LOG, NUMBERS, REVISION_KEY, SLOTS,
        VAULT, split_number,
    },
    vault,
};

/// How far a restore moves every version and counter: beyond anything that was handed out after
/// the backup was made.
const RAISE: u64 = 1_000_000;

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The store's revision now.
    pub revision: u64,
    /// Where the store that was there before is now, if there was one.
    pub kept: Option<std::path::PathBuf>,
}

/// Something that `check` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `database`, `format`, `acknowledged`, `key`, or a table's name.
    pub what: String,
    /// What is wrong with it, and what to do.
    pub message: String,
}

/// What a rekeying did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// How many values were sealed again.
    pub resealed: usize,
}

/// The numbers that must never be given out twice.
#[derive(Debug, Default)]
struct Numbers {
    revision: u64,
    counters: BTreeMap<String, u64>,
    slots: BTreeMap<String, u64>,
}

fn view(file: fs::File, verify: bool) -> Result<Database, redb::Error> {
    let overlay = Overlay::new(Box::new(DiskFile(file)) as Box<dyn StorageBackend>)
        .map_err(redb::Error::Io)?;
    open_backend(Box::new(overlay), verify)
}

fn numbers(db: &Database) -> Result<Numbers, redb::Error> {
    let txn = db.begin_read()?;
    let mut all = Numbers::default();
    for row in txn.open_table(NUMBERS)?.iter()? {
        let (key, number) = row?;
        match key.value() {
            REVISION_KEY => all.revision = number.value(),
            key if key == AUDIT_KEY || key.starts_with(COUNTER_PREFIX) => {
                all.counters.insert(key.to_owned(), number.value());
            }
            _ => {}
        }
    }
    for row in txn.open_table(SLOTS)?.iter()? {
        let (slot, row) = row?;
        all.slots.insert(slot.value().to_owned(), row.value().0);
    }
    Ok(all)
}

/// Puts a backup in place of the store in `dir`, which nobody may have open. Every version and
/// counter is raised, so that what was handed out since the backup is told `Expired`. The vault's
/// key file is not touched; the store that was there is kept beside it.
///
/// # Errors
/// See [`OpenError`]; the backup is checked whole before anything is changed.
pub fn restore(from: &Path, dir: &Path) -> Result<Restored, OpenError> {
    let backup = from.display().to_string();
    let file = fs::File::open(from).map_err(OpenError::io(format!("opening {backup}")))?;
    let format = view(file, true)
        .and_then(|db| tables::stamps(&db))
        .map_err(|e| OpenError::redb(&backup, e))?
        .map(|(format, _)| format)
        .ok_or_else(|| OpenError::Damaged {
            place: backup.clone(),
            reason: "it has no format number".to_owned(),
        })?;
    if format > FORMAT {
        return Err(OpenError::TooNew {
            place: backup,
            found: format,
            known: FORMAT,
        });
    }
    let folder = Folder::take(dir)?;
    let place = folder.database();
    let has_present = place
        .try_exists()
        .map_err(OpenError::io(format!("looking for {}", place.display())))?;
    let present = if has_present {
        present_numbers(&place)?
    } else {
        Numbers::default()
    };
    // A side file that cannot be read says nothing; it is written anew below.
    let acknowledged = folder.acknowledged().ok().flatten().unwrap_or(0);
    let candidate = with_suffix(&place, ".new");
    copy_private(from, &candidate).map_err(OpenError::io(format!("copying {backup}")))?;
    let raised = || -> Result<u64, redb::Error> {
        let file = crate::folder::private()
            .open(&candidate)
            .map_err(redb::Error::Io)?;
        let db = open_backend(Box::new(DiskFile(file)), false)?;
        let revision = raise(&db, &present, acknowledged)?;
        db.close()?;
        Ok(revision)
    };
    let revision = raised().map_err(|e| OpenError::redb(&candidate.display().to_string(), e))?;
    let kept = has_present.then(|| with_suffix(&place, ".before-restore"));
    let swap = || -> io::Result<()> {
        if let Some(kept) = &kept {
            match fs::remove_file(kept) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            // Two names for one file, so that at no time there is none in place.
            if fs::hard_link(&place, kept).is_err() {
                copy_private(&place, kept)?;
            }
        }
        fs::rename(&candidate, &place)?;
        sync_dir(parent(&place))?;
        folder.acknowledge(revision)
    };
    swap().map_err(OpenError::io(format!(
        "putting {} in place",
        place.display()
    )))?;
    Ok(Restored { revision, kept })
}

/// The numbers of the store that a restore replaces; none of a damaged one, which is often why.
fn present_numbers(place: &Path) -> Result<Numbers, OpenError> {
    let file =
        fs::File::open(place).map_err(OpenError::io(format!("opening {}", place.display())))?;
    match view(file, false).and_then(|db| numbers(&db)) {
        Ok(numbers) => Ok(numbers),
        Err(error) => {
            tracing::warn!(%error, "the store that is replaced cannot be read");
            Ok(Numbers::default())
        }
    }
}

fn raise(db: &Database, present: &Numbers, acknowledged: u64) -> Result<u64, redb::Error> {
    let own = numbers(db)?;
    let revision = own.revision.max(present.revision).max(acknowledged) + 1;
    alone(db, |txn| {
        let mut table = txn.open_table(NUMBERS)?;
        table.insert(REVISION_KEY, revision)?;
        let keys = own.counters.keys().chain(present.counters.keys());
        for key in keys.collect::<std::collections::BTreeSet<_>>() {
            let of = |numbers: &Numbers| numbers.counters.get(key).copied().unwrap_or(1);
            table.insert(key.as_str(), of(&own).max(of(present)) + RAISE)?;
        }
        let mut slots = txn.open_table(SLOTS)?;
        let names = own.slots.keys().chain(present.slots.keys());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let of = |numbers: &Numbers| numbers.slots.get(name).copied().unwrap_or(0);
            let version = of(&own).max(of(present)) + RAISE;
            let bytes = slots.get(name.as_str())?.map_or(0, |r| r.value().1);
            slots.insert(name.as_str(), (version, bytes, version, 0))?;
        }
        // The log would lead a watch from before the backup past what happened after it.
        txn.delete_table(LOG)?;
        txn.open_table(LOG)?;
        Ok(revision)
    })
}

/// Reads everything in a store that nobody has open, and changes nothing. An empty list: all is
/// well.
///
/// # Errors
/// [`OpenError::InUse`], or a folder that cannot be read; damage is a finding.
pub fn check(dir: &Path, key: &KeySource) -> Result<Vec<Finding>, OpenError> {
    let mut findings = Vec::new();
    let mut found = |what: &str, message: String| {
        findings.push(Finding {
            what: what.to_owned(),
            message,
        });
    };
    fs::metadata(dir).map_err(OpenError::io(format!("looking at {}", dir.display())))?;
    let folder = Folder::take(dir)?;
    let place = folder.database();
    let file =
        fs::File::open(&place).map_err(OpenError::io(format!("opening {}", place.display())))?;
    let db = match view(file, true) {
        Ok(db) => db,
        Err(error) => {
            found("database", format!("{error}: bring back a backup"));
            return Ok(findings);
        }
    };
    let revision = match tables::stamps(&db) {
        Ok(Some((format, revision))) => {
            if format > FORMAT {
                found("format", format!("{format} is newer than {FORMAT}"));
                return Ok(findings);
            }
            revision
        }
        Ok(None) => {
            found("format", "there is no format number".to_owned());
            return Ok(findings);
        }
        Err(error) => {
            found("database", error.to_string());
            return Ok(findings);
        }
    };
    match folder.acknowledged() {
        Ok(Some(acknowledged)) if acknowledged > revision => found(
            "acknowledged",
            format!("revision {acknowledged} was acknowledged, the store is at {revision}"),
        ),
        Ok(_) => {}
        Err(error) => found("acknowledged", error.to_string()),
    }
    if let Err(error) = check_tables(&db, &mut found) {
        found("database", error.to_string());
    }
    check_vault(&db, dir, key, &mut found)?;
    Ok(findings)
}

fn check_tables(db: &Database, found: &mut impl FnMut(&str, String)) -> Result<(), redb::Error> {
    let txn = db.begin_read()?;
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for row in txn.open_table(ENTRIES)?.iter()? {
        let (at, stored) = row?;
        let (slot, key) = at.value();
        match split_number(stored.value()) {
            Ok((_, value)) => {
                *bytes.entry(slot.to_owned()).or_default() += (key.len() + value.len()) as u64;
            }
            Err(_) => found(
                "kv.entries",
                format!("\"{key}\" of slot \"{slot}\" is too short"),
            ),
        }
    }
    let log = txn.open_table(LOG)?;
    for row in txn.open_table(SLOTS)?.iter()? {
        let (slot, row) = row?;
        let (slot, (version, counted, log_start, _)) = (slot.value(), row.value());
        if bytes.get(slot).copied().unwrap_or(0) != counted {
            found(
                "kv.slots",
                format!("slot \"{slot}\" counts {counted} bytes wrongly"),
            );
        }
        let mut expected = log_start + 1;
        for change in log.range((slot, 0)..=(slot, u64::MAX))? {
            let (at, stored) = change?;
            let (_, at) = at.value();
            if at != expected || kv::decode_change(at, stored.value()).is_err() {
                found(
                    "kv.log",
                    format!("change {at} of slot \"{slot}\" is not as it must be"),
                );
            }
            expected = at + 1;
        }
        if expected != version + 1 {
            found(
                "kv.log",
                format!("the log of slot \"{slot}\" ends before {version}"),
            );
        }
    }
    for row in txn.open_table(AUDIT)?.iter()? {
        let (number, stored) = row?;
        let is_json = split_number(stored.value()).is_ok_and(|(_, json)| is_json(json));
        if !is_json {
            found("audit", format!("record {} is not JSON", number.value()));
        }
    }
    for table in Table::ALL {
        for row in txn.open_table(tables::documents(table))?.iter()? {
            let (key, stored) = row?;
            if split_number(stored.value()).is_err() {
                found(table.name(), format!("\"{}\" is too short", key.value()));
            }
        }
    }
    Ok(())
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// Looks at the key without making one.
fn check_vault(
    db: &Database,
    dir: &Path,
    key: &KeySource,
    found: &mut impl FnMut(&str, String),
) -> Result<(), OpenError> {
    let mut judge = |keys: &Keyring| -> Result<(), redb::Error> {
        for row in db.begin_read()?.open_table(VAULT)?.iter()? {
            let (id, row) = row?;
            let (head, sealed) = row.value();
            if let Err(error) = vault::judge(keys, id.value(), head, sealed) {
                found("vault", error.to_string());
            }
        }
        Ok(())
    };
    let keys = match Keyring::look(dir, key) {
        Ok(keys) => keys,
        Err(error @ (OpenError::KeyPermissions { .. } | OpenError::BadKey(_))) => {
            found("key", error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    judge(&keys).map_err(|e| OpenError::redb(&dir.display().to_string(), e))
}

/// Seals every value again with another key; nobody may have the store open. With
/// [`KeySource::File`] as the new one a key is made, and the file before is kept as `vault.key.old`
/// for old backups. Cut short at any point, the store opens with the key that sealed its values.
///
/// # Errors
/// [`OpenError::Sealed`] when a value cannot be opened with the old key; nothing is changed then.
pub fn rekey(dir: &Path, old: &KeySource, new: &KeySource) -> Result<Rekeyed, OpenError> {
    let folder = Folder::take(dir)?;
    let place = folder.place();
    let db = open_database(&folder, &StoreOptions::default())?;
    let read = || -> Result<_, redb::Error> { vault::key_ids(&db.begin_read()?) };
    let sealed = read().map_err(|e| OpenError::redb(&place, e))?;
    let keys = Keyring::load(dir, old, &sealed)?;
    let key = match new {
        KeySource::File => {
            let key = Key::random()?;
            key.write(&next_path(dir))?;
            key
        }
        KeySource::Given(text) => Key::parse(text.expose(), "the configuration")?,
    };
    let reseal = || -> Result<Result<usize, String>, redb::Error> {
        let mut rows = Vec::new();
        for row in db.begin_read()?.open_table(VAULT)?.iter()? {
            let (id, row) = row?;
            let (head, sealed) = row.value();
            let again = vault::unseal(&keys, id.value(), head, sealed)
                .and_then(|secret| vault::seal(&key, id.value(), head, &secret));
            match again {
                Ok(again) => rows.push((id.value().to_owned(), head.to_vec(), again)),
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
        alone(&db, |txn| {
            let mut table = txn.open_table(VAULT)?;
            for (id, head, sealed) in &rows {
                table.insert(id.as_str(), (head.as_slice(), sealed.as_slice()))?;
            }
            Ok(())
        })?;
        Ok(Ok(rows.len()))
    };
    let resealed = reseal()
        .map_err(|e| OpenError::redb(&place, e))?
        .map_err(OpenError::Sealed)?;
    if *new == KeySource::File {
        promote(dir)?;
    }
    Ok(Rekeyed { resealed })
}

//! A real folder: who may open it, what is refused, backup, restore, check, rekey, secrets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use common::{open, slot, tamper, token};
use optikon_core::{
    Error,
    ports::{Documents, Expectation, Kv, Table, Vault},
};
use optikon_store::{
    ACKNOWLEDGED_FILE, DATABASE_FILE, FORMAT, KeySource, Migration, OpenError, Store, StoreOptions,
    check, rekey, restore,
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const VAULT: TableDefinition<'_, &str, (&[u8], &[u8])> = TableDefinition::new("vault");

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn only_the_owner_reads_what_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("deep/data");
    let store = open(&data).unwrap();
    store.seal("t", token("x")).await.unwrap();
    store.backup(&dir.path().join("backup")).await.unwrap();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&dir.path().join("backup")), 0o600);
    for file in fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_folder_in_use_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let key = KeySource::File;
    let refusals = [
        open(dir.path()).err(),
        check(dir.path(), &key).err(),
        rekey(dir.path(), &key, &key).err(),
    ];
    for refusal in refusals {
        let text = refusal.unwrap().to_string();
        assert!(
            text.contains("in use") && text.contains("optikon.lock"),
            "{text}"
        );
    }
    store.close();
    drop(store);
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_damaged_store_is_refused_untouched_or_whole() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = open(&data).unwrap();
    for i in 0..50 {
        store
            .put(
                &slot(),
                &format!("k{i:02}"),
                vec![i; 3_000],
                Expectation::Any,
            )
            .await
            .unwrap();
    }
    drop(store);
    let good = fs::read(data.join(DATABASE_FILE)).unwrap();
    let mut candidates: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"not a database".to_vec(),
        vec![0; good.len()],
        good[..good.len() / 2].to_vec(),
        good[..100].to_vec(),
    ];
    // One byte in each page; many pages are free, where nothing is lost.
    for at in (0..good.len()).step_by(4096) {
        let mut bad = good.clone();
        bad[at + 70] ^= 0x55;
        candidates.push(bad);
    }
    let mut refused = 0;
    for (i, bad) in candidates.iter().enumerate() {
        fs::write(data.join(DATABASE_FILE), bad).unwrap();
        match open(&data) {
            Err(OpenError::Damaged { .. }) => {
                refused += 1;
                assert!(
                    fs::read(data.join(DATABASE_FILE)).unwrap() == *bad,
                    "{i} was touched"
                );
            }
            Err(other) => panic!("{i}: {other}"),
            Ok(store) => {
                assert!(i > 4, "{i} was opened");
                let all = store.scan(&slot(), "", 100, None).await.unwrap().entries;
                assert_eq!(all.len(), 50, "{i}");
                for (n, entry) in all.iter().enumerate() {
                    assert_eq!(entry.value, vec![n as u8; 3_000], "{i}");
                }
            }
        }
        fs::write(data.join(ACKNOWLEDGED_FILE), "").unwrap();
        fs::remove_file(data.join(ACKNOWLEDGED_FILE)).unwrap();
    }
    assert!(refused > 40, "only {refused} damages were noticed");
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    tamper(dir.path(), |txn| {
        txn.open_table(NUMBERS)
            .unwrap()
            .insert("format", FORMAT + 1)
            .unwrap();
    });
    let before = fs::read(dir.path().join(DATABASE_FILE)).unwrap();
    let refused = open(dir.path()).err();
    assert!(
        matches!(
            refused,
            Some(OpenError::TooNew {
                found: 2,
                known: 1,
                ..
            })
        ),
        "{refused:?}"
    );
    assert!(fs::read(dir.path().join(DATABASE_FILE)).unwrap() == before);
}

#[tokio::test]
async fn an_older_format_is_migrated_after_a_copy_was_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store
        .write(vec![(Table::Meta, "k".into(), Some(b"old".to_vec()))])
        .await
        .unwrap();
    drop(store);
    let unknown = StoreOptions {
        format: FORMAT + 1,
        ..StoreOptions::default()
    };
    let refused = Store::open(dir.path(), unknown.clone()).err();
    assert!(
        matches!(refused, Some(OpenError::TooOld { found: 1, .. })),
        "{refused:?}"
    );

    const STEPS: &[Migration] = &[Migration {
        from: 1,
        apply: |txn| {
            txn.open_table(NUMBERS)?
                .insert("counter:made-by-migration", 7)?;
            Ok(())
        },
    }];
    let known = StoreOptions {
        migrations: STEPS,
        ..unknown
    };
    let store = Store::open(dir.path(), known.clone()).unwrap();
    assert_eq!(store.reserve("made-by-migration", 1).await.unwrap(), 7);
    assert_eq!(store.read(Table::Meta, "k").await.unwrap().unwrap(), b"old");
    drop(store);
    // Once: the second start finds the new format.
    let store = Store::open(dir.path(), known).unwrap();
    assert_eq!(store.reserve("made-by-migration", 1).await.unwrap(), 8);
    drop(store);
    let copy = dir.path().join(format!("{DATABASE_FILE}.format-1"));
    assert_eq!(mode(&copy), 0o600);
    let db = Database::open(copy).unwrap();
    let numbers = db.begin_read().unwrap().open_table(NUMBERS).unwrap();
    assert_eq!(numbers.get("format").unwrap().unwrap().value(), 1);
    assert!(numbers.get("counter:made-by-migration").unwrap().is_none());
}

#[tokio::test]
async fn an_older_copy_or_none_is_refused_after_an_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join(DATABASE_FILE);
    drop(open(dir.path()).unwrap());
    let old = fs::read(&database).unwrap();
    let store = open(dir.path()).unwrap();
    store
        .put(&slot(), "k", vec![], Expectation::Any)
        .await
        .unwrap();
    drop(store);
    fs::write(&database, &old).unwrap();
    let refused = open(dir.path()).err().unwrap();
    assert!(
        matches!(refused, OpenError::OlderThanAcknowledged { .. }),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("optikon store restore"),
        "{refused}"
    );
    assert!(fs::read(&database).unwrap() == old);
    fs::remove_file(&database).unwrap();
    let refused = open(dir.path()).err().unwrap();
    assert!(
        matches!(refused, OpenError::OlderThanAcknowledged { found: 0, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_restored_backup_gives_nothing_out_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    let store = open(&data).unwrap();
    store
        .put(&slot(), "k", b"backed up".to_vec(), Expectation::Any)
        .await
        .unwrap();
    store.seal("t", token("kept")).await.unwrap();
    store.backup(&backup).await.unwrap();
    assert!(matches!(
        store.backup(&backup).await,
        Err(Error::AlreadyExists { .. })
    ));
    let later = store
        .put(&slot(), "k", b"lost".to_vec(), Expectation::Any)
        .await
        .unwrap();
    let reserved = store.reserve("rv", 500).await.unwrap() + 500;
    assert!(matches!(restore(&backup, &data), Err(OpenError::InUse(_))));
    drop(store);

    let restored = restore(&backup, &data).unwrap();
    assert!(restored.kept.unwrap().exists());
    assert_eq!(check(&data, &KeySource::File).unwrap(), []);
    let store = open(&data).unwrap();
    let entry = store.get(&slot(), "k").await.unwrap().unwrap();
    assert_eq!(entry.value, b"backed up");
    assert!(
        store
            .put(&slot(), "k", vec![], Expectation::At(entry.version))
            .await
            .unwrap()
            > later
    );
    assert!(store.reserve("rv", 1).await.unwrap() >= reserved);
    let watch = store.watch(&slot(), "", Some(later)).await.err();
    assert!(matches!(watch, Some(Error::Expired(_))), "{watch:?}");
    assert_eq!(
        store.open("t").await.unwrap().unwrap().credential,
        token("kept").credential
    );
    drop(store);

    // Into an empty folder as well; a file that is no backup changes nothing.
    let fresh = dir.path().join("fresh");
    assert_eq!(restore(&backup, &fresh).unwrap().kept, None);
    fs::write(&backup, "no backup").unwrap();
    let before = fs::read(fresh.join(DATABASE_FILE)).unwrap();
    assert!(matches!(
        restore(&backup, &fresh),
        Err(OpenError::Damaged { .. })
    ));
    assert!(fs::read(fresh.join(DATABASE_FILE)).unwrap() == before);
}

#[tokio::test]
async fn check_finds_what_is_wrong_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store
        .put(&slot(), "k", vec![1], Expectation::Any)
        .await
        .unwrap();
    store.seal("t", token("x")).await.unwrap();
    store.audit(serde_json::json!({}));
    drop(store);
    let key = KeySource::File;
    assert_eq!(check(dir.path(), &key).unwrap(), []);
    tamper(dir.path(), |txn| {
        let mut table = txn.open_table(VAULT).unwrap();
        let (head, mut sealed) = {
            let row = table.get("t").unwrap().unwrap();
            (row.value().0.to_vec(), row.value().1.to_vec())
        };
        *sealed.last_mut().unwrap() ^= 1;
        table
            .insert("t", (head.as_slice(), sealed.as_slice()))
            .unwrap();
        let log: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("kv.log");
        txn.open_table(log)
            .unwrap()
            .remove(("registry", 1))
            .unwrap();
    });
    let before = fs::read(dir.path().join(DATABASE_FILE)).unwrap();
    let findings = check(dir.path(), &key).unwrap();
    let what: Vec<_> = findings.iter().map(|f| f.what.as_str()).collect();
    assert_eq!(what, ["kv.log", "vault"], "{findings:?}");
    assert!(fs::read(dir.path().join(DATABASE_FILE)).unwrap() == before);
    assert!(check(&dir.path().join("missing"), &key).is_err());
    assert!(!dir.path().join("missing").exists());
}

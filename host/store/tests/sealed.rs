//! The vault: what is sealed stays sealed, with the right key only, and to what it is bound.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use common::{VAULT, open, slot, tamper, token};
use optikon_core::{
    Error,
    ports::{Expectation, Kv, Vault, VaultEntry},
    words::{Credential, Secret},
};
use optikon_store::{KEY_FILE, KeySource, OpenError, Store, StoreOptions, check, rekey};
use redb::ReadableTable as _;

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fs::read_dir(dir)
        .unwrap()
        .map(|f| f.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_sealed_secret_is_in_no_file_in_any_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let canary = "canary-5f2d8e1b9c7a-sealed";
    let store = open(dir.path()).unwrap();
    store.seal("t", token(canary)).await.unwrap();
    store.seal_bytes("values", canary.as_bytes()).await.unwrap();
    let basic = Credential::Basic {
        username: "u".into(),
        password: Secret::new(canary.into()),
    };
    store
        .seal(
            "b",
            VaultEntry {
                credential: basic.clone(),
                ..token("")
            },
        )
        .await
        .unwrap();
    assert_eq!(store.open("b").await.unwrap().unwrap().credential, basic);
    assert_eq!(
        store.open_bytes("values").await.unwrap().unwrap(),
        canary.as_bytes()
    );
    store.backup(&dir.path().join("backup")).await.unwrap();
    drop(store);

    let hex: String = canary.bytes().map(|b| format!("{b:02x}")).collect();
    let wide = |bytes: fn(u16) -> [u8; 2]| canary.encode_utf16().flat_map(bytes).collect();
    let mut needles: Vec<Vec<u8>> = vec![
        canary.into(),
        canary.bytes().rev().collect(),
        hex.to_uppercase().into(),
        hex.into(),
        wide(u16::to_le_bytes),
        wide(u16::to_be_bytes),
    ];
    // base64 at each alignment: the part that does not depend on what stands beside it.
    for skip in 0..3 {
        for engine in [&STANDARD, &URL_SAFE] {
            let text = engine.encode(&canary.as_bytes()[skip..]);
            needles.push(text[..text.len() - 4].into());
        }
    }
    let all = files(dir.path());
    assert!(all.len() >= 4);
    for (path, bytes) in all {
        for needle in &needles {
            let is_in = bytes.windows(needle.len()).any(|w| w == &needle[..]);
            assert!(
                !is_in,
                "{:?} in {}",
                String::from_utf8_lossy(needle),
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn what_a_credential_is_bound_to_is_readable_and_cannot_be_altered() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.seal("a", token("x")).await.unwrap();
    store.seal("b", token("y")).await.unwrap();
    drop(store);
    tamper(dir.path(), |txn| {
        let mut table = txn.open_table(VAULT).unwrap();
        let row = |id: &str| {
            let row = table.get(id).unwrap().unwrap();
            (row.value().0.to_vec(), row.value().1.to_vec())
        };
        let (a, b) = (row("a"), row("b"));
        let head = String::from_utf8(a.0)
            .unwrap()
            .replace("10.0.0.1", "10.6.6.6");
        table
            .insert("a", (head.as_bytes(), a.1.as_slice()))
            .unwrap();
        table
            .insert("moved", (b.0.as_slice(), b.1.as_slice()))
            .unwrap();
    });
    let store = open(dir.path()).unwrap();
    for id in ["a", "moved"] {
        let opened = store.open(id).await;
        assert!(
            matches!(opened, Err(Error::Unsupported(_))),
            "{id}: {opened:?}"
        );
    }
    assert!(store.open("b").await.unwrap().is_some());
    assert!(store.open("none").await.unwrap().is_none());
    // One kind is not opened as the other.
    assert_eq!(store.open_bytes("b").await.unwrap(), None);
    store.erase("b").await.unwrap();
    store.erase("b").await.unwrap();
    assert!(store.open("b").await.unwrap().is_none());
    let bounds = store.bounds().await.unwrap();
    assert_eq!(bounds["moved"], (token("").bound, Some(10)));
}

#[tokio::test]
async fn without_its_key_the_vault_says_so_and_everything_else_serves() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join(KEY_FILE);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.vault_problem(), None);
    store.seal("t", token("x")).await.unwrap();
    drop(store);
    fs::rename(&key, dir.path().join("aside")).unwrap();

    let store = open(dir.path()).unwrap();
    assert!(!key.exists(), "a key was made that opens nothing");
    assert!(store.vault_problem().unwrap().contains(KEY_FILE));
    assert!(matches!(store.open("t").await, Err(Error::Unsupported(_))));
    assert!(matches!(
        store.seal("u", token("y")).await,
        Err(Error::Unsupported(_))
    ));
    assert_eq!(store.bounds().await.unwrap().len(), 1);
    store
        .put(&slot(), "k", vec![], Expectation::Any)
        .await
        .unwrap();
    drop(store);

    fs::write(&key, "00".repeat(32)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let store = open(dir.path()).unwrap();
    assert!(store.vault_problem().unwrap().contains("another vault key"));
    assert!(matches!(store.open("t").await, Err(Error::Unsupported(_))));
    drop(store);

    fs::rename(dir.path().join("aside"), &key).unwrap();
    assert!(open(dir.path()).unwrap().open("t").await.unwrap().is_some());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = open(dir.path()).err();
    assert!(
        matches!(refused, Some(OpenError::KeyPermissions { mode: 0o640, .. })),
        "{refused:?}"
    );
    let given = |text: &str| StoreOptions {
        vault_key: KeySource::Given(Secret::new(text.into())),
        ..StoreOptions::default()
    };
    let refused = Store::open(dir.path(), given("too short")).err();
    assert!(matches!(refused, Some(OpenError::BadKey(_))), "{refused:?}");
}

#[tokio::test]
async fn rekeying_seals_all_again_and_may_be_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join(KEY_FILE);
    let opens = async |options| {
        let store = Store::open(dir.path(), options).unwrap();
        store.open("t").await.unwrap().unwrap().credential == token("x").credential
    };
    let store = open(dir.path()).unwrap();
    store.seal("t", token("x")).await.unwrap();
    store.seal_bytes("v", b"values").await.unwrap();
    drop(store);
    let first = fs::read(&key).unwrap();

    assert_eq!(
        rekey(dir.path(), &KeySource::File, &KeySource::File)
            .unwrap()
            .resealed,
        2
    );
    assert!(fs::read(&key).unwrap() != first);
    assert_eq!(fs::read(dir.path().join("vault.key.old")).unwrap(), first);
    assert!(opens(StoreOptions::default()).await);

    // Cut short after the commit: the new key is not in its place yet.
    let next = dir.path().join("vault.key.new");
    fs::rename(&key, &next).unwrap();
    fs::rename(dir.path().join("vault.key.old"), &key).unwrap();
    assert!(opens(StoreOptions::default()).await);
    assert!(!next.exists());

    // Cut short before it: the new key sealed nothing.
    fs::copy(&key, &next).unwrap();
    fs::write(&next, "11".repeat(32)).unwrap();
    assert!(opens(StoreOptions::default()).await);

    let given = KeySource::Given(Secret::new(STANDARD.encode([9; 32])));
    assert_eq!(
        rekey(dir.path(), &KeySource::File, &given)
            .unwrap()
            .resealed,
        2
    );
    assert!(
        opens(StoreOptions {
            vault_key: given.clone(),
            ..StoreOptions::default()
        })
        .await
    );
    assert_eq!(check(dir.path(), &given).unwrap(), []);
    let wrong = rekey(dir.path(), &KeySource::File, &KeySource::File);
    assert!(matches!(wrong, Err(OpenError::Sealed(_))), "{wrong:?}");
    assert!(
        opens(StoreOptions {
            vault_key: given,
            ..StoreOptions::default()
        })
        .await
    );
}

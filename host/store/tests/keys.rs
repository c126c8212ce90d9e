//! A plugin's keys: expectations, limits, scans, watches.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::sync::Arc;

use common::{Disk, options, slot};
use futures::StreamExt as _;
use optikon_core::{
    Error,
    ports::{Change, ChangeStream, Entry, Expectation, Kv},
};
use optikon_store::{Limits, Store, StoreOptions};

fn store_with(options: StoreOptions) -> Store {
    Store::open_on(Arc::new(Disk::default()), options).unwrap()
}

fn store() -> Store {
    store_with(options())
}

#[tokio::test]
async fn a_write_happens_when_its_expectation_holds() {
    use Expectation::{Absent, Any, At};
    let slot = slot();
    // Present before? What is expected, relative to the present version; does it hold?
    let rows = [
        (false, Any, true),
        (false, Absent, true),
        (false, At(0), false),
        (true, Any, true),
        (true, Absent, false),
        (true, At(0), true),
        (true, At(1), false),
    ];
    for (is_present, expect, holds) in rows {
        let store = store();
        let mut present = None;
        if is_present {
            present = Some(store.put(&slot, "k", vec![1], Any).await.unwrap());
        }
        let expect = match expect {
            At(off) => At(present.unwrap_or(7) + off),
            other => other,
        };
        let outcome = store.put(&slot, "k", vec![2], expect).await;
        let now = store.get(&slot, "k").await.unwrap();
        if holds {
            let version = outcome.unwrap();
            assert!(version > present.unwrap_or(0));
            assert_eq!(
                now.unwrap(),
                Entry {
                    key: "k".into(),
                    value: vec![2],
                    version
                }
            );
        } else {
            let Err(Error::Conflict { revision, .. }) = outcome else {
                panic!("{expect:?}: {outcome:?}");
            };
            assert_eq!(revision, present.map(|v| v.to_string()), "{expect:?}");
            assert_eq!(now.map(|e| e.version), present, "{expect:?}");
        }
    }
}

#[tokio::test]
async fn a_deletion_has_a_version_and_needs_something_to_delete() {
    let (store, slot) = (store(), slot());
    let missing = store.delete(&slot, "k", Expectation::Any).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    let put = store
        .put(&slot, "k", vec![], Expectation::Any)
        .await
        .unwrap();
    let wrong = store.delete(&slot, "k", Expectation::At(put + 1)).await;
    assert!(matches!(wrong, Err(Error::Conflict { .. })));
    let gone = store
        .delete(&slot, "k", Expectation::At(put))
        .await
        .unwrap();
    assert!(gone > put);
    assert_eq!(store.get(&slot, "k").await.unwrap(), None);
}

#[tokio::test]
async fn slots_do_not_see_each_other() {
    let store = store();
    let (one, other) = (slot(), "prober".parse().unwrap());
    store
        .put(&one, "k", vec![1], Expectation::Any)
        .await
        .unwrap();
    assert_eq!(store.get(&other, "k").await.unwrap(), None);
    assert!(
        store
            .scan(&other, "", 10, None)
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    assert_eq!(store.scan(&other, "", 10, None).await.unwrap().version, 0);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_changes_nothing() {
    let limits = Limits {
        key_bytes: 8,
        value_bytes: 100,
        slot_bytes: 150,
        ..Limits::default()
    };
    let store = store_with(StoreOptions {
        limits,
        ..options()
    });
    let slot = slot();
    let put = |key: &'static str, size: usize| {
        let (store, slot) = (store.clone(), slot.clone());
        async move { store.put(&slot, key, vec![0; size], Expectation::Any).await }
    };
    assert!(matches!(put("", 1).await, Err(Error::Invalid(_))));
    assert!(matches!(
        put("123456789", 1).await,
        Err(Error::TooLarge { limit_bytes: 8, .. })
    ));
    assert!(matches!(
        put("k", 101).await,
        Err(Error::TooLarge {
            limit_bytes: 100,
            ..
        })
    ));
    put("a", 100).await.unwrap();
    assert!(matches!(
        put("b", 50).await,
        Err(Error::TooLarge {
            limit_bytes: 150,
            ..
        })
    ));
    // Replacing counts the difference; deleting gives room.
    put("a", 90).await.unwrap();
    put("b", 50).await.unwrap();
    store.delete(&slot, "a", Expectation::Any).await.unwrap();
    put("c", 90).await.unwrap();
}

#[tokio::test]
async fn all_pages_of_a_scan_are_of_one_version() {
    let (store, slot) = (store(), slot());
    for i in 0..25 {
        store
            .put(&slot, &format!("a/{i:02}"), vec![1], Expectation::Any)
            .await
            .unwrap();
    }
    store
        .put(&slot, "b/0", vec![1], Expectation::Any)
        .await
        .unwrap();
    let first = store.scan(&slot, "a/", 10, None).await.unwrap();
    store.delete(&slot, "a/11", Expectation::Any).await.unwrap();
    store
        .put(&slot, "a/12", vec![2], Expectation::Any)
        .await
        .unwrap();
    store
        .put(&slot, "a/115", vec![2], Expectation::Any)
        .await
        .unwrap();
    let mut all = first.entries;
    let mut next = first.next;
    while let Some(token) = next {
        let page = store.scan(&slot, "a/", 10, Some(token)).await.unwrap();
        assert_eq!(page.version, first.version);
        all.extend(page.entries);
        next = page.next;
    }
    let keys: Vec<_> = all.iter().map(|e| e.key.clone()).collect();
    assert_eq!(
        keys,
        (0..25).map(|i| format!("a/{i:02}")).collect::<Vec<_>>()
    );
    assert!(all.iter().all(|e| e.value == [1]));
}

#[tokio::test]
async fn an_old_scan_ends_as_expired_and_a_wrong_token_as_invalid() {
    let disk = Disk::default();
    let store = Store::open_on(Arc::new(disk.clone()), options()).unwrap();
    let slot = slot();
    let mut tokens = Vec::new();
    for i in 0..40 {
        store
            .put(&slot, &format!("k{i:02}"), vec![], Expectation::Any)
            .await
            .unwrap();
        tokens.extend(store.scan(&slot, "", 1, None).await.unwrap().next);
    }
    let of = |token: &str| store.scan(&slot, "", 1, Some(token.to_owned()));
    assert!(matches!(of(&tokens[0]).await, Err(Error::Expired(_))));
    assert!(of(&tokens[38]).await.is_ok());
    assert!(matches!(of("no token").await, Err(Error::Invalid(_))));
    let elsewhere = store.scan(&slot, "x", 1, Some(tokens[38].clone())).await;
    assert!(matches!(elsewhere, Err(Error::Invalid(_))));
    drop(store);
    let again = Store::open_on(Arc::new(disk), options()).unwrap();
    let late = again.scan(&slot, "", 1, Some(tokens[38].clone())).await;
    assert!(matches!(late, Err(Error::Expired(_))));
}

async fn take(stream: &mut ChangeStream, count: usize) -> Vec<Change> {
    stream.take(count).map(Result::unwrap).collect().await
}

fn entry(key: &str, value: &[u8], version: u64) -> Entry {
    Entry {
        key: key.into(),
        value: value.into(),
        version,
    }
}

#[tokio::test]
async fn a_watch_lists_then_follows_every_change_once_in_order() {
    let (store, slot) = (store(), slot());
    store
        .put(&slot, "a/1", vec![1], Expectation::Any)
        .await
        .unwrap();
    store
        .put(&slot, "b/1", vec![1], Expectation::Any)
        .await
        .unwrap();
    let mut watch = store.watch(&slot, "a/", None).await.unwrap();
    assert_eq!(
        take(&mut watch, 2).await,
        [Change::Put(entry("a/1", &[1], 1)), Change::Bookmark(2)]
    );
    store
        .put(&slot, "b/2", vec![2], Expectation::Any)
        .await
        .unwrap();
    store
        .put(&slot, "a/1", vec![2], Expectation::Any)
        .await
        .unwrap();
    store
        .put(&slot, "a/1", vec![3], Expectation::Any)
        .await
        .unwrap();
    store.delete(&slot, "a/1", Expectation::Any).await.unwrap();
    let expected = [
        Change::Put(entry("a/1", &[2], 4)),
        Change::Put(entry("a/1", &[3], 5)),
        Change::Deleted(entry("a/1", &[3], 6)),
    ];
    assert_eq!(take(&mut watch, 3).await, expected);
    // Resumed from a version, with the values as they were.
    let mut again = store.watch(&slot, "a/", Some(2)).await.unwrap();
    assert_eq!(take(&mut again, 3).await, expected);
}

#[tokio::test]
async fn a_watch_goes_on_after_a_restart() {
    let disk = Disk::default();
    let slot = slot();
    let store = Store::open_on(Arc::new(disk.clone()), options()).unwrap();
    let first = store
        .put(&slot, "k", vec![1], Expectation::Any)
        .await
        .unwrap();
    let second = store
        .put(&slot, "k", vec![2], Expectation::Any)
        .await
        .unwrap();
    drop(store);
    let store = Store::open_on(Arc::new(disk), options()).unwrap();
    let mut watch = store.watch(&slot, "", Some(first)).await.unwrap();
    let third = store
        .put(&slot, "k", vec![3], Expectation::Any)
        .await
        .unwrap();
    assert!(third > second);
    assert_eq!(
        take(&mut watch, 2).await,
        [
            Change::Put(entry("k", &[2], second)),
            Change::Put(entry("k", &[3], third))
        ]
    );
}

#[tokio::test]
async fn who_falls_behind_the_change_log_is_told_so_at_the_end() {
    let limits = Limits {
        log_changes: 10,
        ..Limits::default()
    };
    let store = store_with(StoreOptions {
        limits,
        ..options()
    });
    let slot = slot();
    store
        .put(&slot, "k", vec![], Expectation::Any)
        .await
        .unwrap();
    let mut slow = store.watch(&slot, "", Some(0)).await.unwrap();
    for _ in 0..20 {
        store
            .put(&slot, "k", vec![], Expectation::Any)
            .await
            .unwrap();
    }
    assert!(matches!(slow.next().await, Some(Err(Error::Expired(_)))));
    assert!(slow.next().await.is_none());
    let late = store.watch(&slot, "", Some(10)).await.err();
    assert!(matches!(late, Some(Error::Expired(_))), "{late:?}");
    let future = store.watch(&slot, "", Some(22)).await.err();
    assert!(matches!(future, Some(Error::Expired(_))), "{future:?}");
    let mut reachable = store.watch(&slot, "", Some(11)).await.unwrap();
    assert_eq!(take(&mut reachable, 10).await.len(), 10);
}

#[tokio::test]
async fn the_change_log_is_bounded_in_bytes() {
    let limits = Limits {
        log_bytes: 10_000,
        ..Limits::default()
    };
    let store = store_with(StoreOptions {
        limits,
        ..options()
    });
    let slot = slot();
    for _ in 0..20 {
        store
            .put(&slot, "k", vec![0; 1_000], Expectation::Any)
            .await
            .unwrap();
    }
    assert!(store.watch(&slot, "", Some(10)).await.is_err());
    assert!(store.watch(&slot, "", Some(11)).await.is_ok());
}

#[tokio::test]
async fn a_quiet_prefix_is_moved_on_by_bookmarks() {
    let (store, slot) = (store(), slot());
    let mut watch = store.watch(&slot, "quiet/", Some(0)).await.err();
    assert!(watch.take().is_none());
    let mut watch = store.watch(&slot, "quiet/", None).await.unwrap();
    assert_eq!(take(&mut watch, 1).await, [Change::Bookmark(0)]);
    let puts = (0..1_500).map(|i| {
        let (store, slot) = (store.clone(), slot.clone());
        async move {
            store
                .put(&slot, &format!("busy/{i}"), vec![], Expectation::Any)
                .await
        }
    });
    for outcome in futures::future::join_all(puts).await {
        outcome.unwrap();
    }
    let bookmark = take(&mut watch, 1).await;
    assert!(
        matches!(bookmark[..], [Change::Bookmark(v)] if v >= 1_000),
        "{bookmark:?}"
    );
}

#[tokio::test]
async fn a_closed_store_ends_watches_and_refuses_writes() {
    let (store, slot) = (store(), slot());
    store
        .put(&slot, "k", vec![1], Expectation::Any)
        .await
        .unwrap();
    let mut watch = store.watch(&slot, "", Some(1)).await.unwrap();
    store.close();
    assert!(matches!(
        watch.next().await,
        Some(Err(Error::Unavailable { .. }))
    ));
    assert!(watch.next().await.is_none());
    let put = store.put(&slot, "k", vec![2], Expectation::Any).await;
    assert!(matches!(put, Err(Error::Unavailable { .. })));
    assert_eq!(store.get(&slot, "k").await.unwrap().unwrap().value, [1]);
}

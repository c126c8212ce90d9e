//! A full disk: writes are refused, reads go on, and it ends by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Disk, options, slot};
use optikon_core::{
    Error,
    ports::{Documents, Expectation, Kv},
};
use optikon_store::Store;

async fn full_and_back(fill: fn(&Disk, bool)) {
    let disk = Disk::default();
    let store = Store::open_on(Arc::new(disk.clone()), options()).unwrap();
    let slot = slot();
    let before = store
        .put(&slot, "kept", vec![1; 100], Expectation::Any)
        .await
        .unwrap();

    fill(&disk, true);
    let mut refused = None;
    // A disk that cannot grow still takes what fits into free pages.
    for i in 0..64 {
        let key = format!("big{i}");
        let put = store.put(&slot, &key, vec![2; 1 << 20], Expectation::Any);
        if let Err(error) = put.await {
            refused = Some(error);
            break;
        }
    }
    let Some(Error::Unavailable { message, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(message.contains("full"), "{message}");
    assert!(store.writable().unwrap_err().contains("full"));
    let kept = store.get(&slot, "kept").await.unwrap().unwrap();
    assert_eq!((kept.value, kept.version), (vec![1; 100], before));
    assert!(
        !store
            .scan(&slot, "", 1, None)
            .await
            .unwrap()
            .entries
            .is_empty()
    );

    fill(&disk, false);
    // Nobody writes: the store finds out by itself.
    let well = async {
        while store.writable().is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), well)
        .await
        .unwrap();
    store
        .put(&slot, "after", vec![3; 1 << 20], Expectation::Absent)
        .await
        .unwrap();
    drop(store);
    let store = Store::open_on(Arc::new(disk), options()).unwrap();
    for key in ["kept", "after"] {
        assert!(store.get(&slot, key).await.unwrap().is_some(), "{key}");
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_refuses_writes_and_serves_reads() {
    full_and_back(Disk::set_full).await;
}

#[tokio::test]
async fn a_disk_that_cannot_grow_refuses_writes_and_serves_reads() {
    full_and_back(Disk::set_frozen_in_size).await;
}

#[tokio::test]
async fn audit_records_wait_for_space() {
    let disk = Disk::default();
    let store = Store::open_on(Arc::new(disk.clone()), options()).unwrap();
    disk.set_full(true);
    store.audit(serde_json::json!({"action": "while full"}));
    assert!(store.audit_records(None, 10).await.unwrap().is_empty());
    disk.set_full(false);
    let written = async {
        loop {
            let records = store.audit_records(None, 10).await.unwrap();
            if !records.is_empty() {
                return records;
            }
        }
    };
    let records = tokio::time::timeout(Duration::from_secs(30), written)
        .await
        .unwrap();
    assert_eq!(records[0].1["action"], "while full");
}

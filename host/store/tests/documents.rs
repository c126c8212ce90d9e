//! The host's own documents, counters, the audit trail, retention.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod common;

use std::sync::Arc;

use common::{Disk, options};
use optikon_core::{
    Error,
    ports::{Documents, Table},
};
use optikon_store::{Limits, Retention, Store, StoreOptions, Swept};
use serde_json::json;

fn store_with(options: StoreOptions) -> Store {
    Store::open_on(Arc::new(Disk::default()), options).unwrap()
}

#[tokio::test]
async fn documents_are_written_together_and_scanned_in_order() {
    let store = store_with(options());
    let some = |text: &str| Some(text.as_bytes().to_vec());
    store
        .write(vec![
            (Table::OperationEvents, "b/1".into(), some("1")),
            (Table::OperationEvents, "a/2".into(), some("2")),
            (Table::OperationEvents, "a/1".into(), some("3")),
            (Table::Meta, "a/1".into(), some("4")),
        ])
        .await
        .unwrap();
    let scan = async |after, limit| {
        let found = store.scan_documents(Table::OperationEvents, "a/", after, limit);
        found
            .await
            .unwrap()
            .into_iter()
            .map(|(key, _)| key)
            .collect::<Vec<_>>()
    };
    assert_eq!(scan(None, 10).await, ["a/1", "a/2"]);
    assert_eq!(scan(None, 1).await, ["a/1"]);
    assert_eq!(scan(Some("a/1"), 10).await, ["a/2"]);
    assert_eq!(scan(Some("a/2"), 10).await, Vec::<String>::new());
    store
        .write(vec![(Table::OperationEvents, "a/1".into(), None)])
        .await
        .unwrap();
    assert_eq!(
        store.read(Table::OperationEvents, "a/1").await.unwrap(),
        None
    );
    assert_eq!(store.read(Table::Meta, "a/1").await.unwrap(), some("4"));
}

#[tokio::test]
async fn one_document_too_large_refuses_all_of_a_write() {
    let limits = Limits {
        document_bytes: 10,
        ..Limits::default()
    };
    let store = store_with(StoreOptions {
        limits,
        ..options()
    });
    let changes = vec![
        (Table::Meta, "small".into(), Some(vec![0; 10])),
        (Table::Meta, "large".into(), Some(vec![0; 11])),
    ];
    assert!(matches!(
        store.write(changes).await,
        Err(Error::TooLarge { .. })
    ));
    assert_eq!(store.read(Table::Meta, "small").await.unwrap(), None);
}

#[tokio::test]
async fn a_counter_never_gives_a_number_twice() {
    let disk = Disk::default();
    let mut end = 0;
    for count in [1, 5, 1_000] {
        let store = Store::open_on(Arc::new(disk.clone()), options()).unwrap();
        let first = store.reserve("rv", count).await.unwrap();
        assert!(first >= end);
        end = first + count;
        assert_eq!(
            store.reserve(&format!("other-{count}"), 1).await.unwrap(),
            1
        );
    }
}

#[tokio::test]
async fn the_audit_trail_is_read_newest_first_and_survives_a_close() {
    let disk = Disk::default();
    let store = Store::open_on(Arc::new(disk.clone()), options()).unwrap();
    for i in 0..5 {
        store.audit(json!({ "i": i }));
    }
    store.audit(json!({ "long": "x".repeat(100_000) }));
    store.close();
    drop(store);
    let store = Store::open_on(Arc::new(disk), options()).unwrap();
    store.audit(json!({ "i": 6 }));
    let records = store.audit_records(None, 100).await.unwrap();
    let numbers: Vec<_> = records.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(records[0].1, json!({ "i": 6 }));
    assert_eq!(records[1].1["action"], "audit-too-long");
    let page = store.audit_records(Some(5), 2).await.unwrap();
    assert_eq!(page, [(4, json!({ "i": 3 })), (3, json!({ "i": 2 }))]);
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn a_sweep_removes_what_is_old_and_nothing_that_still_runs() {
    let retention = Retention {
        operations: 3,
        ..Retention::default()
    };
    let start = 1_000 * DAY_MS;
    let options = StoreOptions {
        retention,
        now_ms: || 1_000 * DAY_MS,
        ..options()
    };
    let store = store_with(options);
    let operation = |id: &str, state: &str, age_days: u64| {
        let finished = start - age_days * DAY_MS;
        let document = json!({ "state": state, "finishedMs": finished }).to_string();
        let event = (
            Table::OperationEvents,
            format!("{id}/0000000001"),
            Some(b"{}".to_vec()),
        );
        vec![
            (
                Table::Operations,
                id.to_owned(),
                Some(document.into_bytes()),
            ),
            event,
        ]
    };
    for (id, state, age) in [
        ("a", "running", 400),
        ("b", "succeeded", 31),
        ("c", "succeeded", 4),
        ("d", "failed", 3),
        ("e", "partial", 2),
        ("f", "cancelled", 1),
    ] {
        store.write(operation(id, state, age)).await.unwrap();
    }
    store
        .write(vec![(Table::Idempotency, "key".into(), Some(vec![]))])
        .await
        .unwrap();
    store.audit(json!({}));
    assert_eq!(store.audit_records(None, 1).await.unwrap().len(), 1);

    let swept = store.sweep(start + DAY_MS / 2).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            audit: 0,
            operations: 2,
            idempotency: 0
        }
    );
    for (id, is_there) in [
        ("a", true),
        ("b", false),
        ("c", false),
        ("d", true),
        ("f", true),
    ] {
        let found = store.read(Table::Operations, id).await.unwrap();
        assert_eq!(found.is_some(), is_there, "{id}");
        let prefix = format!("{id}/");
        let events = store.scan_documents(Table::OperationEvents, &prefix, None, 9);
        assert_eq!(events.await.unwrap().len(), usize::from(is_there), "{id}");
    }
    let swept = store.sweep(start + 2 * DAY_MS).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            audit: 0,
            operations: 0,
            idempotency: 1
        }
    );
    let swept = store.sweep(start + 91 * DAY_MS).await.unwrap();
    assert_eq!(
        swept,
        Swept {
            audit: 1,
            operations: 3,
            idempotency: 0
        }
    );
    assert!(store.read(Table::Operations, "a").await.unwrap().is_some());
}

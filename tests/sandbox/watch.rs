//! Watches: bounded, in order, with the reason of their end as the last item.

use futures::{FutureExt, StreamExt};
use optikon_core::{
    Error,
    error::FailureKind,
    ports::{Call, Event, Plugins as _},
};
use optikon_engine::Limits;

use crate::harness::{Bench, name};

/// Revisions of the bookmarks, and how it ended.
async fn read_all(bench: &Bench) -> (Vec<String>, Option<Error>) {
    let mut events = bench.registry.watch("", None).await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Bookmark(revision)) => seen.push(revision),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(events.next().await.is_none(), "an error is the last item");
                return (seen, Some(error));
            }
        }
    }
    (seen, None)
}

#[tokio::test]
async fn a_watch_that_ends_delivers_everything() {
    let bench = Bench::new("", Limits::default()).await;
    let (seen, end) = read_all(&bench).await;
    assert_eq!(seen, ["0", "1", "2"]);
    assert!(end.is_none());
}

#[tokio::test]
async fn a_trap_in_the_middle_is_the_last_item() {
    let bench = Bench::new("watch-panic", Limits::default()).await;
    let (seen, end) = read_all(&bench).await;
    assert_eq!(seen, ["0", "1", "2"]);
    match end {
        Some(Error::Plugin(failure)) => assert_eq!(failure.kind, FailureKind::Trap),
        other => panic!("{other:?}"),
    }
    bench.is_unharmed().await;
}

#[tokio::test]
async fn an_error_of_the_plugin_is_the_last_item_or_refuses_the_watch() {
    let bench = Bench::new("watch-expired", Limits::default()).await;
    let (seen, end) = read_all(&bench).await;
    assert_eq!(seen.len(), 3);
    assert!(matches!(end, Some(Error::Expired(_))));
    let bench = Bench::new("watch-refused", Limits::default()).await;
    let refused = bench.registry.watch("", None).await;
    assert!(matches!(refused.err(), Some(Error::Expired(_))));
}

#[tokio::test]
async fn a_reader_that_stops_stops_the_writer() {
    let bench = Bench::new("watch-endless", Limits::default()).await;
    let mut events = bench.registry.watch("", None).await.unwrap();
    for n in 0..1_000 {
        let Some(Ok(Event::Bookmark(revision))) = events.next().await else {
            panic!("event {n}");
        };
        assert_eq!(revision, n.to_string());
    }
    drop(events);
    assert!(
        bench
            .engine
            .metrics()
            .iter()
            .all(|slot| slot.memory_bytes == 0)
    );
}

#[tokio::test]
async fn a_watch_that_does_not_begin_ends_at_the_wall_time() {
    let limits = Limits {
        wall_ms: 20,
        ..Limits::default()
    };
    let bench = Bench::new("watch-sleep", limits).await;
    let error = bench.registry.watch("", None).await.err().unwrap();
    assert!(matches!(error, Error::Timeout(m) if m.contains("wall-ms = 20")));
}

#[tokio::test]
async fn a_looping_watch_is_held_back_and_others_are_served() {
    let limits = Limits {
        cpu_ms: 20,
        ..Limits::default()
    };
    let bench = Bench::new("watch-spin", limits).await;
    let mut events = bench.registry.watch("", None).await.unwrap();
    for _ in 0..3 {
        assert!(events.next().await.unwrap().is_ok());
    }
    // The guest loops from here on; polled beside it, an honest call is answered all the same.
    let honest = bench.registry.list(Call::client(), "", 10, None);
    let looping = events.next().fuse();
    tokio::select! {
        page = honest => assert_eq!(page.unwrap().items.len(), 2),
        event = looping => panic!("{event:?}"),
    }
    drop(events);
    bench
        .registry
        .get(Call::client(), &name("edge-1"))
        .await
        .unwrap();
}

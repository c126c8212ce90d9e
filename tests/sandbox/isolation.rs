//! What a guest does in one call stays in that call.

use std::sync::Arc;

use optikon_core::{Error, error::FailureKind, ports::Plugins as _};
use optikon_engine::Limits;
use serde_json::json;

use crate::{
    fakes::Log,
    harness::{Bench, config, filling, slot},
};

fn warm() -> Limits {
    Limits {
        warm_instances: 1,
        ..Limits::default()
    }
}

async fn trap(bench: &Bench) -> String {
    let error = bench.get().await.unwrap_err();
    bench.is_unharmed().await;
    match error {
        Error::Plugin(failure) if failure.kind == FailureKind::Trap => failure.message,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_panic_is_a_trap_and_its_text_reaches_the_log() {
    let log = Log::capture();
    let bench = Bench::new("panic", Limits::default()).await;
    assert!(trap(&bench).await.contains("unreachable"));
    let lines = log.lines();
    let panic = lines.iter().find(|l| l.contains("panic:")).unwrap();
    assert!(panic.contains("the guest says \\u{1b}[31mboom"), "{panic}");
}

#[tokio::test]
async fn endless_recursion_is_a_trap() {
    let bench = Bench::new("recurse", Limits::default()).await;
    assert_eq!(trap(&bench).await, "call stack exhausted");
}

#[tokio::test]
async fn every_call_gets_a_fresh_instance_unless_the_slot_keeps_some() {
    for (limits, second) in [(Limits::default(), "1"), (warm(), "2")] {
        let bench = Bench::new("count-calls", limits).await;
        // The trial instance may have been kept too; it served no such call.
        assert_eq!(bench.says().await, "1");
        assert_eq!(bench.says().await, second);
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_call_and_its_instance_is_not_used_again() {
    let bench = Bench::new("keep-connection", warm()).await;
    for _ in 0..3 {
        assert_eq!(
            bench.says().await,
            "0",
            "nothing is kept from the call before"
        );
        // The test's own and the peers' hold are all that is left.
        assert_eq!(Arc::strong_count(&bench.peers.peer), 1);
    }
}

#[tokio::test]
async fn a_stream_that_a_guest_keeps_ends_with_its_call() {
    let bench = Bench::new("keep-lines", warm()).await;
    bench.get().await.unwrap();
    bench.get().await.unwrap();
    assert_eq!(Arc::strong_count(&bench.peers.peer), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_instance_along() {
    let bench = Bench::new("hold-memory", Limits::default()).await;
    let left = tokio::time::timeout(std::time::Duration::from_millis(200), bench.get()).await;
    assert!(left.is_err());
    assert!(
        bench
            .engine
            .metrics()
            .iter()
            .all(|slot| slot.memory_bytes == 0)
    );
    bench.is_unharmed().await;
}

#[tokio::test]
async fn secrets_of_the_configuration_stay_on_the_host() {
    let bench = Bench::empty(config());
    let mut filling = filling("config", Limits::default());
    filling.config = json!({"behaviour": "config", "password": "hunter2"});
    let candidate = bench.engine.load(&slot("registry"), filling).await.unwrap();
    assert_eq!(candidate.secrets, json!({"password": "hunter2"}));
    bench.engine.switch(candidate);
    assert_eq!(bench.says().await, "{'behaviour':'config'}");
}

#[tokio::test]
async fn an_upstream_that_is_not_configured_cannot_be_reached() {
    let bench = Bench::new("upstream", Limits::default()).await;
    assert_eq!(bench.says().await, "bad-config");
}

#[tokio::test]
async fn central_is_what_was_asked_for_and_granted() {
    let grant = |resource: &str, verbs: &[&str]| optikon_core::words::ResourceGrant {
        group: String::new(),
        resource: resource.to_owned(),
        verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
    };
    let bench = Bench::empty(config());
    let mut filling = filling("big-answer", Limits::default());
    filling.grants.central = Some(vec![
        grant("*", &["get", "delete"]),
        grant("pods", &["get"]),
    ]);
    bench.engine.fill(&slot("registry"), filling).await.unwrap();
    bench.get().await.unwrap();
    assert_eq!(
        *bench.peers.grants.lock().unwrap(),
        [grant("configmaps", &["get"])]
    );
}

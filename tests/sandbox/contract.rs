//! Answers that break the contract are errors that name the plugin, and errors keep their meaning.

use optikon_core::{Error, error::FailureKind, ports::Call, words::Cluster};
use optikon_engine::Limits;

use crate::harness::{Bench, name};

fn broken(error: Error) -> String {
    match error {
        Error::Plugin(failure) if failure.kind == FailureKind::Contract => failure.message,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn objects_are_looked_at_before_use() {
    for (behaviour, says) in [
        ("other-name", "answered \"somebody-else\""),
        ("no-json", "an object that is none"),
        ("empty-revision", "a revision that is empty"),
        ("internal", "my fault\\nindeed"),
    ] {
        let bench = Bench::new(behaviour, Limits::default()).await;
        let message = broken(bench.get().await.unwrap_err());
        assert!(message.contains(says), "{behaviour}: {message}");
    }
}

#[tokio::test]
async fn pages_are_looked_at_before_use() {
    for (behaviour, says) in [
        ("unsorted", "not sorted"),
        ("twice", "not sorted"),
        ("too-many", "at most 10"),
    ] {
        let bench = Bench::new(behaviour, Limits::default()).await;
        let listed = bench.registry.list(Call::client(), "", 10, None).await;
        let message = broken(listed.unwrap_err());
        assert!(message.contains(says), "{behaviour}: {message}");
    }
}

#[tokio::test]
async fn errors_of_a_plugin_keep_their_meaning() {
    let bench = Bench::new("", Limits::default()).await;
    let cluster = Cluster::from_json(r#"{"metadata":{"name":"edge-1"}}"#).unwrap();
    let (edge, uid) = (name("edge-1"), "u".parse().unwrap());
    let created = bench.registry.create(Call::client(), &cluster, false).await;
    assert!(matches!(created, Err(Error::AlreadyExists { name, .. }) if name == "edge-1"));
    let updated = bench
        .registry
        .update(Call::client(), &cluster, None, false)
        .await;
    assert!(matches!(updated, Err(Error::Conflict { revision: Some(r), .. }) if r == "7"));
    let deleted = bench
        .registry
        .delete(Call::client(), &edge, None, None, false)
        .await;
    assert!(matches!(deleted, Err(Error::NotFound { name, .. }) if name == "edge-1"));
    let status = bench
        .registry
        .set_status(Call::client(), &edge, &uid, "[]")
        .await;
    assert!(matches!(status, Err(Error::Unsupported(_))));
    let supported = bench.registry.supported().await.unwrap();
    assert!(supported.watch && !supported.status);
}

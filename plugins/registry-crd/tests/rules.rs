//! The rules on recorded answers of an API server.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what panics here ends one test"
)]

use futures::executor::block_on;
use optikon_plugin_sdk::{
    ErrorCode,
    collection::{Expect, start},
    registry::Event,
    testing::FakeApi,
};
use registry_crd::{clusters::Clusters, place::Place};
use serde_json::{Value, json};

const COLLECTION: &str = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters";
const ONE: &str = "/apis/clusterregistry.k8s.io/v1alpha1/namespaces/optikon/clusters/a";

fn place() -> Place {
    Place {
        collection: COLLECTION.into(),
        namespace: Some("optikon".into()),
    }
}

fn present() -> Value {
    json!({"kind": "Cluster", "metadata": {"name": "a", "uid": "1", "resourceVersion": "7"}, "spec": {"x": 1}})
}

fn status(reason: &str, message: &str) -> String {
    json!({"kind": "Status", "reason": reason, "message": message}).to_string()
}

#[test]
fn an_update_tests_uid_and_revision_on_the_server() {
    let api = FakeApi::new()
        .answer("GET", ONE, 200, present().to_string())
        .answer("PATCH", ONE, 200, present().to_string());
    let wanted = json!({"metadata": {"name": "a", "uid": "1"}, "spec": {"x": 2}}).to_string();
    block_on(Clusters::new(&api, &place()).update(&wanted, Some("7"), true)).unwrap();
    let asked = api.asked();
    let patch: Value = serde_json::from_slice(&asked[1].body).unwrap();
    assert_eq!(
        patch[0],
        json!({"op": "test", "path": "/metadata/uid", "value": "1"})
    );
    assert_eq!(patch[1]["path"], "/metadata/resourceVersion");
    let query = &asked[1].query;
    assert!(
        query.contains(&("dryRun".into(), "All".into())),
        "{query:?}"
    );
}

#[test]
fn what_the_server_refuses_of_an_unchanged_object_is_the_objects_fault() {
    let api = FakeApi::new()
        .answer("GET", ONE, 200, present().to_string())
        .answer("PATCH", ONE, 422, status("Invalid", "spec.x: too odd"));
    let wanted = json!({"metadata": {"name": "a", "uid": "1"}, "spec": {"x": 2}}).to_string();
    let error = block_on(Clusters::new(&api, &place()).update(&wanted, None, false)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert_eq!(api.asked().len(), 3, "read, refused, read again");
}

#[test]
fn a_refusal_of_the_gateway_is_never_the_callers() {
    for (code, reason) in [(401, "Unauthorized"), (403, "Forbidden")] {
        let api = FakeApi::new().answer("POST", COLLECTION, code, status(reason, "no"));
        let made = block_on(Clusters::new(&api, &place()).create(&present().to_string(), false));
        let error = made.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unavailable);
        assert!(
            error.message.contains("registry setup"),
            "{}",
            error.message
        );
    }
}

#[test]
fn a_missing_definition_and_a_missing_namespace_have_words_of_their_own() {
    let place = place();
    let nothing = FakeApi::new();
    let gone = Clusters::new(&nothing, &place);
    let listed = block_on(gone.list("", 10, None)).unwrap_err();
    let tried = block_on(gone.create(&present().to_string(), false)).unwrap_err();
    for error in [&listed, &tried] {
        let is_named = error.message.contains("does not serve clusters");
        assert!(is_named, "{}", error.message);
    }
    let said = json!({"kind": "Status", "reason": "NotFound", "details": {"name": "optikon", "kind": "namespaces"}});
    let api = FakeApi::new().answer("POST", COLLECTION, 404, said.to_string());
    let clusters = Clusters::new(&api, &place);
    let made = block_on(clusters.create(&present().to_string(), false)).unwrap_err();
    assert!(
        made.message.contains("no namespace \"optikon\""),
        "{}",
        made.message
    );
    for error in [listed, tried, made] {
        assert_eq!(error.code, ErrorCode::Unavailable);
    }
}

#[test]
fn names_that_would_leave_the_path_are_nobodys() {
    let api = FakeApi::new();
    let place = place();
    let clusters = Clusters::new(&api, &place);
    for name in ["", "..", "a/b", "a?b", "A", "-a"] {
        let error = block_on(clusters.get(name)).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        let error = block_on(clusters.delete(name, Expect::default(), false)).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
    }
    assert!(api.asked().is_empty());
}

#[test]
fn a_namesake_is_not_deleted() {
    let list = json!({"kind": "ClusterList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": [present()]});
    let api = FakeApi::new().answer("GET", COLLECTION, 200, list.to_string());
    let other = Expect::new(Some("2"), None);
    let error = block_on(Clusters::new(&api, &place()).delete("a", other, false)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(api.asked().len(), 1, "nothing but a look");
}

#[test]
fn a_watch_ends_with_expired_when_the_server_has_forgotten() {
    let event = |kind: &str, object: Value| json!({"type": kind, "object": object}).to_string();
    let body = [
        event("ADDED", present()),
        event("BOOKMARK", json!({"metadata": {"resourceVersion": "8"}})),
        event(
            "ERROR",
            json!({"kind": "Status", "code": 410, "message": "too old"}),
        ),
    ]
    .join("\n");
    let api = FakeApi::new().answer("GET", COLLECTION, 200, body);
    let mut out = Vec::new();
    let after = Some("5".to_owned());
    let ended = block_on(place().clusters().deliver(&api, "", after, None, &mut out));
    assert_eq!(ended.unwrap_err().code, ErrorCode::Expired);
    assert!(matches!(&out[0], Ok(Event::Stored(object)) if object.revision == "7"));
    assert!(matches!(&out[1], Ok(Event::Bookmark(revision)) if revision == "8"));
    for elsewhere in ["elsewhere", "-1", "+1", "18446744073709551616"] {
        let error = start(Some(elsewhere.into())).unwrap_err();
        assert_eq!(error.code, ErrorCode::Expired, "{elsewhere}");
    }
}

/// Every write meets a conflict while the object changes all the time: the caller is told, after a bounded number of tries.
#[test]
fn a_storm_of_conflicts_ends() {
    let api = FakeApi::new()
        .answer("GET", ONE, 200, present().to_string())
        .answer("PATCH", ONE, 409, status("Conflict", "changed"));
    let wanted = json!({"metadata": {"name": "a", "uid": "1"}, "spec": {"x": 2}}).to_string();
    let error = block_on(Clusters::new(&api, &place()).update(&wanted, None, false)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(api.asked().len() <= 200);
}

#[test]
fn a_list_that_expires_half_way_says_so() {
    let api = FakeApi::new().answer("GET", COLLECTION, 410, status("Expired", "too old"));
    let next = Some("eyJ2IjoibWV0YSJ9".to_owned());
    let error = block_on(Clusters::new(&api, &place()).list("", 10, next)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Expired);
}

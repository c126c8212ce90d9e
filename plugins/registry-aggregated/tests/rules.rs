//! The rules on recorded answers of a v0.0.3 server.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what panics here ends one test"
)]

use futures::executor::block_on;
use optikon_plugin_sdk::{ErrorCode, collection::Expect, testing::FakeApi};
use registry_aggregated::{
    check,
    clusters::Clusters,
    place::{COLLECTION, clusters},
};
use serde_json::{Value, json};

const ONE: &str = "/apis/clusterregistry.k8s.io/v1alpha1/clusters/a";
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

fn present() -> Value {
    json!({"kind": "Cluster", "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "metadata": {"name": "a", "uid": "1", "resourceVersion": "7", "selfLink": ONE},
        "spec": {"kubernetesApiEndpoints": {}, "authInfo": {"providers": null}, "cloudProvider": null}, "status": null})
}

fn status(reason: &str, message: &str) -> String {
    json!({"kind": "Status", "reason": reason, "message": message}).to_string()
}

fn wanted() -> String {
    json!({"metadata": {"name": "a", "uid": "1"}, "spec": {"cloudProvider": {"name": "x"}}})
        .to_string()
}

#[test]
fn nothing_is_sent_on_a_dry_run() {
    let api = FakeApi::new().answer("GET", ONE, 200, present().to_string());
    let clusters = Clusters::new(&api);
    block_on(clusters.update(&wanted(), Some("7"), true)).unwrap();
    let exists = block_on(clusters.create(&wanted(), true)).unwrap_err();
    assert_eq!(exists.code, ErrorCode::AlreadyExists);
    let list =
        json!({"kind": "ClusterList", "metadata": {"resourceVersion": "9"}, "items": [present()]});
    let api = api.answer("GET", COLLECTION, 200, list.to_string());
    block_on(Clusters::new(&api).delete("a", Expect::default(), true)).unwrap();
    assert!(api.asked().iter().all(|request| request.body.is_empty()));
}

#[test]
fn an_expected_version_is_sent_and_none_is_where_none_is_expected() {
    for (expected, sent) in [(Some("7"), Some("7")), (None, None)] {
        let api = FakeApi::new()
            .answer("GET", ONE, 200, present().to_string())
            .answer("PUT", ONE, 200, present().to_string());
        block_on(Clusters::new(&api).update(&wanted(), expected, false)).unwrap();
        let body: Value = serde_json::from_slice(&api.asked()[1].body).unwrap();
        assert_eq!(body.pointer("/metadata/uid").unwrap(), "1");
        let version = body.pointer("/metadata/resourceVersion");
        assert_eq!(version.and_then(Value::as_str), sent);
    }
}

/// A server that answers every write with a conflict: the caller is told, after a bounded number of tries.
#[test]
fn a_storm_of_conflicts_ends() {
    let api = FakeApi::new()
        .answer("GET", ONE, 200, present().to_string())
        .answer("PUT", ONE, 409, status("Conflict", "changed"));
    let error = block_on(Clusters::new(&api).update(&wanted(), None, false)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(api.asked().len() <= 200);
}

#[test]
fn a_list_that_expires_half_way_says_so() {
    let api = FakeApi::new().answer("GET", COLLECTION, 410, status("Expired", "too old"));
    let next = Some("eyJ2IjoibWV0YSJ9".to_owned());
    let error = block_on(Clusters::new(&api).list("", 10, next)).unwrap_err();
    assert_eq!(error.code, ErrorCode::Expired);
    let event =
        json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}});
    let api = FakeApi::new().answer("GET", COLLECTION, 200, event.to_string());
    let mut out = Vec::new();
    let all = clusters();
    let ended = all.deliver(&api, "", Some("5".into()), None, &mut out);
    assert_eq!(block_on(ended).unwrap_err().code, ErrorCode::Expired);
}

/// The text of a 400 or a 500 quotes what was sent.
#[test]
fn what_the_server_quotes_is_withheld() {
    for (code, expected) in [(400, ErrorCode::Invalid), (500, ErrorCode::Unavailable)] {
        let said = status("BadRequest", "bigger context ...|\"token\":\"s3cret\"|...");
        let api = FakeApi::new()
            .answer("GET", ONE, 200, present().to_string())
            .answer("POST", COLLECTION, code, said.clone())
            .answer("PUT", ONE, code, said);
        for error in [
            block_on(Clusters::new(&api).create(&wanted(), false)).unwrap_err(),
            block_on(Clusters::new(&api).update(&wanted(), None, false)).unwrap_err(),
        ] {
            assert_eq!(error.code, expected);
            assert!(!error.message.contains("s3cret"), "{}", error.message);
            assert!(
                error
                    .details
                    .iter()
                    .all(|(_, value)| !value.contains("s3cret"))
            );
        }
    }
}

#[test]
fn another_form_and_missing_rights_are_named() {
    let review = |allowed: bool| json!({"status": {"allowed": allowed}}).to_string();
    let list = json!({"kind": "ClusterList", "metadata": {"resourceVersion": "9"}, "items": []});
    let api = FakeApi::new()
        .answer("POST", REVIEWS, 201, review(true))
        .answer("GET", COLLECTION, 200, list.to_string());
    let error = block_on(check::check(&api)).unwrap_err();
    assert!(
        error.message.contains("use registry-crd"),
        "{}",
        error.message
    );
    let api = FakeApi::new().answer("POST", REVIEWS, 201, review(false));
    let error = block_on(check::check(&api)).unwrap_err();
    assert!(
        error.message.contains("get, list, watch"),
        "{}",
        error.message
    );
}

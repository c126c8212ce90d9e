//! Where kinds live, by every kind of discovery.

use http::Response;
use optikon_core::{
    ports::Connection,
    words::{FaultReason, Mapping},
};
use serde_json::json;

use super::server::*;

fn json_answer(value: &serde_json::Value) -> Response<ServerBody> {
    Response::builder()
        .header("content-type", "application/json")
        .body(full(value.to_string()))
        .unwrap()
}

fn status(status: u16) -> Response<ServerBody> {
    Response::builder().status(status).body(full("")).unwrap()
}

fn aggregated() -> serde_json::Value {
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [
        {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [
            {"resource": "deployments", "scope": "Namespaced", "responseKind": {"group": "", "version": "", "kind": "Deployment"},
             "subresources": [{"subresource": "scale"}]}]}]},
        {"metadata": {"name": "broken.example"}, "versions": [{"version": "v1", "freshness": "Stale", "resources": []}]},
    ]})
}

fn plain() -> serde_json::Value {
    json!({"kind": "APIResourceList", "resources": [
        {"name": "deployments", "kind": "Deployment", "namespaced": true},
        {"name": "deployments/scale", "kind": "Scale", "namespaced": true},
        {"name": "nodes", "kind": "Node", "namespaced": false},
    ]})
}

async fn find(connection: &dyn Connection, group: &str, kind: &str) -> Option<String> {
    let found = connection.mapping(group, "v1", kind).await.unwrap();
    found.map(|m: Mapping| format!("{}/{} {}", m.path_prefix, m.plural, m.is_namespaced))
}

#[tokio::test]
async fn aggregated_discovery_is_read_once() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |request| {
        Box::pin(async move {
            match request.uri().path() {
                "/apis" => json_answer(&aggregated()),
                "/apis/broken.example/v1" => status(503),
                other => panic!("{other}"),
            }
        })
    })
    .await;
    let connection = connect(&member(&ca, &[server.url()]));
    let connection = connection.as_ref();
    for _ in 0..3 {
        let found = find(connection, "apps", "Deployment").await;
        assert_eq!(found.as_deref(), Some("/apis/apps/v1/deployments true"));
        assert_eq!(find(connection, "apps", "Scale").await, None);
    }
    assert_eq!(server.seen.paths(), ["/apis"]);
    assert_eq!(find(connection, "absent.example", "X").await, None);
    assert_eq!(find(connection, "absent.example", "X").await, None);
    assert_eq!(server.seen.paths(), ["/apis", "/apis"]);
    let stale = connection.mapping("broken.example", "v1", "X").await;
    let fault = stale.unwrap_err();
    assert_eq!(fault.reason, FaultReason::Protocol, "{fault}");
}

#[tokio::test]
async fn older_servers_are_asked_plainly() {
    let ca = Ca::new();
    for answer in [406, 200] {
        let server = Server::http(Tls::new(ca.server()), move |request| {
            Box::pin(async move {
                match request.uri().path() {
                    "/apis" | "/api" if answer == 406 => status(406),
                    "/apis" => json_answer(&json!({"kind": "APIGroupList", "groups": []})),
                    "/api" => json_answer(&json!({"kind": "APIVersions", "versions": ["v1"]})),
                    "/apis/apps/v1" | "/api/v1" => json_answer(&plain()),
                    _ => status(404),
                }
            })
        })
        .await;
        let connection = connect(&member(&ca, &[server.url()]));
        let connection = connection.as_ref();
        for _ in 0..2 {
            let found = find(connection, "apps", "Deployment").await;
            assert_eq!(found.as_deref(), Some("/apis/apps/v1/deployments true"));
            assert_eq!(find(connection, "apps", "Scale").await, None);
            let found = find(connection, "", "Node").await;
            assert_eq!(found.as_deref(), Some("/api/v1/nodes false"));
            assert_eq!(find(connection, "absent.example", "X").await, None);
        }
        assert_eq!(server.seen.paths().len(), 6);
    }
}

#[tokio::test]
async fn a_group_cannot_lead_astray() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |_| Box::pin(async { status(406) })).await;
    let connection = connect(&member(&ca, &[server.url()]));
    for group in ["../api", "a/b", "a?b", "@evil"] {
        let fault = connection.mapping(group, "v1", "X").await.unwrap_err();
        assert_eq!(fault.reason, FaultReason::Denied, "{group}: {fault}");
    }
    assert_eq!(server.seen.connections(), 0);
}

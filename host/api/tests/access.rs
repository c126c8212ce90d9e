//! Every endpoint of the table, asked by nobody and by each role.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test"
)]

mod fakes;

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
    response::Response,
};
use optikon_api::{Access, ENDPOINTS, router};
use optikon_core::words::{Caller, Role};
use tower::ServiceExt;

const ROLES: [Option<Role>; 4] = [
    None,
    Some(Role::Viewer),
    Some(Role::Operator),
    Some(Role::Admin),
];

struct Bed {
    router: Router,
    tokens: BTreeMap<&'static str, String>,
    _keep: tokio::sync::watch::Sender<bool>,
}

async fn bed() -> Bed {
    let (gateway, keep) = fakes::gateway().await;
    let mut tokens = BTreeMap::new();
    for role in ROLES.into_iter().flatten() {
        let host = Caller::host();
        let made = gateway.tokens.create(&host, role, "", "", None);
        let (_, token) = made.await.unwrap();
        tokens.insert(role.as_str(), token.expose().clone());
    }
    Bed {
        router: router(gateway),
        tokens,
        _keep: keep,
    }
}

impl Bed {
    async fn ask(&self, method: &Method, path: &str, role: Option<Role>) -> Response {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost");
        if let Some(role) = role {
            let token = &self.tokens[role.as_str()];
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }
}

/// A path that the pattern matches.
fn example(pattern: &str) -> String {
    let part = |part: &str| {
        if part.starts_with('{') {
            "a".to_owned()
        } else {
            part.to_owned()
        }
    };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn each_endpoint_admits_its_role_and_those_above_and_nobody_else() {
    let bed = bed().await;
    for (method, pattern, access) in ENDPOINTS {
        for role in ROLES {
            let status = bed.ask(method, &example(pattern), role).await.status();
            let who = role.map_or("nobody", Role::as_str);
            let what = format!("{method} {pattern} by {who}: {status}");
            match (access, role) {
                (Access::From(_), None) => {
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
                }
                (Access::From(needed), Some(role)) if role < *needed => {
                    assert_eq!(status, StatusCode::FORBIDDEN, "{what}");
                }
                (Access::Public, _) | (Access::From(_), Some(_)) => {
                    let refusals = [
                        StatusCode::UNAUTHORIZED,
                        StatusCode::FORBIDDEN,
                        StatusCode::METHOD_NOT_ALLOWED,
                    ];
                    assert!(!refusals.contains(&status), "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn methods_outside_the_table_are_refused_and_allow_names_those_within() {
    let bed = bed().await;
    let mut paths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (method, pattern, _) in ENDPOINTS {
        paths.entry(pattern).or_default().insert(method.as_str());
    }
    for (pattern, methods) in paths {
        let mut allowed = methods.clone();
        if allowed.contains("GET") {
            allowed.insert("HEAD");
        }
        let others = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        for method in others
            .iter()
            .filter(|method| !allowed.contains(method.as_str()))
        {
            let response = bed.ask(method, &example(pattern), Some(Role::Admin)).await;
            assert_eq!(
                response.status(),
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {pattern}"
            );
            let allow = response.headers()[header::ALLOW].to_str().unwrap();
            let said: BTreeSet<&str> = allow.split(',').map(str::trim).collect();
            assert_eq!(said, allowed, "Allow of {pattern}");
        }
    }
}

#[tokio::test]
async fn an_unknown_path_says_so_only_to_callers_we_know() {
    let bed = bed().await;
    for path in ["/nothing", "/cluster/a/secrets", "/tokens/a/b"] {
        let unknown = bed.ask(&Method::GET, path, None).await.status();
        assert_eq!(unknown, StatusCode::UNAUTHORIZED, "{path}");
        let known = bed
            .ask(&Method::GET, path, Some(Role::Viewer))
            .await
            .status();
        assert_eq!(known, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_refusal_names_the_role_that_is_needed() {
    let bed = bed().await;
    let response = bed.ask(&Method::GET, "/tokens", Some(Role::Viewer)).await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let body = axum::body::to_bytes(response.into_body(), 1 << 16)
        .await
        .unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["status"], 403);
    assert!(
        problem["detail"].as_str().unwrap().contains("admin"),
        "{problem}"
    );
}

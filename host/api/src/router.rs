//! A line per endpoint: path, methods, who may.

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::Method,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use optikon_core::{
    Error,
    words::{Caller, Role},
};

use crate::{
    handlers::{
        archives, audit, charts, clusters, docs, health, operations, plugins, repositories, tokens,
        v0, watch,
    },
    layers,
    problem::Problem,
    state::Gateway,
};

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// This role and those above it.
    From(Role),
}

use Access::{From, Public};
use Role::{Admin, Operator, Viewer};

/// Every endpoint and the role it needs: the one layer that checks roles reads this table, and
/// refuses whatever is not in it.
pub const ENDPOINTS: &[(Method, &str, Access)] = &[
    (Method::GET, "/livez", Public),
    (Method::GET, "/readyz", Public),
    (Method::GET, "/version", Public),
    (Method::GET, "/metrics", From(Viewer)),
    (Method::GET, "/openapi.json", From(Viewer)),
    (Method::GET, "/docs", From(Viewer)),
    (Method::GET, "/docs/", From(Viewer)),
    (Method::GET, "/docs/{*file}", From(Viewer)),
    (Method::GET, "/cluster", From(Viewer)),
    (Method::POST, "/cluster", From(Operator)),
    (Method::GET, "/cluster/{name}", From(Viewer)),
    (Method::PUT, "/cluster/{name}", From(Operator)),
    (Method::PATCH, "/cluster/{name}", From(Operator)),
    (Method::DELETE, "/cluster/{name}", From(Operator)),
    (Method::GET, "/cluster/{name}/status", From(Viewer)),
    (Method::GET, "/cluster/{name}/nodes", From(Viewer)),
    (Method::GET, "/cluster/{name}/workloads", From(Viewer)),
    (Method::GET, "/archives", From(Viewer)),
    (Method::POST, "/archives", From(Operator)),
    (Method::GET, "/archives/{digest}", From(Viewer)),
    (Method::DELETE, "/archives/{digest}", From(Operator)),
    (Method::GET, "/repositories", From(Viewer)),
    (Method::GET, "/repositories/{name}", From(Viewer)),
    (Method::PUT, "/repositories/{name}", From(Operator)),
    (Method::DELETE, "/repositories/{name}", From(Operator)),
    (Method::GET, "/charts", From(Viewer)),
    (Method::POST, "/charts", From(Operator)),
    (Method::GET, "/charts/{release}", From(Viewer)),
    (Method::PUT, "/charts/{release}", From(Operator)),
    (Method::DELETE, "/charts/{release}", From(Operator)),
    (Method::POST, "/charts/{release}/rollback", From(Operator)),
    (Method::POST, "/charts/{release}/adopt", From(Operator)),
    (Method::POST, "/charts/{release}/test", From(Operator)),
    (Method::GET, "/charts/{release}/history", From(Viewer)),
    (Method::GET, "/charts/{release}/manifest", From(Operator)),
    (Method::GET, "/charts/{release}/values", From(Operator)),
    (Method::GET, "/charts/{release}/notes", From(Viewer)),
    (Method::GET, "/charts/{release}/drift", From(Operator)),
    (Method::GET, "/operations", From(Viewer)),
    (Method::GET, "/operations/{id}", From(Viewer)),
    (Method::GET, "/operations/{id}/events", From(Viewer)),
    (Method::POST, "/operations/{id}/cancel", From(Operator)),
    (Method::POST, "/operations/{id}/resume", From(Operator)),
    (Method::GET, "/plugins", From(Admin)),
    (Method::GET, "/plugins/available", From(Admin)),
    (Method::GET, "/plugins/{slot}", From(Admin)),
    (Method::PUT, "/plugins/{slot}", From(Admin)),
    (Method::POST, "/plugins/{slot}/check", From(Admin)),
    (Method::POST, "/plugins/{slot}/rollback", From(Admin)),
    (Method::GET, "/tokens", From(Admin)),
    (Method::POST, "/tokens", From(Admin)),
    (Method::DELETE, "/tokens/{id}", From(Admin)),
    (Method::GET, "/audit", From(Admin)),
    (Method::GET, "/v0/clusters", From(Viewer)),
    (Method::POST, "/v0/clusters", From(Operator)),
    (Method::GET, "/v0/clusters/{id}", From(Viewer)),
    (Method::PUT, "/v0/clusters/{id}", From(Operator)),
    (Method::DELETE, "/v0/clusters/{id}", From(Operator)),
    (Method::GET, "/v0/releases", From(Viewer)),
    (Method::POST, "/v0/releases", From(Operator)),
    (Method::GET, "/v0/releases/{id}", From(Viewer)),
    (Method::PUT, "/v0/releases/{id}", From(Operator)),
    (Method::DELETE, "/v0/releases/{id}", From(Operator)),
];

/// The whole API.
pub fn router(gateway: Gateway) -> Router {
    const GET: &str = "GET, HEAD";
    let routes = Router::new()
        .route("/livez", get(health::livez).fallback(|| only(GET)))
        .route("/readyz", get(health::readyz).fallback(|| only(GET)))
        .route("/version", get(health::version).fallback(|| only(GET)))
        .route("/metrics", get(health::metrics).fallback(|| only(GET)))
        .route("/openapi.json", get(docs::openapi).fallback(|| only(GET)))
        .route("/docs", get(docs::index).fallback(|| only(GET)))
        .route("/docs/", get(docs::index_page).fallback(|| only(GET)))
        .route("/docs/{*file}", get(docs::file).fallback(|| only(GET)))
        .route(
            "/cluster",
            get(watch::list_or_watch)
                .post(clusters::create)
                .fallback(|| only("GET, HEAD, POST")),
        )
        .route(
            "/cluster/{name}",
            get(clusters::read)
                .put(clusters::replace)
                .patch(clusters::patch)
                .delete(clusters::delete)
                .fallback(|| only("GET, HEAD, PUT, PATCH, DELETE")),
        )
        .route(
            "/cluster/{name}/status",
            get(clusters::status).fallback(|| only(GET)),
        )
        .route(
            "/cluster/{name}/nodes",
            get(clusters::nodes).fallback(|| only(GET)),
        )
        .route(
            "/cluster/{name}/workloads",
            get(clusters::workloads).fallback(|| only(GET)),
        )
        .route(
            "/archives",
            get(archives::list)
                .post(archives::create)
                .fallback(|| only("GET, HEAD, POST")),
        )
        .route(
            "/archives/{digest}",
            get(archives::read)
                .delete(archives::delete)
                .fallback(|| only("GET, HEAD, DELETE")),
        )
        .route(
            "/repositories",
            get(repositories::list).fallback(|| only(GET)),
        )
        .route(
            "/repositories/{name}",
            get(repositories::read)
                .put(repositories::put)
                .delete(repositories::delete)
                .fallback(|| only("GET, HEAD, PUT, DELETE")),
        )
        .route(
            "/charts",
            get(charts::list)
                .post(charts::install)
                .fallback(|| only("GET, HEAD, POST")),
        )
        .route(
            "/charts/{release}",
            get(charts::read)
                .put(charts::upgrade)
                .delete(charts::uninstall)
                .fallback(|| only("GET, HEAD, PUT, DELETE")),
        )
        .route(
            "/charts/{release}/rollback",
            post(charts::rollback).fallback(|| only("POST")),
        )
        .route(
            "/charts/{release}/adopt",
            post(charts::adopt).fallback(|| only("POST")),
        )
        .route(
            "/charts/{release}/test",
            post(charts::test).fallback(|| only("POST")),
        )
        .route(
            "/charts/{release}/history",
            get(charts::history).fallback(|| only(GET)),
        )
        .route(
            "/charts/{release}/manifest",
            get(charts::manifest).fallback(|| only(GET)),
        )
        .route(
            "/charts/{release}/values",
            get(charts::values).fallback(|| only(GET)),
        )
        .route(
            "/charts/{release}/notes",
            get(charts::notes).fallback(|| only(GET)),
        )
        .route(
            "/charts/{release}/drift",
            get(charts::drift).fallback(|| only(GET)),
        )
        .route("/operations", get(operations::list).fallback(|| only(GET)))
        .route(
            "/operations/{id}",
            get(operations::read).fallback(|| only(GET)),
        )
        .route(
            "/operations/{id}/events",
            get(operations::events).fallback(|| only(GET)),
        )
        .route(
            "/operations/{id}/cancel",
            post(operations::cancel).fallback(|| only("POST")),
        )
        .route(
            "/operations/{id}/resume",
            post(operations::resume).fallback(|| only("POST")),
        )
        .route("/plugins", get(plugins::slots).fallback(|| only(GET)))
        .route(
            "/plugins/available",
            get(plugins::available).fallback(|| only(GET)),
        )
        .route(
            "/plugins/{slot}",
            get(plugins::slot)
                .put(plugins::swap)
                .fallback(|| only("GET, HEAD, PUT")),
        )
        .route(
            "/plugins/{slot}/check",
            post(plugins::check).fallback(|| only("POST")),
        )
        .route(
            "/plugins/{slot}/rollback",
            post(plugins::rollback).fallback(|| only("POST")),
        )
        .route(
            "/tokens",
            get(tokens::list)
                .post(tokens::create)
                .fallback(|| only("GET, HEAD, POST")),
        )
        .route(
            "/tokens/{id}",
            axum::routing::delete(tokens::revoke).fallback(|| only("DELETE")),
        )
        .route("/audit", get(audit::list).fallback(|| only(GET)))
        .merge(original())
        .fallback(|| async { Problem::from(Error::not_found("path", "")) });
    routes
        .layer(from_fn_with_state(gateway.clone(), layers::admit))
        .layer(from_fn_with_state(gateway.clone(), layers::observe))
        .with_state(gateway)
}

/// The original API: what both listeners serve of it.
fn original() -> Router<Gateway> {
    Router::new()
        .route(
            "/v0/clusters",
            get(v0::clusters::list)
                .post(v0::clusters::create)
                .fallback(|| only("GET, HEAD, POST")),
        )
        .route(
            "/v0/clusters/{id}",
            get(v0::clusters::read)
                .put(v0::clusters::replace)
                .delete(v0::clusters::delete)
                .fallback(|| only("GET, HEAD, PUT, DELETE")),
        )
        .route(
            "/v0/releases",
            get(v0::releases::list)
                .post(v0::releases::create)
                .fallback(|| only("GET, HEAD, POST")),
        )
        .route(
            "/v0/releases/{id}",
            get(v0::releases::read)
                .put(v0::releases::replace)
                .delete(v0::releases::delete)
                .fallback(|| only("GET, HEAD, PUT, DELETE")),
        )
        .layer(DefaultBodyLimit::max(v0::releases::MAX_FORM))
        .layer(Extension(v0::Shared::default()))
}

/// The original API alone, for a listener of its own: without a token, everybody is `caller`.
pub fn v0_router(gateway: Gateway, caller: Caller) -> Router {
    original()
        .fallback(v0::beside)
        .layer(from_fn_with_state(
            (gateway.clone(), caller),
            layers::anonymous,
        ))
        .layer(from_fn_with_state(gateway.clone(), layers::observe))
        .with_state(gateway)
}

async fn only(allow: &'static str) -> Problem {
    Problem::method_not_allowed(allow)
}

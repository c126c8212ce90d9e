//! Probers that look where they should not, over real connections with the prober's rules.

use std::sync::Arc;

use optikon_core::{
    Error,
    error::FailureKind,
    ports::{Call, Connection, Outbound as _, Prober},
    words::{Credential, Depth, Endpoint, Member, Observation, Rules, Secret},
};
use optikon_engine::{Engine, Filling, Grants};
use optikon_outbound::{Outbound, OutboundConfig};
use serde_json::json;

use crate::{
    fakes::{Log, Peer, Still},
    harness::{Bench, config, refusal, slot},
};

async fn prober(behaviour: &str) -> (Engine, Arc<dyn Prober>) {
    let engine = Bench::empty(config()).engine;
    let mut filling = Filling::new(
        "hostile-prober.wasm",
        Grants::new(["config", "kube", "log"]),
    );
    filling.config = json!({ "behaviour": behaviour });
    filling.limits.warm_instances = 1;
    engine.fill(&slot("prober"), filling).await.unwrap();
    let prober = engine.prober();
    (engine, prober)
}

async fn probe(
    prober: &Arc<dyn Prober>,
    connection: Arc<dyn Connection>,
) -> optikon_core::Result<Observation> {
    prober.probe(Call::client(), connection, Depth::Reach).await
}

/// A member at which nobody listens: whatever is sent ends in `connect`.
fn member() -> Arc<dyn Connection> {
    let outbound = Outbound::new(
        OutboundConfig {
            allow_loopback: true,
            ..OutboundConfig::default()
        },
        Arc::new(Still),
    );
    let member = Member {
        name: "edge-1".parse().unwrap(),
        uid: "u".parse().unwrap(),
        endpoints: vec![Endpoint {
            client_cidr: None,
            url: "https://127.0.0.1:1".to_owned(),
        }],
        ca: None,
        tls_server_name: None,
        proxy_url: None,
        direct: None,
        credential: Some(Credential::Token(Secret::new("canary".to_owned()))),
    };
    outbound.unwrap().connect(&member, Rules::Prober, true)
}

#[tokio::test]
async fn secrets_writes_and_path_tricks_are_denied_before_anything_is_sent() {
    for behaviour in ["secrets", "writes", "paths"] {
        let (_engine, prober) = prober(behaviour).await;
        let seen = probe(&prober, member()).await.unwrap();
        assert!(!seen.message.is_empty());
        let is_denied = seen.message.split(' ').all(|outcome| outcome == "denied");
        assert!(is_denied, "{behaviour}: {}", seen.message);
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_is_gone_at_the_next_probe() {
    let (_engine, prober) = prober("keep").await;
    let first = Arc::new(Peer::default());
    for _ in 0..2 {
        let seen = probe(&prober, Arc::clone(&first) as _).await.unwrap();
        assert_eq!(seen.message, "0");
        assert_eq!(Arc::strong_count(&first), 1, "ended with its call");
    }
}

#[tokio::test]
async fn observations_are_looked_at_before_use() {
    for behaviour in ["odd-reason", "odd-status"] {
        let (_engine, prober) = prober(behaviour).await;
        match probe(&prober, Arc::new(Peer::default())).await.unwrap_err() {
            Error::Plugin(failure) => assert_eq!(failure.kind, FailureKind::Contract),
            other => panic!("{other}"),
        }
    }
    let (_engine, prober) = prober("long-message").await;
    let seen = probe(&prober, Arc::new(Peer::default())).await.unwrap();
    assert!(seen.message.len() < 1_100 && !seen.message.contains('\n'));
}

#[tokio::test]
async fn a_guest_of_wasi_finds_nothing() {
    let log = Log::capture();
    let engine = Bench::empty(config()).engine;
    let denied = Filling::new("wasi-prober.wasm", Grants::new(["log"]));
    let text = refusal(engine.fill(&slot("prober"), denied).await);
    assert!(text.contains(r#"grants = ["log", "wasi"]"#), "{text}");

    let granted = Filling::new("wasi-prober.wasm", Grants::new(["kube", "log", "wasi"]));
    engine.fill(&slot("prober"), granted).await.unwrap();
    let seen = probe(&engine.prober(), Arc::new(Peer::default()))
        .await
        .unwrap();
    let nothing = "environment 0 arguments 0 folders 0 cwd false seconds 1700000000 dice [4, 4, 4, 4] stdout true";
    assert_eq!(seen.message, nothing);
    assert!(log.lines().iter().any(|line| line == "hello from wasi"));
}

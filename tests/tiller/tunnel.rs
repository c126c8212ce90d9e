//! The way to Tiller by itself: which protocol the server speaks, how many round trips it takes, and the direct address.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use optikon_core::ports::{Channel, Outbound as _, World};
use optikon_core::words::{
    Credential, Endpoint, GrpcCall, GrpcFailure, Member, PodTarget, Rules, Secret,
};
use optikon_outbound::{Outbound, OutboundConfig};
use optikon_tests::front::{Front, Manner};
use optikon_tests::{Cluster, Gateway, Testbed, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{
    PATIENCE, apply, bed, chart, no_tunnel_is_open, setting, target, uninstall, upload,
};

const SERVICE: &str = "/hapi.services.tiller.ReleaseService";
/// Tiller's first words over HTTP/2 show that bytes come through.
const VERSION: &str = "v2.17.0";

#[derive(Debug)]
struct Now;

impl World for Now {
    fn now_ms(&self) -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_millis().try_into().unwrap()
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn member(server: &str, cluster: &Cluster, direct: Option<String>) -> Member {
    Member {
        name: cluster.name().parse().unwrap(),
        uid: cluster.name().parse().unwrap(),
        endpoints: vec![Endpoint {
            client_cidr: None,
            url: server.to_owned(),
        }],
        ca: Some(cluster.ca().to_owned()),
        tls_server_name: None,
        proxy_url: None,
        direct,
        credential: Some(Credential::Token(Secret::new(
            cluster.admin_token().to_owned(),
        ))),
    }
}

fn outbound(direct_tillers: &[&str]) -> Outbound {
    let config = OutboundConfig {
        allow_loopback: true,
        direct_tillers: direct_tillers.iter().map(|r| (*r).to_owned()).collect(),
        ..OutboundConfig::default()
    };
    Outbound::new(config, Arc::new(Now)).unwrap()
}

fn tiller() -> PodTarget {
    PodTarget {
        namespace: "kube-system".into(),
        label_selector: "app=helm,name=tiller".into(),
        port: optikon_tests::tiller::PORT,
        is_only_one: true,
        tls: None,
    }
}

fn call(method: &str, metadata: &[(&str, &str)]) -> GrpcCall {
    let pairs = metadata.iter();
    GrpcCall {
        method: format!("{SERVICE}/{method}"),
        metadata: pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        message: Bytes::new(),
        timeout: Some(Duration::from_secs(30)),
    }
}

async fn says_its_version(channel: &Arc<dyn Channel>) {
    let answer = channel.unary(call("GetVersion", &[])).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains(VERSION), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_takes_three_round_trips_at_most_and_is_used_again() {
    let cluster = &bed().await.tillers[0];
    let testbed = Testbed::start().await.unwrap();
    let front = Front::start(cluster, testbed.keys(), Manner::default());
    let front = front.await.unwrap();
    let outbound = outbound(&[]);
    let member = member(&front.server(), cluster, None);
    let connection = outbound.connect(&member, Rules::Host, true);
    let channel = connection.dial(tiller()).await.unwrap();
    // The pods, the upgrade, and the first bytes of HTTP/2, which nobody waits for.
    assert!(front.round_trips() <= 3, "{}", front.round_trips());
    says_its_version(&channel).await;
    assert_eq!(front.connections(), 2, "one for requests, one upgraded");
    says_its_version(&channel).await;
    assert_eq!(front.connections(), 2, "the tunnel is used again");
    assert_eq!(outbound.tunnels().load(Ordering::Acquire), 1);
    drop(channel);
    wait_for("the tunnel to be closed", PATIENCE, || async {
        Ok((outbound.tunnels().load(Ordering::Acquire) == 0).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_tiller_does_not_take_is_its_own_refusal() {
    let cluster = &bed().await.tillers[0];
    let outbound = outbound(&[]);
    let member = member(cluster.server(), cluster, None);
    let connection = outbound.connect(&member, Rules::Host, true);
    let channel = connection.dial(tiller()).await.unwrap();
    for header in [None, Some("v2.18.0"), Some("v3.0.0"), Some("nonsense")] {
        let pairs: Vec<_> = header.iter().map(|v| ("x-helm-api-client", *v)).collect();
        let refused = channel.unary(call("GetReleaseContent", &pairs)).await;
        let Err(GrpcFailure::Status { message, .. }) = refused else {
            panic!("{header:?}: {refused:?}");
        };
        assert!(
            message.contains("incompatible versions"),
            "{header:?}: {message}"
        );
    }
    // What the plugin sends, and an older client's.
    for header in [VERSION, "v2.9.1"] {
        let refused = channel
            .unary(call("GetReleaseContent", &[("x-helm-api-client", header)]))
            .await;
        let Err(GrpcFailure::Status { message, .. }) = refused else {
            panic!("{header}: {refused:?}");
        };
        assert!(!message.contains("incompatible"), "{header}: {message}");
    }
}

/// Registers a cluster behind a front, with every verb of Tiller at its disposal.
async fn through(gateway: &Gateway, cluster: &Cluster, front: &Front, name: &str, more: Value) {
    let mut body = json!({
        "name": name, "server": front.server(), "ca": cluster.ca(), "token": cluster.admin_token(),
        "labels": { "optikon.io/charts-backend": "tiller" },
    });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    gateway
        .client()
        .unwrap()
        .create("/cluster", &body)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_only_the_newer_protocol_gets_it() {
    let bed = bed().await;
    let (gateway, cluster) = (&bed.gateway, &bed.tillers[0]);
    let testbed = Testbed::start().await.unwrap();
    let manner = Manner {
        refused: Some("v4.channel.k8s.io".into()),
        ..Manner::default()
    };
    let front = Front::start(cluster, testbed.keys(), manner).await.unwrap();
    through(gateway, cluster, &front, "newer", json!({})).await;
    // Enough bytes for many frames, either way.
    let values = json!({ "values": { "color": "red", "padding": "x".repeat(300_000) } });
    let digest = upload(gateway, chart("1.0.0")).await.unwrap();
    let one = ["newer"];
    let done = apply(gateway, Method::POST, "newer", &digest, &one, values)
        .await
        .unwrap();
    assert_eq!(target(&done, "newer")["state"], "succeeded", "{done}");
    assert_eq!(setting(cluster, "newer", "color").await.unwrap(), "red");
    let read = gateway.client().unwrap();
    let values = read
        .read("/charts/newer/values?clusters=newer")
        .await
        .unwrap();
    let padding = values["items"][0]["values"]["padding"].as_str().unwrap();
    assert_eq!(padding.len(), 300_000);
    let gone = uninstall(gateway, "newer", &one).await.unwrap();
    assert_eq!(gone["state"], "succeeded", "{gone}");
    no_tunnel_is_open(gateway).await;
    read.delete("/cluster/newer").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_leads_nowhere_is_said_by_both_protocols() {
    let cluster = &bed().await.tillers[0];
    let testbed = Testbed::start().await.unwrap();
    for refused in [None, Some("v4.channel.k8s.io".to_owned())] {
        let manner = Manner {
            refused,
            ..Manner::default()
        };
        let front = Front::start(cluster, testbed.keys(), manner).await.unwrap();
        let outbound = outbound(&[]);
        let member = member(&front.server(), cluster, None);
        let connection = outbound.connect(&member, Rules::Host, true);
        let elsewhere = PodTarget {
            port: 1,
            ..tiller()
        };
        let failed = match connection.dial(elsewhere).await {
            Err(fault) => fault.message,
            Ok(channel) => channel
                .unary(call("GetVersion", &[]))
                .await
                .unwrap_err()
                .to_string(),
        };
        assert!(failed.contains("no forward found"), "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_address_is_used_only_in_the_ranges_that_the_operator_allows() {
    let cluster = &bed().await.tillers[0];
    let port = cluster.tiller_port().unwrap();
    let address = Some(format!("127.0.0.1:{port}"));
    // Nothing answers at the API server's address: whoever gets through went straight.
    let nowhere = "https://127.0.0.1:1";
    for (ranges, is_allowed) in [
        (&[][..], false),
        (&["10.0.0.0/8"][..], false),
        (&["10.0.0.0/8", "127.0.0.0/8"][..], true),
    ] {
        let outbound = outbound(ranges);
        let member = member(nowhere, cluster, address.clone());
        let connection = outbound.connect(&member, Rules::Host, true);
        match connection.dial(tiller()).await {
            Ok(channel) => {
                assert!(is_allowed, "{ranges:?}");
                says_its_version(&channel).await;
            }
            Err(fault) => assert!(!is_allowed, "{ranges:?}: {fault:?}"),
        }
    }
    // Not by anything but an address, and not where loopback is refused.
    let config = OutboundConfig {
        direct_tillers: vec!["127.0.0.0/8".into()],
        ..OutboundConfig::default()
    };
    let strict = Outbound::new(config, Arc::new(Now)).unwrap();
    let straight = member(nowhere, cluster, address);
    let refused = strict
        .connect(&straight, Rules::Host, true)
        .dial(tiller())
        .await;
    assert!(refused.unwrap_err().message.contains("loopback"));
    let outbound = outbound(&["127.0.0.0/8"]);
    for text in [
        "http://127.0.0.1/",
        "127.0.0.1",
        "a@127.0.0.1:44134",
        ":44134",
    ] {
        let odd = member(nowhere, cluster, Some(text.into()));
        let refused = outbound
            .connect(&odd, Rules::Host, true)
            .dial(tiller())
            .await;
        assert!(refused.unwrap_err().message.contains("host:port"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_annotation_of_2018_leads_straight_to_tiller_where_it_may() {
    let bed = bed().await;
    let cluster = &bed.tillers[0];
    let config = "[outbound]\ndirect_tillers = [\"127.0.0.0/8\"]\n";
    let gateway = Gateway::builder().config(config).start().await.unwrap();
    let testbed = Testbed::start().await.unwrap();
    // Whatever asks for a tunnel fails here.
    let manner = Manner {
        refused: Some("/portforward".into()),
        ..Manner::default()
    };
    let front = Front::start(cluster, testbed.keys(), manner).await.unwrap();
    let port = cluster.tiller_port().unwrap();
    let annotations = json!({ "annotations": { "Tiller": format!("127.0.0.1:{port}") } });
    through(&gateway, cluster, &front, "straight", annotations).await;
    let digest = upload(&gateway, chart("1.0.0")).await.unwrap();
    let one = ["straight"];
    let done = apply(&gateway, Method::POST, "straight", &digest, &one, json!({}))
        .await
        .unwrap();
    assert_eq!(target(&done, "straight")["state"], "succeeded", "{done}");
    // The same without the operator's leave.
    let tunnelled = &bed.gateway;
    let annotations = json!({ "annotations": { "Tiller": format!("127.0.0.1:{port}") } });
    through(tunnelled, cluster, &front, "crooked", annotations).await;
    let digest = upload(tunnelled, chart("1.0.0")).await.unwrap();
    let one = ["crooked"];
    let done = apply(tunnelled, Method::POST, "crooked", &digest, &one, json!({}))
        .await
        .unwrap();
    assert_eq!(target(&done, "crooked")["reason"], "TunnelBroken", "{done}");
    tunnelled
        .client()
        .unwrap()
        .delete("/cluster/crooked")
        .await
        .unwrap();
    uninstall(&gateway, "straight", &["straight"])
        .await
        .unwrap();
}

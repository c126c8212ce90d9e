//! From a label selector to a tunnel: the pod, the port-forward, TLS inside where it is wanted.

use std::sync::Arc;

use optikon_core::{
    ports::Connection,
    words::{Fault, FaultReason, PodTarget, PodTls, Request},
};
use serde::Deserialize;
use tokio_rustls::TlsConnector;

use crate::{
    address::Range,
    client::Client,
    clock::Clock,
    connection::MemberConnection,
    fault::{fault, from_io},
    forward::{self, Cut},
    grpc::{GrpcChannel, Io, Stream},
    pool::forgotten,
    tls,
};

/// Pods of one selector that are looked at.
const MAX_PODS: &str = "100";
/// What annotations of 2018 give an address for.
const TILLER_PORT: u16 = 44134;
/// A DNS-1123 label: namespaces.
const MAX_LABEL_BYTES: usize = 63;
/// A DNS-1123 subdomain: pods.
const MAX_NAME_BYTES: usize = 253;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodList {
    items: Vec<Pod>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Metadata,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: String,
    deletion_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Pod {
    fn is_ready(&self) -> bool {
        let mut conditions = self.status.conditions.iter();
        self.status.phase == "Running"
            && self.metadata.deletion_timestamp.is_none()
            && conditions.any(|c| c.kind == "Ready" && c.status == "True")
    }
}

fn is_name(text: &str, max_bytes: usize) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    (1..=max_bytes).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with(['.', '-'])
}

/// Finds the pod and opens a tunnel to it.
///
/// # Errors
/// `NoPod`, `PodNotReady`, `SeveralPods`, `Forbidden`, `Tunnel`, and whatever keeps the API server from answering.
pub(crate) async fn open(
    connection: &MemberConnection,
    client: &Arc<Client>,
    target: &PodTarget,
) -> Result<GrpcChannel, Fault> {
    if !is_name(&target.namespace, MAX_LABEL_BYTES) || target.namespace.contains('.') {
        let message = format!("\"{}\" is not a namespace", target.namespace.escape_debug());
        return Err(fault(FaultReason::Denied, message));
    }
    if let Some((address, ranges)) = direct(client, target) {
        return straight(client, target, address, &ranges).await;
    }
    let pod = find(connection, target).await?;
    let path = format!(
        "/api/v1/namespaces/{}/pods/{pod}/portforward",
        target.namespace
    );
    let place = client.tunnel_place().await?;
    let setup = client.setup().await?;
    let cut = Cut::default();
    let dialer = &client.shared.dialer;
    let order = setup.order(&client.shared).await;
    let mut last = None;
    let mut found = None;
    for endpoint in order {
        let way = setup.ways.get(endpoint).ok_or_else(forgotten)?;
        let opening = forward::open(dialer, setup, way, &path, target.port, cut.clone());
        match Box::pin(opening).await {
            Ok(forward) => {
                found = Some(forward);
                break;
            }
            Err(failure) if crate::client::fails_over(failure.reason) => last = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    let Some(forward) = found else {
        return Err(last.unwrap_or_else(forgotten));
    };
    let io: Io = match &target.tls {
        None => Box::new(forward),
        Some(tls) => Box::new(secure(client, tls, forward, &cut).await?),
    };
    let name = format!("{}/{pod}:{}", target.namespace, target.port);
    GrpcChannel::new(io, name, cut, &client.shared, place).await
}

/// The address that the object gives for Tiller, where the operator allows such.
fn direct<'a>(client: &'a Client, target: &PodTarget) -> Option<(&'a str, Vec<Range>)> {
    let allowed = &client.shared.config.direct_tillers;
    let address = client.member.direct.as_deref().map(str::trim)?;
    if allowed.is_empty() || address.is_empty() || target.port != TILLER_PORT {
        return None;
    }
    let ranges = allowed.iter().map(|range| Range::parse(range));
    Some((address, ranges.collect()))
}

/// A connection to the pod itself. Nothing of the member's credential is in it.
async fn straight(
    client: &Arc<Client>,
    target: &PodTarget,
    address: &str,
    ranges: &[Range],
) -> Result<GrpcChannel, Fault> {
    let parsed = address.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']);
        Some((host, port.parse::<u16>().ok().filter(|_| is_host)?))
    });
    let Some(parsed) = parsed else {
        let message = "the annotation Tiller must be host:port";
        return Err(fault(FaultReason::BadConfig, message));
    };
    let place = client.tunnel_place().await?;
    let shared = &client.shared;
    let stream = shared.dialer.plain(parsed, ranges, &Clock::start()).await?;
    let cut = Cut::default();
    let io: Io = match &target.tls {
        None => Box::new(stream),
        Some(tls) => Box::new(secure(client, tls, stream, &cut).await?),
    };
    let (host, port) = parsed;
    GrpcChannel::new(io, format!("{host}:{port}"), cut, shared, place).await
}

async fn find(connection: &MemberConnection, target: &PodTarget) -> Result<String, Fault> {
    let PodTarget {
        namespace,
        label_selector,
        ..
    } = target;
    let mut request = Request::get(format!("/api/v1/namespaces/{namespace}/pods"));
    request.query = vec![
        ("labelSelector".into(), label_selector.clone()),
        ("limit".into(), MAX_PODS.into()),
    ];
    let answer = connection.request(request).await?;
    let wanted = || format!("pods of namespace \"{namespace}\" with the labels {label_selector}");
    match answer.status {
        200 => {}
        403 => {
            let message = format!("the credential may not list {}", wanted());
            return Err(fault(FaultReason::Forbidden, message));
        }
        status => {
            let message = format!("listing {} answered status {status}", wanted());
            return Err(fault(FaultReason::Tunnel, message));
        }
    }
    let list: PodList = serde_json::from_slice(&answer.body).map_err(|_| {
        let message = format!("the list of {} is not a list of pods", wanted());
        fault(FaultReason::Protocol, message)
    })?;
    let mut ready: Vec<&str> = list
        .items
        .iter()
        .filter(|pod| pod.is_ready())
        .map(|pod| pod.metadata.name.as_str())
        .collect();
    ready.sort_unstable();
    match ready.as_slice() {
        [] if list.items.is_empty() => Err(fault(
            FaultReason::NoPod,
            format!("there are no {}", wanted()),
        )),
        [] => Err(fault(
            FaultReason::PodNotReady,
            format!("none of the {} {} is ready", list.items.len(), wanted()),
        )),
        [first, second, ..] if target.is_only_one => Err(fault(
            FaultReason::SeveralPods,
            format!("there are several ready {}: {first} and {second}", wanted()),
        )),
        [first, ..] if is_name(first, MAX_NAME_BYTES) => Ok((*first).to_owned()),
        [..] => Err(fault(FaultReason::Protocol, "a pod has no usable name")),
    }
}

async fn secure<S: Stream>(
    client: &Client,
    wanted: &PodTls,
    forward: S,
    cut: &Cut,
) -> Result<tokio_rustls::client::TlsStream<S>, Fault> {
    let shared = &client.shared;
    let (config, name) = tls::pod_config(wanted, &shared.roots, shared.world.clone()).await?;
    let handshake = TlsConnector::from(config).connect(name, forward);
    handshake.await.map_err(|error| {
        let failed = || from_io(&error, "the pod broke off the TLS handshake");
        cut.fault().unwrap_or_else(failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_lead_elsewhere_are_none() {
        for good in ["kube-system", "tiller-deploy-5d9f.a"] {
            assert!(is_name(good, MAX_NAME_BYTES), "{good}");
        }
        for bad in ["", "a/b", "..", "a?b", "A", "a%2f", "a b"] {
            assert!(!is_name(bad, MAX_NAME_BYTES), "{bad}");
        }
    }

    #[test]
    fn a_pod_that_ends_is_not_ready() {
        let pod = |json: &str| serde_json::from_str::<Pod>(json).unwrap();
        let ready = r#"{"metadata":{"name":"a"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
        assert!(pod(ready).is_ready());
        let ending = ready.replace(r#""name":"a""#, r#""name":"a","deletionTimestamp":"x""#);
        assert!(!pod(&ending).is_ready());
        assert!(!pod(&ready.replace("True", "False")).is_ready());
    }
}

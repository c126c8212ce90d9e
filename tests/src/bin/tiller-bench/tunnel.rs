//! One tunnel: its round trips, and what a call over it takes beside Tiller's own time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use optikon_core::ports::{Channel, Outbound as _, World};
use optikon_core::words::{Credential, Endpoint, GrpcCall, Member, PodTarget, Rules, Secret};
use optikon_outbound::{Outbound, OutboundConfig};
use optikon_tests::front::{Front, Manner};
use optikon_tests::{Cluster, Testbed};
use optikon_xtask::bench::{Aim, Row};

use crate::median;

/// Each way of the long line.
const DELAY: Duration = Duration::from_millis(25);
/// Calls of each kind.
const CALLS: usize = 31;
/// Between two pairs of calls: Tiller asks its API server five times a second at most, and makes whoever comes sooner wait.
const PAUSE: Duration = Duration::from_millis(500);
const SERVICE: &str = "/hapi.services.tiller.ReleaseService";
const VERSION: &str = "v2.17.0";
/// `GetReleaseContentRequest` of `greeting-0`: field 1, its length, its bytes.
const CONTENT: &[u8] = b"\x0a\x0agreeting-0";

#[derive(Debug)]
struct Now;

impl World for Now {
    fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn member(server: &str, cluster: &Cluster, direct: Option<String>) -> Result<Member> {
    Ok(Member {
        name: cluster.name().parse()?,
        uid: cluster.name().parse()?,
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
    })
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

async fn ask(channel: &Arc<dyn Channel>, method: &str, message: &'static [u8]) -> Result<()> {
    let call = GrpcCall {
        method: format!("{SERVICE}/{method}"),
        metadata: vec![("x-helm-api-client".into(), VERSION.into())],
        message: Bytes::from_static(message),
        timeout: None,
    };
    let answer = channel.unary(call).await;
    answer.map(drop).map_err(|failure| anyhow!("{failure}"))
}

/// Measures both.
pub(crate) async fn measure(testbed: &Testbed, cluster: &Cluster) -> Result<Vec<Row>> {
    let config = OutboundConfig {
        allow_loopback: true,
        direct_tillers: vec!["127.0.0.0/8".into()],
        ..OutboundConfig::default()
    };
    let outbound = Outbound::new(config, Arc::new(Now))?;
    let manner = Manner {
        delay: DELAY,
        ..Manner::default()
    };
    let front = Front::start(cluster, testbed.keys(), manner).await?;
    let far = member(&front.server(), cluster, None)?;
    let connection = outbound.connect(&far, Rules::Host, true);
    let begun = Instant::now();
    let channel = connection.dial(tiller()).await?;
    let trips = begun.elapsed().as_secs_f64() / (2.0 * DELAY.as_secs_f64());
    let counted = front.round_trips();
    ask(&channel, "GetVersion", b"").await?;
    let first = begun.elapsed().as_secs_f64() / (2.0 * DELAY.as_secs_f64());
    drop(channel);

    let near = member(cluster.server(), cluster, None)?;
    let tunnelled = outbound
        .connect(&near, Rules::Host, true)
        .dial(tiller())
        .await?;
    let port = cluster.tiller_port();
    let address = port.map(|port| format!("127.0.0.1:{port}"));
    let straight = member(cluster.server(), cluster, address)?;
    let straight = outbound
        .connect(&straight, Rules::Host, true)
        .dial(tiller())
        .await?;
    let (mut over, mut own) = (Vec::new(), Vec::new());
    let mut turns = tokio::time::interval(PAUSE);
    for _ in 0..CALLS {
        turns.tick().await;
        for (channel, times) in [(&tunnelled, &mut over), (&straight, &mut own)] {
            let begun = Instant::now();
            ask(channel, "GetReleaseContent", CONTENT).await?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let (over, own) = (median(over), median(own));
    Ok(vec![
        Row::new(
            "round trips of a tunnel, counted",
            counted as f64,
            "",
            Aim::AtMost(3.0),
        ),
        Row::plain("the same by time on a line of 50 ms", trips, ""),
        Row::plain("with the first call, by time", first, ""),
        Row::plain("a call's own time, median", own, "ms"),
        Row::plain("a further call over a tunnel, median", over, "ms"),
        Row::new(
            "added by the tunnel to a call, of its own time",
            (over - own) / own,
            "",
            Aim::AtMost(1.2),
        ),
    ])
}

//! Caps on what a member may send, and how long it may take.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use optikon_core::{
    ports::Outbound as _,
    words::{FaultReason, Refusal, Request, ResourceGrant, Rules, Writes},
};

use super::server::*;
use crate::OutboundConfig;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: impl Into<Bytes>) -> Response<ServerBody> {
    Response::builder()
        .header("content-encoding", encoding)
        .body(full(body))
        .unwrap()
}

/// The given pieces, and then nothing more, for ever.
fn stuck(pieces: Vec<&'static str>) -> Response<ServerBody> {
    let frames = stream::iter(pieces).map(|p| Ok(Frame::data(Bytes::from(p))));
    Response::new(BodyExt::boxed(StreamBody::new(
        frames.chain(stream::pending()),
    )))
}

/// A byte now and then, for ever.
fn trickle() -> Response<ServerBody> {
    let frames = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok(Frame::data(Bytes::from("x"))), ()))
    });
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}

async fn server(ca: &Ca, is_h2: bool) -> Server {
    let tls = Tls::new(ca.server());
    let tls = if is_h2 { tls } else { tls.http1() };
    Server::http(tls, |request| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        Box::pin(async move {
            match query.as_str() {
                "case=large" => ok(vec![b'x'; (1 << 20) + 1]),
                "case=endless" => {
                    let frames =
                        stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![0; 16384]))));
                    Response::new(BodyExt::boxed(StreamBody::new(frames)))
                }
                "case=fits" => ok(vec![b'x'; 1 << 20]),
                "case=gzip" => encoded("gzip", gzip(b"plain text")),
                "case=bomb" => encoded("gzip", gzip(&vec![0; 64 << 20])),
                "case=damaged" => encoded("gzip", &b"no gzip at all"[..]),
                "case=cut" => {
                    let mut cut = gzip(&[b'x'; 1000]);
                    cut.truncate(cut.len() - 9);
                    encoded("gzip", cut)
                }
                "case=brotli" => encoded("br", "x"),
                "case=headers" => Response::builder()
                    .header("x-large", "x".repeat(70 << 10))
                    .body(full(""))
                    .unwrap(),
                "case=trickle" => trickle(),
                "case=stuck" => stuck(vec!["x"]),
                "case=lines" => stuck(vec!["a\nb", "c\n", "\nd\n"]),
                "case=rest" => ok("a\nb"),
                "case=long-line" => ok([&b"short\n"[..], &[b'x'; 3000], b"\n"].concat()),
                "case=endless-line" => {
                    let frames = stream::repeat_with(|| Ok(Frame::data(Bytes::from("xxxx"))));
                    Response::new(BodyExt::boxed(StreamBody::new(frames)))
                }
                "case=gone" => Response::builder().status(410).body(full("gone")).unwrap(),
                other => panic!("{other}"),
            }
        })
    })
    .await
}

fn case(name: &str) -> Request {
    let mut request = Request::get("/version");
    request.query = vec![("case".into(), name.into())];
    request
}

#[tokio::test]
async fn bodies_and_heads_stay_within_their_caps() {
    let ca = Ca::new();
    for is_h2 in [true, false] {
        let server = server(&ca, is_h2).await;
        let connection = connect(&member(&ca, &[server.url()]));
        for (name, wanted) in [
            ("large", FaultReason::TooLarge),
            ("endless", FaultReason::TooLarge),
            ("bomb", FaultReason::TooLarge),
            ("headers", FaultReason::TooLarge),
            ("damaged", FaultReason::Protocol),
            ("cut", FaultReason::Protocol),
            ("brotli", FaultReason::Protocol),
        ] {
            let fault = connection.request(case(name)).await.unwrap_err();
            assert_eq!(fault.reason, wanted, "{name} (h2: {is_h2}): {fault}");
        }
        let fits = connection.request(case("fits")).await.unwrap();
        assert_eq!(fits.body.len(), 1 << 20);
        let plain = connection.request(case("gzip")).await.unwrap();
        assert_eq!(plain.body, "plain text");
    }
}

#[tokio::test]
async fn a_charts_connection_has_a_cap_of_its_own() {
    let ca = Ca::new();
    let server = server(&ca, true).await;
    let mut config = config();
    config.charts_body_bytes = 2 << 20;
    let rules = Rules::Charts {
        writes: Writes::None,
    };
    let connection = outbound(config).connect(&member(&ca, &[server.url()]), rules, true);
    assert!(connection.request(case("large")).await.is_ok());
}

#[tokio::test]
async fn a_body_ends_with_the_deadline_or_with_silence() {
    let ca = Ca::new();
    for is_h2 in [true, false] {
        let server = server(&ca, is_h2).await;
        let mut config = config();
        config.body_idle_ms = 400;
        let connection =
            outbound(config).connect(&member(&ca, &[server.url()]), Rules::Prober, true);
        let mut trickling = case("trickle");
        trickling.timeout = Some(Duration::from_millis(2_000));
        for request in [trickling, case("stuck")] {
            let fault = connection.request(request).await.unwrap_err();
            assert_eq!(fault.reason, FaultReason::Timeout, "{fault}");
            assert!(fault.message.contains("timeout in body"), "{fault}");
        }
    }
}

#[tokio::test]
async fn lines_come_when_they_are_written_and_silence_is_the_last_item() {
    let ca = Ca::new();
    for is_h2 in [true, false] {
        let server = server(&ca, is_h2).await;
        let mut config = config();
        config.line_bytes = 2048;
        let connection =
            outbound(config).connect(&member(&ca, &[server.url()]), Rules::Prober, true);
        let collect = async |name: &str| {
            let mut request = case(name);
            request.timeout = Some(Duration::from_millis(3_000));
            let lines = connection.lines(request).await.ok().unwrap();
            let items: Vec<_> = lines.collect().await;
            let texts = items.into_iter().map(|item| match item {
                Ok(line) => String::from_utf8(line.to_vec()).unwrap(),
                Err(fault) => format!("<{}>", fault.reason.wit_word()),
            });
            texts.collect::<Vec<_>>()
        };
        assert_eq!(collect("lines").await, ["a", "bc", "", "d", "<timeout>"]);
        assert_eq!(collect("rest").await, ["a", "b"]);
        assert_eq!(collect("long-line").await, ["short", "<too-large>"]);
        assert_eq!(collect("endless-line").await, ["<too-large>"]);
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_tells_the_answer() {
    let ca = Ca::new();
    let server = server(&ca, true).await;
    let connection = connect(&member(&ca, &[server.url()]));
    match connection.lines(case("gone")).await.err().unwrap() {
        Refusal::Refused(response) => {
            assert_eq!((response.status, &response.body[..]), (410, &b"gone"[..]));
        }
        Refusal::Fault(fault) => panic!("{fault}"),
    }
}

#[tokio::test]
async fn the_registrys_requests_have_a_budget_of_their_own() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |_| Box::pin(async { ok("") })).await;
    let outbound = outbound(OutboundConfig {
        requests_per_second: 1,
        requests_burst: 1,
        ..config()
    });
    let member = member(&ca, &[server.url()]);
    let ask = async |rules| {
        let mut request = Request::get("/api/v1/nodes");
        request.timeout = Some(Duration::from_millis(900));
        outbound
            .connect(&member, rules, true)
            .request(request)
            .await
    };
    ask(Rules::Host).await.unwrap();
    let central = Rules::Central {
        grants: vec![ResourceGrant {
            group: String::new(),
            resource: "nodes".into(),
            verbs: vec!["list".into()],
        }],
    };
    for _ in 0..5 {
        ask(central.clone()).await.unwrap();
    }
    // Those of a member are due one second after the other.
    let asked = futures::future::join_all((0..5).map(|_| ask(Rules::Host))).await;
    let last = asked.into_iter().next_back().unwrap().unwrap_err();
    assert_eq!(last.reason, FaultReason::Timeout);
}

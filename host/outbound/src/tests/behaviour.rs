//! Pooling, failover, breaker, cancellation, and what never shows.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use optikon_core::{
    ports::Outbound as _,
    words::{Credential, FaultReason, Method, Refusal, Request, Rules, Secret, Writes},
};
use tokio::sync::{Barrier, Notify};

use super::server::*;

fn names(phases: &[(String, u32)]) -> Vec<&str> {
    phases.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_member_has_one_connection_for_many_requests() {
    const REQUESTS: usize = 40;
    let ca = Ca::new();
    // Nobody is answered before all have asked.
    let barrier = Arc::new(Barrier::new(REQUESTS));
    let server = Server::http(Tls::new(ca.server()), move |_| {
        let barrier = barrier.clone();
        Box::pin(async move {
            barrier.wait().await;
            ok("hello")
        })
    })
    .await;
    let outbound = outbound(config());
    let member = member(&ca, &[server.url()]);
    let requests = (0..REQUESTS).map(|_| {
        let connection = outbound.connect(&member, Rules::Prober, true);
        async move { connection.request(Request::get("/version")).await }
    });
    for answer in futures::future::join_all(requests).await {
        assert_eq!(answer.unwrap().body, "hello");
    }
    assert_eq!(server.seen.connections(), 1);
}

#[tokio::test]
async fn phases_of_connecting_are_absent_on_a_reused_connection() {
    let ca = Ca::new();
    for tls in [Tls::new(ca.server()), Tls::new(ca.server()).http1()] {
        let server = Server::http(tls, |_| Box::pin(async { ok("hello") })).await;
        let connection = connect(&member(&ca, &[server.url()]));
        let first = connection.request(Request::get("/version")).await.unwrap();
        assert_eq!(
            names(&first.phases),
            ["dns", "connect", "tls", "first-byte", "body", "total"]
        );
        let second = connection.request(Request::get("/version")).await.unwrap();
        assert_eq!(names(&second.phases), ["first-byte", "body", "total"]);
        assert_eq!(server.seen.connections(), 1);
    }
}

#[tokio::test]
async fn the_client_is_rebuilt_only_when_the_member_differs() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |_| Box::pin(async { ok("") })).await;
    let outbound = outbound(config());
    let mut member = member(&ca, &[server.url()]);
    let ask = async |member: &_| {
        let connection = outbound.connect(member, Rules::Prober, true);
        connection.request(Request::get("/version")).await.unwrap();
    };
    ask(&member).await;
    member.name = "renamed".parse().unwrap();
    ask(&member).await;
    assert_eq!(server.seen.connections(), 1);
    member.credential = Some(Credential::Token(Secret::new("another-token".into())));
    ask(&member).await;
    assert_eq!(server.seen.connections(), 2);
    let requests = server.seen.requests.lock().unwrap();
    let sent: Vec<_> = requests.iter().map(|(_, h)| &h["authorization"]).collect();
    let old = format!("Bearer {TOKEN}");
    assert_eq!(sent, [&old, &old, "Bearer another-token"]);
}

#[tokio::test]
async fn only_our_headers_are_sent_and_only_listed_ones_come_back() {
    let ca = Ca::new();
    for tls in [Tls::new(ca.server()), Tls::new(ca.server()).http1()] {
        let server = Server::http(tls, |_| {
            Box::pin(async {
                Response::builder()
                    .header("content-type", "application/json")
                    .header("set-cookie", "a=b")
                    .header("x-kubernetes-pf-flowschema-uid", "u")
                    .header("server", "x")
                    .body(full("{}"))
                    .unwrap()
            })
        })
        .await;
        let rules = Rules::Charts {
            writes: Writes::All,
        };
        let connection =
            outbound(config()).connect(&member(&ca, &[server.url() + "/base"]), rules, true);
        let mut request = Request::get("/api/v1/namespaces");
        request.method = Method::Post;
        request.query = vec![("fieldManager".into(), "a&b".into())];
        request.body = Bytes::from("{}");
        let answer = connection.request(request).await.unwrap();
        let mut headers: Vec<_> = answer.headers.iter().map(|(k, _)| k.as_str()).collect();
        headers.retain(|name| *name != "date");
        assert_eq!(headers, ["content-type", "x-kubernetes-pf-flowschema-uid"]);
        let requests = server.seen.requests.lock().unwrap();
        let (path, sent) = &requests[0];
        assert_eq!(path, "/base/api/v1/namespaces?fieldManager=a%26b");
        let mut sent: Vec<_> = sent.keys().map(http::HeaderName::as_str).collect();
        sent.sort_unstable();
        sent.retain(|name| *name != "host");
        assert_eq!(
            sent,
            [
                "accept",
                "accept-encoding",
                "authorization",
                "content-length",
                "content-type",
                "user-agent"
            ]
        );
    }
}

#[tokio::test]
async fn a_dead_pooled_connection_is_replaced() {
    let ca = Ca::new();
    // Every connection serves one request and is closed.
    let server = Server::http(Tls::new(ca.server()).http1(), |_| {
        Box::pin(async {
            let closing = Response::builder().header("connection", "close");
            closing.body(full("hello")).unwrap()
        })
    })
    .await;
    let connection = connect(&member(&ca, &[server.url()]));
    for _ in 0..3 {
        assert!(connection.request(Request::get("/version")).await.is_ok());
    }
    assert_eq!(server.seen.connections(), 3);
}

#[tokio::test]
async fn another_endpoint_takes_over_and_every_error_is_kept() {
    let ca = Ca::new();
    let other = Ca::new();
    let good = Server::http(Tls::new(ca.server()), |_| Box::pin(async { ok("hello") })).await;
    let bad = Server::http(Tls::new(other.server()), |_| Box::pin(async { ok("") })).await;
    let dead = dead_url().await;
    let with_good = member(&ca, &[dead.clone(), bad.url(), good.url()]);
    let answer = connect(&with_good).request(Request::get("/version")).await;
    assert_eq!(answer.unwrap().body, "hello");

    let without = member(&ca, &[dead.clone(), bad.url()]);
    let outcome = connect(&without).request(Request::get("/version")).await;
    let fault = outcome.unwrap_err();
    assert_eq!(fault.reason, FaultReason::Connect, "the first names it");
    let bad_authority = bad.address.to_string();
    for part in [&dead[8..], "Connect", &bad_authority, "TlsUntrusted"] {
        assert!(fault.message.contains(part), "{part}: {fault}");
    }
    assert!(bad.seen.paths().is_empty());
}

#[tokio::test]
async fn the_endpoint_for_our_range_is_preferred() {
    let ca = Ca::new();
    let first = Server::http(Tls::new(ca.server()), |_| Box::pin(async { ok("first") })).await;
    let second = Server::http(Tls::new(ca.server()), |_| Box::pin(async { ok("second") })).await;
    for (ranges, wanted) in [
        (["0.0.0.0/0", "127.0.0.0/8"], "second"),
        (["127.0.0.0/8", "127.0.0.0/16"], "second"),
        (["10.0.0.0/8", "0.0.0.0"], "second"),
        (["", ""], "first"),
        (["127.0.0.0/8", "10.0.0.0/8"], "first"),
    ] {
        let mut member = member(&ca, &[first.url(), second.url()]);
        for (endpoint, range) in member.endpoints.iter_mut().zip(ranges) {
            endpoint.client_cidr = Some(range.into());
        }
        let answer = connect(&member).request(Request::get("/version")).await;
        assert_eq!(answer.unwrap().body, wanted, "{ranges:?}");
    }
}

#[tokio::test]
async fn the_breaker_opens_and_a_live_request_passes_it() {
    let ca = Ca::new();
    let mut config = config();
    config.breaker_first_ms = 3_600_000;
    config.breaker_max_seconds = 3_600;
    let outbound = outbound(config);
    let member = member(&ca, &[dead_url().await]);
    let ask = async |is_live| {
        let connection = outbound.connect(&member, Rules::Prober, is_live);
        let outcome = connection.request(Request::get("/version")).await;
        outcome.unwrap_err()
    };
    for _ in 0..5 {
        assert_eq!(ask(false).await.reason, FaultReason::Connect);
    }
    let refusal = ask(false).await;
    assert_eq!(refusal.reason, FaultReason::BreakerOpen);
    assert!(refusal.message.starts_with("Connect: "), "{refusal}");
    assert_eq!(ask(true).await.reason, FaultReason::Connect);
}

/// Says when it is dropped.
struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_dropped_request_is_cancelled_and_frees_its_place() {
    let ca = Ca::new();
    for is_h2 in [true, false] {
        let (arrived, cancelled) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (arrives, cancels) = (arrived.clone(), cancelled.clone());
        let tls = Tls::new(ca.server());
        let tls = if is_h2 { tls } else { tls.http1() };
        let server = Server::http(tls, move |request| {
            let (arrives, cancels) = (arrives.clone(), cancels.clone());
            Box::pin(async move {
                let guard = OnDrop(cancels);
                match request.uri().path() {
                    "/version" => ok("hello"),
                    "/livez" => {
                        let first = stream::iter([Ok(Frame::data(Bytes::from("line\n")))]);
                        let rest = stream::once(async move {
                            let _guard = guard;
                            std::future::pending().await
                        });
                        Response::new(BodyExt::boxed(StreamBody::new(first.chain(rest))))
                    }
                    _ => {
                        arrives.notify_one();
                        std::future::pending().await
                    }
                }
            })
        })
        .await;
        let mut config = config();
        config.requests_in_flight = 1;
        let connection =
            outbound(config).connect(&member(&ca, &[server.url()]), Rules::Prober, true);

        let hanging = connection.request(Request::get("/healthz"));
        tokio::select! {
            outcome = hanging => panic!("{outcome:?}"),
            () = arrived.notified() => {}
        }
        cancelled.notified().await;

        let mut lines = connection.lines(Request::get("/livez")).await.ok().unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "line");
        let mut waiting = connection.request(Request::get("/version"));
        assert!(
            futures::poll!(&mut waiting).is_pending(),
            "the place is taken"
        );
        drop(lines);
        assert_eq!(waiting.await.unwrap().body, "hello");
        cancelled.notified().await;
    }
}

#[tokio::test]
async fn streams_leave_places_for_requests() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |request| {
        Box::pin(async move {
            if request.uri().path() == "/version" {
                return ok("hello");
            }
            let frames = stream::pending();
            Response::new(BodyExt::boxed(StreamBody::new(frames)))
        })
    })
    .await;
    let mut config = config();
    config.requests_in_flight = 4;
    let connection = outbound(config).connect(&member(&ca, &[server.url()]), Rules::Prober, true);
    let open = || connection.lines(Request::get("/livez"));
    let (first, _second) = (open().await.ok().unwrap(), open().await.ok().unwrap());
    match open().await.err().unwrap() {
        Refusal::Fault(fault) => assert!(fault.message.contains("look again"), "{fault}"),
        Refusal::Refused(answer) => panic!("{answer:?}"),
    }
    let both = futures::join!(
        connection.request(Request::get("/version")),
        connection.request(Request::get("/version"))
    );
    assert_eq!(
        (both.0.unwrap().body, both.1.unwrap().body),
        ("hello".into(), "hello".into())
    );
    drop(first);
    assert!(open().await.is_ok());
}

#[tokio::test]
async fn a_connection_that_the_member_closes_is_told() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |_| Box::pin(async { ok("") })).await;
    let outbound = outbound(config());
    let mut closed = outbound.closed();
    let member = member(&ca, &[server.url()]);
    let connection = outbound.connect(&member, Rules::Prober, true);
    connection.request(Request::get("/version")).await.unwrap();
    assert!(futures::poll!(closed.next()).is_pending());
    drop(server);
    assert_eq!(closed.next().await, Some(member.uid));
}

#[tokio::test]
async fn a_forgotten_member_is_closed_and_not_told() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |request| {
        Box::pin(async move {
            match request.uri().path() {
                "/version" => ok(""),
                _ => {
                    let frames = stream::pending();
                    Response::new(BodyExt::boxed(StreamBody::new(frames)))
                }
            }
        })
    })
    .await;
    let outbound = outbound(config());
    let mut closed = outbound.closed();
    let member = member(&ca, &[server.url()]);
    let connection = outbound.connect(&member, Rules::Prober, true);
    connection.request(Request::get("/version")).await.unwrap();
    let mut lines = connection.lines(Request::get("/livez")).await.ok().unwrap();
    outbound.forget(&member.uid);
    let last = lines.next().await.unwrap().unwrap_err();
    assert_eq!(last.reason, FaultReason::Connect, "{last}");
    let outcome = connection.request(Request::get("/version")).await;
    assert_eq!(outcome.unwrap_err().reason, FaultReason::Connect);
    assert_eq!(server.seen.connections(), 1);
    assert!(futures::poll!(closed.next()).is_pending());
}

#[tokio::test]
async fn the_background_is_paced_and_a_live_request_is_not() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |_| Box::pin(async { ok("") })).await;
    let outbound = outbound(config());
    let member = member(&ca, &[server.url()]);
    let background = outbound.connect(&member, Rules::Prober, false);
    let live = outbound.connect(&member, Rules::Prober, true);
    for _ in 0..10 {
        background.request(Request::get("/version")).await.unwrap();
    }
    let mut paced: Vec<_> = (0..40)
        .map(|_| background.request(Request::get("/version")))
        .collect();
    for request in &mut paced {
        assert!(futures::poll!(request).is_pending());
    }
    // All of the paced ones were asked for before these.
    for _ in 0..20 {
        live.request(Request::get("/healthz")).await.unwrap();
    }
    let mut request = Request::get("/version");
    request.timeout = Some(Duration::from_millis(50));
    let fault = background.request(request).await.unwrap_err();
    assert!(fault.message.contains("timeout in queue"), "{fault}");
}

#[tokio::test]
async fn no_secret_shows_anywhere() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |request| {
        let echo = format!("{:?}", request.headers()["authorization"]);
        Box::pin(async move { ok(echo) })
    })
    .await;
    let outbound = outbound(config());
    let shown = Arc::new(Mutex::new(String::new()));
    let show = |text: String| shown.lock().unwrap().push_str(&text);
    for credential in [
        Credential::Token(Secret::new(TOKEN.into())),
        Credential::Basic {
            username: "admin".into(),
            password: Secret::new(TOKEN.into()),
        },
    ] {
        let mut member = member(&ca, &[server.url(), dead_url().await]);
        member.credential = Some(credential);
        let connection = outbound.connect(&member, Rules::Prober, true);
        let outcome = connection.request(Request::get("/version")).await;
        show(format!(
            "{outcome:?} {outcome:#?} {connection:?} {connection:#?}"
        ));
        let fault = outcome.unwrap_err();
        show(format!("{fault} {fault:?}"));
        let denied = connection.request(Request::get("/api/v1/secrets")).await;
        show(format!("{denied:?} {outbound:?} {outbound:#?} {member:?}"));
    }
    let shown = shown.lock().unwrap();
    assert!(shown.contains("edge-1"));
    assert!(!shown.contains(TOKEN));
    // As in the header of basic authentication.
    assert!(!shown.contains("YWRtaW46"));
}

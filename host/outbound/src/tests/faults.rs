//! Every fault of the table.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use optikon_core::{
    ports::{Connection, Outbound as _},
    words::{Credential, Fault, FaultReason, Member, Request, Rules, Secret},
};
use rcgen::date_time_ymd;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::server::*;

async fn fault_of(member: &Member) -> Fault {
    ask(connect(member).as_ref()).await
}

async fn ask(connection: &dyn Connection) -> Fault {
    connection
        .request(Request::get("/version"))
        .await
        .expect_err("a fault")
}

async fn hello(identity: Identity) -> Server {
    Server::http(Tls::new(identity), |_| Box::pin(async { ok("hello") })).await
}

#[tokio::test]
async fn certificates_are_told_apart() {
    let (ca, other) = (Ca::new(), Ca::new());
    let names = ["127.0.0.1", "localhost"];
    for (identity, wanted) in [
        (other.server(), FaultReason::TlsUntrusted),
        (
            ca.issue(&names, |p| p.not_after = date_time_ymd(2001, 1, 1)),
            FaultReason::TlsExpired,
        ),
        (
            ca.issue(&names, |p| p.not_before = date_time_ymd(4000, 1, 1)),
            FaultReason::TlsExpired,
        ),
        (ca.issue(&["other.example"], |_| {}), FaultReason::TlsName),
        (ca.client_named(&names), FaultReason::TlsUntrusted),
    ] {
        let server = hello(identity).await;
        let fault = fault_of(&member(&ca, &[server.url()])).await;
        assert_eq!(fault.reason, wanted, "{fault}");
        assert!(fault.phases.iter().any(|(phase, _)| phase == "tls"));
        assert!(server.seen.paths().is_empty());
    }
}

#[tokio::test]
async fn a_wrong_name_says_both_names() {
    let ca = Ca::new();
    let server = hello(ca.issue(&["other.example"], |_| {})).await;
    let mut member = member(&ca, &[server.url()]);
    let fault = fault_of(&member).await;
    assert!(fault.message.contains("other.example"), "{fault}");
    assert!(fault.message.contains("127.0.0.1"), "{fault}");
    member.tls_server_name = Some("other.example".into());
    let answer = connect(&member).request(Request::get("/version")).await;
    assert_eq!(answer.unwrap().body, "hello");
}

#[tokio::test]
async fn refused_and_unresolvable_are_told_apart() {
    let ca = Ca::new();
    let fault = fault_of(&member(&ca, &[dead_url().await])).await;
    assert_eq!(fault.reason, FaultReason::Connect, "{fault}");
    let nowhere = "https://no-such-host.invalid:6443".to_owned();
    let fault = fault_of(&member(&ca, &[nowhere])).await;
    assert_eq!(fault.reason, FaultReason::Dns, "{fault}");
}

/// A listener whose queue is full, so that nobody's connect ever ends.
async fn black_hole() -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(
        Duration::from_millis(200),
        TcpSocket::new_v4().unwrap().connect(address),
    )
    .await
    {
        queued.push(stream.unwrap());
    }
    (listener, queued)
}

#[tokio::test]
async fn a_timeout_names_its_phase() {
    let ca = Ca::new();
    let (listener, _queued) = black_hole().await;
    let url = format!("https://{}", listener.local_addr().unwrap());
    let fault = fault_of(&member(&ca, &[url])).await;
    assert_eq!(fault.reason, FaultReason::Timeout);
    assert!(fault.message.contains("timeout in connect"), "{fault}");

    let silent = Server::raw_tcp(|tcp| {
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(tcp);
        })
    })
    .await;
    let fault = fault_of(&member(&ca, &[silent.url()])).await;
    assert_eq!(fault.reason, FaultReason::Timeout);
    assert!(fault.message.contains("timeout in tls"), "{fault}");

    let slow = Server::http(Tls::new(ca.server()), |_| Box::pin(std::future::pending())).await;
    let mut request = Request::get("/version");
    request.timeout = Some(Duration::from_millis(2_000));
    let outcome = connect(&member(&ca, &[slow.url()])).request(request).await;
    let fault = outcome.unwrap_err();
    assert_eq!(fault.reason, FaultReason::Timeout);
    assert!(fault.message.contains("timeout in first-byte"), "{fault}");
}

#[tokio::test]
async fn who_does_not_speak_tls_or_http_is_no_kubernetes() {
    let ca = Ca::new();
    let plain = Server::raw_tcp(|mut tcp| {
        Box::pin(async move {
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            let _sent = tcp.write_all(answer).await;
            let mut rest = Vec::new();
            let _read = tcp.read_to_end(&mut rest).await;
        })
    })
    .await;
    let fault = fault_of(&member(&ca, &[plain.url()])).await;
    assert_eq!(fault.reason, FaultReason::Protocol, "{fault}");

    for tls in [Tls::new(ca.server()).http1(), Tls::new(ca.server())] {
        let garbage = Server::raw_tls(tls, |mut stream| {
            Box::pin(async move {
                let _sent = stream.write_all(&[0xab; 4096]).await;
                let mut rest = Vec::new();
                let _read = stream.read_to_end(&mut rest).await;
            })
        })
        .await;
        let fault = fault_of(&member(&ca, &[garbage.url()])).await;
        assert_eq!(fault.reason, FaultReason::Protocol, "{fault}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_early_is_connect() {
    let ca = Ca::new();
    let before_tls = Server::raw_tcp(|tcp| Box::pin(async move { drop(tcp) })).await;
    let fault = fault_of(&member(&ca, &[before_tls.url()])).await;
    assert_eq!(fault.reason, FaultReason::Connect, "{fault}");
    for tls in [Tls::new(ca.server()).http1(), Tls::new(ca.server())] {
        let after_tls = Server::raw_tls(tls, |mut stream| {
            Box::pin(async move {
                let _closed = stream.shutdown().await;
            })
        })
        .await;
        let fault = fault_of(&member(&ca, &[after_tls.url()])).await;
        assert_eq!(fault.reason, FaultReason::Connect, "{fault}");
    }
}

#[tokio::test]
async fn a_refused_credential_is_unauthorized() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |_| {
        Box::pin(async { Response::builder().status(401).body(full("no")).unwrap() })
    })
    .await;
    let mut member = member(&ca, &[server.url()]);
    let fault = fault_of(&member).await;
    assert_eq!(fault.reason, FaultReason::Unauthorized, "{fault}");
    // Without a credential nothing of ours was refused.
    member.credential = None;
    let answer = connect(&member).request(Request::get("/version")).await;
    assert_eq!(answer.unwrap().status, 401);
}

static TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

#[tokio::test]
async fn a_refused_client_certificate_is_unauthorized() {
    let (ca, clients, others) = (Ca::new(), Ca::new(), Ca::new());
    for versions in [TLS12, TLS13] {
        for is_h2 in [true, false] {
            let mut tls = Tls::new(ca.server()).wants_client_of(&clients);
            tls.versions = versions;
            let tls = if is_h2 { tls } else { tls.http1() };
            let server = Server::http(tls, |_| Box::pin(async { ok("hello") })).await;
            let mut member = member(&ca, &[server.url()]);
            let with = |identity: Identity| {
                Some(Credential::ClientCertificate {
                    certificate: identity.certificate,
                    key: Secret::new(identity.key),
                })
            };
            for credential in [None, with(others.client())] {
                member.credential = credential;
                let fault = fault_of(&member).await;
                assert_eq!(fault.reason, FaultReason::Unauthorized, "{fault}");
            }
            member.credential = with(clients.client());
            let answer = connect(&member).request(Request::get("/version")).await;
            assert_eq!(answer.unwrap().body, "hello");
        }
    }
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let ca = Ca::new();
    let target = hello(ca.server()).await;
    let location = format!("{}/stolen", target.url());
    let server = Server::http(Tls::new(ca.server()), move |_| {
        let location = location.clone();
        Box::pin(async move {
            let redirect = Response::builder().status(302).header("location", location);
            redirect.body(full("")).unwrap()
        })
    })
    .await;
    let fault = fault_of(&member(&ca, &[server.url()])).await;
    assert_eq!(fault.reason, FaultReason::Protocol);
    assert!(!fault.message.contains("stolen"), "{fault}");
    assert_eq!(target.seen.connections(), 0);
}

#[tokio::test]
async fn bad_configuration_names_its_field() {
    let ca = Ca::new();
    let good = member(&ca, &["https://127.0.0.1:1".into()]);
    type Change = fn(&mut Member);
    let rows: [(Change, &str); 8] = [
        (|m| m.ca = Some("no pem".into()), "caBundle"),
        (
            |m| m.ca = Some("-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----".into()),
            "caBundle",
        ),
        (
            |m| m.ca = Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into()),
            "caBundle",
        ),
        (|m| m.endpoints.clear(), "serverEndpoints"),
        (
            |m| m.proxy_url = Some("http://u:hunter2@p".into()),
            "proxyUrl",
        ),
        (|m| m.tls_server_name = Some("a b".into()), "tlsServerName"),
        (
            |m| m.credential = Some(Credential::Token(Secret::new("hunter2 x\n".into()))),
            "token",
        ),
        (
            |m| {
                m.credential = Some(Credential::ClientCertificate {
                    certificate: "hunter2".into(),
                    key: Secret::new("hunter2".into()),
                });
            },
            "client certificate",
        ),
    ];
    for (change, field) in rows {
        let mut bad = good.clone();
        change(&mut bad);
        let fault = fault_of(&bad).await;
        assert_eq!(fault.reason, FaultReason::BadConfig, "{fault}");
        assert!(fault.message.contains(field), "{field}: {fault}");
        assert!(!fault.message.contains("hunter2"), "{fault}");
    }
}

#[tokio::test]
async fn what_is_denied_is_never_sent() {
    let ca = Ca::new();
    let server = hello(ca.server()).await;
    let connection = connect(&member(&ca, &[server.url()]));
    for path in [
        "@evil/api",
        "/api/v1/../../secrets",
        "/api/v1/%2e%2e/x",
        "/api/v1/a%2fb",
        "//evil.example/api",
        "/api/v1/secrets",
        "/api/v1/namespaces/x/pods/p/exec",
    ] {
        let fault = connection.request(Request::get(path)).await.unwrap_err();
        assert_eq!(fault.reason, FaultReason::Denied, "{path}: {fault}");
    }
    let mut request = Request::get("/version");
    request.accept = Some("a\r\nImpersonate-User: admin".into());
    let fault = connection.request(request).await.unwrap_err();
    assert_eq!(fault.reason, FaultReason::Denied, "{fault}");
    assert_eq!(server.seen.connections(), 0);
}

#[tokio::test]
async fn the_destination_policy_holds_for_names_and_own_listeners() {
    let ca = Ca::new();
    let server = hello(ca.server()).await;
    let port = server.address.port();
    let mut strict = config();
    strict.allow_loopback = false;
    let strict = outbound(strict);
    for url in [
        server.url(),
        format!("https://localhost:{port}"),
        format!("https://[::ffff:127.0.0.1]:{port}"),
    ] {
        let connection = strict.connect(&member(&ca, &[url]), Rules::Host, true);
        let fault = ask(connection.as_ref()).await;
        assert_eq!(fault.reason, FaultReason::Denied, "{fault}");
        assert!(fault.message.contains("policy"), "{fault}");
    }
    let lenient = outbound(config());
    lenient.set_own_listeners(vec![format!("0.0.0.0:{port}").parse().unwrap()]);
    let connection = lenient.connect(&member(&ca, &[server.url()]), Rules::Host, true);
    let fault = ask(connection.as_ref()).await;
    assert_eq!(fault.reason, FaultReason::Denied, "{fault}");
    assert_eq!(server.seen.connections(), 0);
}

#[tokio::test]
async fn a_reply_that_repeats_the_credential_is_dropped() {
    let ca = Ca::new();
    let server = Server::http(Tls::new(ca.server()), |request| {
        Box::pin(async move {
            let authorization = request.headers()["authorization"].clone();
            let text = Bytes::copy_from_slice(authorization.as_bytes());
            match request.uri().path() {
                "/version" => ok(text),
                "/healthz" => Response::builder()
                    .header("etag", authorization)
                    .body(full(""))
                    .unwrap(),
                _ => ok([&b"first\n"[..], &text, b"\nlast\n"].concat()),
            }
        })
    })
    .await;
    let connection = connect(&member(&ca, &[server.url()]));
    for path in ["/version", "/healthz"] {
        let fault = connection.request(Request::get(path)).await.unwrap_err();
        assert_eq!(fault.reason, FaultReason::Protocol, "{fault}");
        assert!(!fault.message.contains(TOKEN));
    }
    let lines = connection.lines(Request::get("/livez")).await.ok().unwrap();
    let lines: Vec<_> = futures::StreamExt::collect(lines).await;
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].as_ref().unwrap(), "first");
    assert_eq!(lines[1].as_ref().unwrap_err().reason, FaultReason::Protocol);
}

#[tokio::test]
async fn proxies_carry_refuse_or_fail() {
    let ca = Ca::new();
    let server = hello(ca.server()).await;
    let target = server.address;
    let proxy = |answer: &'static [u8]| {
        Server::raw_tcp(move |mut tcp| {
            Box::pin(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tcp.read_u8().await.unwrap());
                }
                assert!(head.starts_with(format!("CONNECT {target} HTTP/1.1\r\n").as_bytes()));
                assert!(!String::from_utf8(head).unwrap().contains(TOKEN));
                tcp.write_all(answer).await.unwrap();
                if answer.starts_with(b"HTTP/1.1 200") {
                    let socket = TcpSocket::new_v4().unwrap();
                    let mut onward = socket.connect(target).await.unwrap();
                    let _ended = tokio::io::copy_bidirectional(&mut tcp, &mut onward).await;
                }
            })
        })
    };
    let mut member = member(&ca, &[server.url()]);
    let through = |server: &Server| Some(format!("http://{}", server.address));

    let good = proxy(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n").await;
    member.proxy_url = through(&good);
    let answer = connect(&member).request(Request::get("/version")).await;
    assert_eq!(answer.unwrap().body, "hello");
    assert_eq!(good.seen.connections(), 1);

    for answer in [
        &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
        b"SSH-2.0-x\r\n\r\n",
        b"",
    ] {
        let bad = proxy(answer).await;
        member.proxy_url = through(&bad);
        let fault = fault_of(&member).await;
        assert_eq!(fault.reason, FaultReason::Proxy, "{fault}");
    }
    member.proxy_url = Some(dead_url().await.replace("https", "http"));
    let fault = fault_of(&member).await;
    assert_eq!(fault.reason, FaultReason::Proxy, "{fault}");

    // The operator's proxy serves members without one of their own, but for the exempted.
    member.proxy_url = None;
    let mut config = config();
    config.proxy = through(&good);
    let answer = outbound(config.clone()).connect(&member, Rules::Prober, true);
    assert!(answer.request(Request::get("/version")).await.is_ok());
    assert_eq!(good.seen.connections(), 2);
    config.no_proxy = vec!["127.0.0.0/8".into()];
    let answer = outbound(config).connect(&member, Rules::Prober, true);
    assert!(answer.request(Request::get("/version")).await.is_ok());
    assert_eq!(good.seen.connections(), 2);
}

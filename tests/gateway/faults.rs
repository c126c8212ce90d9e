//! Whatever a member does, its row says why, in the reason's own word and with status 200.

use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use optikon_tests::fake::{Body, Certificate, Door};
use optikon_tests::{Answer, FakeMember};
use serde_json::{Value, json};

use crate::bed::{condition, gateway, own, registration};

const TOKEN: &str = "fault-token";

struct Case {
    name: &'static str,
    reason: &'static str,
    member: FakeMember,
}

async fn case(name: &'static str, reason: &'static str, spoil: impl FnOnce(&FakeMember)) -> Case {
    with(Certificate::Good, name, reason, spoil).await
}

async fn with(
    certificate: Certificate,
    name: &'static str,
    reason: &'static str,
    spoil: impl FnOnce(&FakeMember),
) -> Case {
    let member = FakeMember::start_with(certificate).await.unwrap();
    spoil(&member);
    Case {
        name,
        reason,
        member,
    }
}

fn version(answer: Answer) -> impl FnOnce(&FakeMember) {
    |member| member.answer("/version", answer)
}

fn body(body: Body) -> Answer {
    Answer::with_body(200, "application/json", body)
}

async fn cases(recorder: &FakeMember) -> Vec<Case> {
    let trickle = Body::Trickle {
        bytes: vec![b' '; 10_000],
        piece: 1,
        pause: Duration::from_millis(50),
    };
    let elsewhere = format!("{}/version", recorder.url());
    let html = Answer::bytes(200, "text/html", b"<html>hello</html>".to_vec());
    vec![
        case("fault-close", "Connect", |m| m.door(Door::Close)).await,
        case("fault-hole", "Timeout", |m| m.door(Door::BlackHole)).await,
        case("fault-garbage", "NotKubernetes", |m| m.door(Door::Garbage)).await,
        case("fault-plain", "NotKubernetes", |m| m.door(Door::PlainHttp)).await,
        with(
            Certificate::Untrusted,
            "fault-untrusted",
            "TlsUntrusted",
            |_| (),
        )
        .await,
        with(Certificate::Expired, "fault-expired", "TlsExpired", |_| ()).await,
        with(Certificate::WrongName, "fault-name", "TlsName", |_| ()).await,
        case("fault-401", "Unauthorized", |m| m.require_token("another")).await,
        case("fault-500", "Unhealthy", |m| {
            m.answer_all(Answer::failure(500, "InternalError"));
        })
        .await,
        case("fault-slow", "Timeout", |m| {
            m.latency(Duration::from_secs(60))
        })
        .await,
        case("fault-trickle", "Timeout", version(body(trickle))).await,
        case(
            "fault-stuck",
            "Timeout",
            version(body(Body::Stuck(b"{".to_vec()))),
        )
        .await,
        case(
            "fault-endless",
            "TooLarge",
            version(body(Body::Endless(vec![b' '; 65_536]))),
        )
        .await,
        case("fault-bomb", "TooLarge", version(Answer::gzip_bomb(200))).await,
        case("fault-html", "NotKubernetes", version(html)).await,
        case(
            "fault-redirect",
            "NotKubernetes",
            version(Answer::redirect(307, &elsewhere)),
        )
        .await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_member_is_a_typed_reason_and_no_failure_of_ours() {
    let recorder = FakeMember::start().await.unwrap();
    let gateway = gateway().await;
    let client = gateway.client().unwrap();
    let gone = {
        let member = FakeMember::start().await.unwrap();
        registration("fault-refused", &member, TOKEN)
    };
    let cases = cases(&recorder).await;
    let mut rows = vec![("fault-refused", "Connect")];
    client.create("/cluster", &gone).await.unwrap();
    let unknown = json!({"name": "fault-dns", "server": "https://no-such-host.invalid"});
    client.create("/cluster", &unknown).await.unwrap();
    rows.push(("fault-dns", "Dns"));
    for case in &cases {
        let body = registration(case.name, &case.member, TOKEN);
        client.create("/cluster", &body).await.unwrap();
        rows.push((case.name, case.reason));
    }
    let looks = rows.iter().map(|(name, reason)| async move {
        let path = format!("/cluster/{name}?deadline=3s");
        let reply = client.get(&path).await.unwrap();
        (*name, *reason, reply)
    });
    let seen: Vec<_> = stream::iter(looks).buffer_unordered(8).collect().await;
    let mut wrong = Vec::new();
    for (name, reason, reply) in seen {
        assert_eq!(reply.status, 200, "{name}: {}", reply.text);
        let seen = reply.json().unwrap();
        let status = &seen["status"];
        if status["reason"] != reason {
            wrong.push(format!(
                "{name}: {reason} is {} {}",
                status["reason"], status["message"]
            ));
        }
        assert_ne!(status["message"], "", "{name}");
        assert_ne!(condition(&seen, "Ready")["status"], "True", "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(recorder.seen().len(), 0, "a redirect was followed");
    let list = client.read("/cluster?limit=10000").await.unwrap();
    let listed: Vec<&Value> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| {
            c["metadata"]["name"]
                .as_str()
                .unwrap()
                .starts_with("fault-")
        })
        .collect();
    assert_eq!(listed.len(), rows.len());
    for case in &cases {
        client
            .delete(&format!("/cluster/{}", case.name))
            .await
            .unwrap();
    }
    for name in ["fault-refused", "fault-dns"] {
        client.delete(&format!("/cluster/{name}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_list_that_is_too_large_is_a_part_and_the_rest_is_seen() {
    let member = FakeMember::start().await.unwrap();
    member.answer("/api/v1/nodes", Answer::gzip_bomb(200));
    let gateway = gateway().await;
    let client = gateway.client().unwrap();
    let body = registration("large-part", &member, TOKEN);
    client.create("/cluster", &body).await.unwrap();
    let seen = client
        .read("/cluster/large-part?deadline=20s")
        .await
        .unwrap();
    let status = &seen["status"];
    assert_eq!(status["parts"]["nodes"]["reason"], "TooLarge", "{seen:#}");
    assert_eq!(status["workloads"][0]["name"], "web");
    client.delete("/cluster/large-part").await.unwrap();
}

/// As deep as a parser goes, and further: the first is read, the second is no answer, and neither ends the plugin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_nested_as_deep_as_is_parsed_is_read() {
    let member = FakeMember::start().await.unwrap();
    let gateway = gateway().await;
    let client = gateway.client().unwrap();
    let body = registration("deep", &member, TOKEN);
    client.create("/cluster", &body).await.unwrap();
    for (levels, reason) in [(126, Value::Null), (100_000, "NotKubernetes".into())] {
        let (open, close) = (r#"{"x":"#.repeat(levels), "}".repeat(levels));
        let version = format!(r#"{{"gitVersion":"v1.37.2","x":{open}1{close}}}"#);
        let answer = Answer::bytes(200, "application/json", version.into_bytes());
        member.answer("/version", answer);
        let seen = client.read("/cluster/deep?deadline=20s").await.unwrap();
        assert_eq!(seen["status"]["reason"], reason, "{levels}: {seen:#}");
    }
    client.delete("/cluster/deep").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_of_development_loopback_is_refused_and_nothing_is_sent() {
    let member = FakeMember::start().await.unwrap();
    let own = own(optikon_tests::Gateway::builder().without_dev()).await;
    let client = own.gateway.client().unwrap();
    let body = registration("loopback", &member, TOKEN);
    client.create("/cluster", &body).await.unwrap();
    let seen = client.read("/cluster/loopback").await.unwrap();
    assert_eq!(seen["status"]["reason"], "Denied", "{seen:#}");
    assert_eq!(member.most_connections(), 0);
}

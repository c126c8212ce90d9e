use super::*;
use crate::client::Client;

fn client(member: &FakeMember) -> Client {
    Client::new(&member.url(), Some(&member.ca().unwrap()), Some("t")).unwrap()
}

#[tokio::test]
async fn a_healthy_fake_answers_like_a_cluster_and_remembers_the_question() {
    let member = FakeMember::start().await.unwrap();
    member.nodes(3);
    let nodes = client(&member)
        .read("/api/v1/nodes?limit=500")
        .await
        .unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 3);
    let seen = member.seen();
    assert_eq!(seen[0].target, "/api/v1/nodes?limit=500");
    assert_eq!(seen[0].header("authorization"), Some("Bearer t"));
}

#[tokio::test]
async fn certificates_are_wrong_in_the_way_they_say() {
    for certificate in [
        Certificate::Expired,
        Certificate::WrongName,
        Certificate::Untrusted,
    ] {
        let member = FakeMember::start_with(certificate).await.unwrap();
        let error = format!("{:?}", client(&member).get("/version").await.unwrap_err());
        let expected = match certificate {
            Certificate::Expired => "certificate expired",
            Certificate::WrongName => "not valid for name",
            Certificate::Untrusted => "UnknownIssuer",
            Certificate::Good => "no error",
        };
        assert!(error.contains(expected), "{certificate:?}: {error}");
        assert!(member.seen().is_empty());
    }
}

#[tokio::test]
async fn orders_change_answers_until_it_recovers() {
    let member = FakeMember::start().await.unwrap();
    let client = client(&member);
    member.answer_all(Answer::redirect(307, "https://elsewhere.example/"));
    assert_eq!(client.get("/version").await.unwrap().status, 307);
    member.answer("/version", Answer::failure(500, "InternalError"));
    assert_eq!(client.get("/version").await.unwrap().status, 500);
    member.door(Door::Garbage);
    assert!(client.get("/version").await.is_err());
    member.recover();
    assert_eq!(client.get("/version").await.unwrap().status, 200);
    member.require_token("other");
    assert_eq!(client.get("/version").await.unwrap().status, 401);
}

#[tokio::test]
async fn bodies_come_as_ordered() {
    let member = FakeMember::start().await.unwrap();
    let client = client(&member);
    let body = |body| Answer::with_body(200, "application/json", body);
    let trickle = Body::Trickle {
        bytes: b"{\"a\":1}".to_vec(),
        piece: 2,
        pause: Duration::from_millis(1),
    };
    member.answer("/trickle", body(trickle));
    assert_eq!(client.read("/trickle").await.unwrap(), json!({"a": 1}));
    member.answer("/cut", body(Body::Cut(b"{\"a\":".to_vec())));
    assert!(client.get("/cut").await.is_err());
    member.answer("/endless", body(Body::Endless(vec![b' '; 1024])));
    let request = client.request(reqwest::Method::GET, "/endless");
    let mut response = request.send().await.unwrap();
    let mut read = 0;
    while read < 1 << 20 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
}

#[test]
fn a_bomb_is_small_until_it_is_opened() {
    let Body::Whole(packed) = Answer::gzip_bomb(8).body else {
        panic!("a bomb is sent whole")
    };
    assert!(packed.len() < 64 << 10);
    let mut opened = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(packed.as_slice()),
        &mut opened,
    )
    .unwrap();
    assert!(opened.len() > 8 << 20);
    assert!(serde_json::from_slice::<Value>(&opened).is_ok());
}

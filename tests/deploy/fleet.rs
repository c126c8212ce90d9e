//! Operations over many clusters: fakes that keep objects, as many as no machine could run of the real ones.

use std::collections::BTreeMap;

use futures::future::join_all;
use optikon_tests::{Answer, FakeMember, Gateway, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{PATIENCE, bed, change, finished, merged, upload, web};

/// Fakes under names that begin alike, with the label `fleet` of that name.
pub(crate) struct Fleet {
    pub(crate) name: &'static str,
    pub(crate) members: Vec<FakeMember>,
}

impl Fleet {
    pub(crate) async fn start(gateway: &Gateway, name: &'static str, count: usize) -> Self {
        let start = |_| async {
            let member = FakeMember::start().await.unwrap();
            member.keep_objects();
            member
        };
        let members = join_all((0..count).map(start)).await;
        let register = members
            .iter()
            .enumerate()
            .map(|(number, member)| async move {
                let body = json!({
                    "name": format!("{name}-{number:03}"), "server": member.url(),
                    "ca": member.ca().unwrap(), "token": "t", "labels": {"fleet": name},
                });
                gateway
                    .client()
                    .unwrap()
                    .create("/cluster", &body)
                    .await
                    .unwrap();
            });
        join_all(register).await;
        Self { name, members }
    }

    /// A request for all of them.
    pub(crate) fn request(&self, digest: &str, release: &str, more: Value) -> Value {
        let base = json!({
            "chart": {"digest": digest},
            "release": {"name": release, "namespace": "shop"},
            "targets": {"selector": format!("fleet={}", self.name)},
        });
        merged(base, more)
    }

    /// Whether the release is there, by member.
    fn has(&self, release: &str) -> Vec<bool> {
        let part = format!("/secrets/sh.helm.release.v1.{release}.");
        let kept = |member: &FakeMember| member.kept().iter().any(|path| path.contains(&part));
        self.members.iter().map(kept).collect()
    }
}

/// How many targets are in each state.
pub(crate) fn states(operation: &Value) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for target in operation["targets"].as_array().unwrap() {
        *states
            .entry(target["state"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    states
}

fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs
        .iter()
        .map(|(state, n)| ((*state).to_owned(), *n))
        .collect()
}

async fn paused(gateway: &Gateway, operation: &Value) -> Value {
    let path = format!("/operations/{}", operation["id"].as_str().unwrap());
    wait_for("the operation to pause", PATIENCE, || async {
        let now = gateway.client()?.read(&path).await?;
        Ok((now["state"] == "paused").then_some(now))
    })
    .await
    .unwrap()
}

async fn tell(gateway: &Gateway, operation: &Value, verb: &str) {
    let path = format!("/operations/{}/{verb}", operation["id"].as_str().unwrap());
    gateway
        .client()
        .unwrap()
        .create(&path, &json!({}))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_like_clusters_cost_one_rendering() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "hundred", 100).await;
    let digest = upload(gateway, web("1.0.0")).await.unwrap();
    let body = fleet.request(&digest, "web", json!({"strategy": {"maxParallel": 100}}));
    let done = change(gateway, Method::POST, "/charts", &body)
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done:#}");
    assert_eq!(states(&done), counts(&[("succeeded", 100)]));
    assert_eq!(done["plans"], 1);
    assert!(fleet.has("web").iter().all(|is_there| *is_there));
    // Values of some of them make a plan of its own.
    let more = json!({
        "values": {"message": "new"},
        "overrides": [{"names": ["hundred-007"], "values": {"message": "other"}}],
        "strategy": {"maxParallel": 100},
    });
    let body = fleet.request(&digest, "web", more);
    let done = change(gateway, Method::PUT, "/charts/web", &body)
        .await
        .unwrap();
    assert_eq!(
        (&done["state"], &done["plans"]),
        (&json!("succeeded"), &json!(2)),
        "{done:#}"
    );
    // Every release in one list.
    let list = gateway
        .client()
        .unwrap()
        .read("/charts?labelSelector=fleet%3Dhundred")
        .await
        .unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 100);
    assert_eq!(list["errors"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn sick_clusters_are_rows_and_the_others_go_on_or_back_as_was_asked() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "thirty", 30).await;
    let digest = upload(gateway, web("1.0.0")).await.unwrap();
    // Five sick ones in the middle, each in its way.
    let settings = "/api/v1/namespaces/shop/configmaps/web-settings";
    fleet.members[11].answer_all(Answer::failure(503, "ServiceUnavailable"));
    fleet.members[12].require_token("another");
    fleet.members[13].answer(settings, Answer::failure(403, "Forbidden"));
    fleet.members[14].answer(settings, Answer::failure(422, "Invalid"));
    fleet.members[15].answer("/version", Answer::failure(500, "InternalError"));
    fleet.members[15].answer("/api", Answer::failure(503, "ServiceUnavailable"));
    fleet.members[15].answer(settings, Answer::failure(500, "InternalError"));

    let body = fleet.request(
        &digest,
        "web",
        json!({"strategy": {"onFailure": "continue"}}),
    );
    let done = change(gateway, Method::POST, "/charts", &body)
        .await
        .unwrap();
    assert_eq!(done["state"], "partial", "{done:#}");
    assert_eq!(
        states(&done),
        counts(&[("succeeded", 25), ("failed", 5)]),
        "{done:#}"
    );
    for target in done["targets"].as_array().unwrap() {
        if target["state"] == "failed" {
            assert!(
                target["reason"].is_string() && target["message"].is_string(),
                "{target}"
            );
        }
    }
    assert_eq!(
        done["targets"][12]["reason"], "Unauthorized",
        "{}",
        done["targets"][12]
    );
    assert_eq!(done["targets"][13]["reason"], "Forbidden");

    // Waves of ten: the second has all five sick ones, two are allowed.
    let strategy = json!({
        "waves": [{"count": 10}, {"count": 10}], "maxParallel": 3, "maxFailures": 2,
        "onFailure": "rollback-all",
    });
    for number in [11, 12, 15] {
        fleet.members[number].recover();
    }
    fleet.members[12].require_token("t");
    for number in [11, 12, 15] {
        let other = "PATCH /api/v1/namespaces/shop/configmaps/back-settings";
        fleet.members[number].answer(other, Answer::failure(422, "Invalid"));
    }
    let body = fleet.request(&digest, "back", json!({"strategy": strategy}));
    let done = change(gateway, Method::POST, "/charts", &body)
        .await
        .unwrap();
    assert_eq!(done["state"], "rolled-back", "{done:#}");
    let states = states(&done);
    assert!(!states.contains_key("succeeded"), "{done:#}");
    assert!(states["rolled-back"] >= 13, "{states:?}");
    assert!(
        states["skipped"] >= 10,
        "the third wave was not begun: {states:?}"
    );
    assert!(
        fleet.has("back").iter().all(|is_there| !is_there),
        "everything went back"
    );
    let reasons = done["targets"].as_array().unwrap();
    assert_eq!(reasons[29]["reason"], "Stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_pauses_between_waves_and_is_resumed_or_cancelled() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "waves", 4).await;
    let digest = upload(gateway, web("1.0.0")).await.unwrap();
    let strategy = json!({"strategy": {"waves": [{"count": 1, "manual": true}, {"percent": 25}]}});
    let client = gateway.client().unwrap();

    let body = fleet.request(&digest, "web", strategy.clone());
    let begun = client.create("/charts", &body).await.unwrap();
    let now = paused(gateway, &begun).await;
    assert_eq!(states(&now), counts(&[("succeeded", 1), ("pending", 3)]));
    // It holds its release meanwhile, and names itself to whoever comes.
    let reply = client
        .json(Method::PUT, "/charts/web", &body)
        .await
        .unwrap();
    assert_eq!(reply.status, 409);
    assert!(
        reply.text.contains(begun["id"].as_str().unwrap()),
        "{}",
        reply.text
    );
    tell(gateway, &begun, "resume").await;
    let done = finished(gateway, &begun).await.unwrap();
    assert_eq!(done["state"], "succeeded", "{done:#}");
    let waves: Vec<_> = done["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["wave"].clone())
        .collect();
    assert_eq!(waves, [0, 1, 2, 2]);

    let begun = client
        .create("/charts", &fleet.request(&digest, "other", strategy))
        .await
        .unwrap();
    paused(gateway, &begun).await;
    tell(gateway, &begun, "cancel").await;
    let done = finished(gateway, &begun).await.unwrap();
    assert_eq!(done["state"], "cancelled", "{done:#}");
    assert_eq!(states(&done), counts(&[("succeeded", 1), ("skipped", 3)]));
    assert_eq!(done["targets"][3]["reason"], "Cancelled");

    let strategy =
        json!({"strategy": {"waves": [{"count": 1, "manual": true}], "deadlineSeconds": 1}});
    let body = fleet.request(&digest, "late", strategy);
    let done = change(gateway, Method::POST, "/charts", &body)
        .await
        .unwrap();
    assert_eq!(done["state"], "partial", "{done:#}");
    assert_eq!(done["targets"][3]["reason"], "DeadlineExceeded");

    // Twenty events at least, numbered without gaps, also for two who follow from the middle.
    let id = done["id"].as_str().unwrap();
    let all = client
        .get(&format!("/operations/{id}/events"))
        .await
        .unwrap()
        .text;
    let numbers: Vec<u64> = all
        .lines()
        .filter_map(|line| line.strip_prefix("id: ").and_then(|n| n.parse().ok()))
        .collect();
    // A frame names its last event only; what it says is in the data.
    let said = all
        .lines()
        .filter(|line| line.starts_with("data: "))
        .count() as u64;
    assert_eq!(numbers.last(), Some(&said), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_with_the_same_key_is_the_same_operation() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "twice", 2).await;
    let digest = upload(gateway, web("1.0.0")).await.unwrap();
    let client = gateway.client().unwrap();
    let send = |body: Value| async move {
        let request = client.request(Method::POST, "/charts?wait=true");
        client
            .send(request.header("idempotency-key", "once").json(&body))
            .await
            .unwrap()
    };
    let body = fleet.request(&digest, "web", json!({}));
    let first = send(body.clone()).await.success().unwrap();
    assert_eq!(first["state"], "succeeded", "{first:#}");
    let second = send(body).await.success().unwrap();
    assert_eq!(second["id"], first["id"]);
    let other = send(fleet.request(&digest, "web", json!({"values": {"message": "x"}}))).await;
    assert_eq!(other.status, 409, "{}", other.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_goes_back_has_what_it_had_before() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "before", 3).await;
    let digest = upload(gateway, web("1.0.0")).await.unwrap();
    let body = fleet.request(&digest, "web", json!({"values": {"message": "old"}}));
    let done = change(gateway, Method::POST, "/charts", &body)
        .await
        .unwrap();
    assert_eq!(done["state"], "succeeded", "{done:#}");
    // The last one refuses what the upgrade adds.
    let extra = "PATCH /api/v1/namespaces/shop/configmaps/web-extra";
    fleet.members[2].answer(extra, Answer::failure(422, "Invalid"));
    for (policy, states_wanted, state) in [
        (
            "rollback",
            counts(&[("succeeded", 2), ("rolled-back", 1)]),
            "partial",
        ),
        ("rollback-all", counts(&[("rolled-back", 3)]), "rolled-back"),
    ] {
        let more = json!({
            "values": {"message": policy, "extra": true}, "strategy": {"onFailure": policy},
        });
        let body = fleet.request(&digest, "web", more);
        let done = change(gateway, Method::PUT, "/charts/web", &body)
            .await
            .unwrap();
        assert_eq!(states(&done), states_wanted, "{done:#}");
        assert_eq!(done["state"], state);
        let settings = "/api/v1/namespaces/shop/configmaps/web-settings";
        let last = fleet.members[2].object(settings).unwrap();
        assert_eq!(last["data"]["message"], "old", "{policy}");
    }
    // All are where the first policy left the good ones.
    let first = fleet.members[0]
        .object("/api/v1/namespaces/shop/configmaps/web-settings")
        .unwrap();
    assert_eq!(first["data"]["message"], "rollback");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_cluster_keeps_none_of_its_wave_from_theirs() {
    let gateway = &bed().await.gateway;
    let mut fleet = Fleet::start(gateway, "dead", 3).await;
    drop(fleet.members.remove(1));
    let digest = upload(gateway, web("1.0.0")).await.unwrap();
    let body = fleet.request(&digest, "web", json!({}));
    let done = change(gateway, Method::POST, "/charts", &body)
        .await
        .unwrap();
    assert_eq!(done["state"], "partial", "{done:#}");
    assert_eq!(states(&done), counts(&[("succeeded", 2), ("failed", 1)]));
    let dead = &done["targets"][1];
    assert_eq!(
        (&dead["cluster"], &dead["reason"]),
        (&json!("dead-001"), &json!("Connect"))
    );
    assert_eq!(done["targets"][0]["state"], "succeeded");
}

/// The numbers of the events that a stream consists of.
fn numbers(stream: &str) -> Vec<u64> {
    let ids = stream.lines().filter_map(|line| line.strip_prefix("id: "));
    ids.map(|id| id.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_after_the_last_one_that_was_seen() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "events", 3).await;
    let digest = upload(gateway, web("1.0.0")).await.unwrap();
    let client = gateway.client().unwrap();
    // Asked for so, the change answers with its own events, and ends with them.
    let request = client.request(Method::POST, "/charts");
    let request = request.header("accept", "text/event-stream");
    let body = fleet.request(&digest, "web", json!({}));
    let all = client.send(request.json(&body)).await.unwrap();
    assert_eq!(all.status, 200, "{}", all.text);
    let whole: Vec<u64> = (1..=numbers(&all.text).len() as u64).collect();
    assert_eq!(numbers(&all.text), whole, "{}", all.text);
    assert!(all.text.contains("\"state\":\"succeeded\""), "{}", all.text);

    let list = client.read("/operations?release=web&limit=100").await;
    let list = list.unwrap();
    let mut operations = list["items"].as_array().unwrap().iter();
    let is_ours = |o: &&Value| o["targets"][0]["cluster"] == "events-000";
    let id = operations.find(is_ours).unwrap()["id"].as_str().unwrap();
    let path = format!("/operations/{id}/events");
    for (last, rest) in [("0", 0), ("2", 2), ("999999", whole.len()), ("x", 0)] {
        let request = client.request(Method::GET, &path);
        let request = request.header("last-event-id", last);
        let stream = client.send(request).await.unwrap();
        assert_eq!(stream.status, 200, "{last}: {}", stream.text);
        assert_eq!(numbers(&stream.text), whole[rest..], "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_stays_while_an_operation_needs_it() {
    let gateway = &bed().await.gateway;
    let fleet = Fleet::start(gateway, "needs", 2).await;
    let digest = upload(gateway, web("4.0.9")).await.unwrap();
    let client = gateway.client().unwrap();
    let strategy = json!({"strategy": {"waves": [{"count": 1, "manual": true}]}});
    let body = fleet.request(&digest, "web", strategy);
    let begun = client.create("/charts", &body).await.unwrap();
    paused(gateway, &begun).await;
    let path = format!("/archives/{digest}");
    let reply = client.json(Method::DELETE, &path, &Value::Null).await;
    let reply = reply.unwrap();
    assert_eq!(reply.status, 409, "{}", reply.text);
    assert!(
        reply.text.contains(begun["id"].as_str().unwrap()),
        "{}",
        reply.text
    );
    tell(gateway, &begun, "resume").await;
    let done = finished(gateway, &begun).await.unwrap();
    assert_eq!(done["state"], "succeeded", "{done:#}");
    client.delete(&path).await.unwrap();
    assert_eq!(client.get(&path).await.unwrap().status, 404);
}

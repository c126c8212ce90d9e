//! The gateway killed, and API servers killed, in the middle of things.

use std::collections::BTreeSet;

use optikon_tests::cluster::items;
use optikon_tests::fake::Door;
use optikon_tests::{FakeMember, Gateway, Testbed, wait_for};
use serde_json::{Value, json};

use crate::bed::{
    Own, PATIENCE, bed, finished, merged, object, only, own, register, request, upload, web,
};
use crate::fleet::Fleet;

async fn begin(gateway: &Gateway, body: &Value) -> Value {
    gateway
        .client()
        .unwrap()
        .create("/charts", body)
        .await
        .unwrap()
}

/// Requests that would make a release's first revision.
fn creations(member: &FakeMember, release: &str) -> usize {
    let name = format!("sh.helm.release.v1.{release}.v");
    let seen = member.seen();
    let creates = seen.iter().filter(|request| {
        request.method == "POST"
            && request.target.contains("/secrets")
            && serde_json::from_slice::<Value>(&request.body).is_ok_and(|b| {
                b["metadata"]["name"]
                    .as_str()
                    .is_some_and(|n| n.starts_with(&name))
            })
    });
    creates.count()
}

/// An install of one release on one fake, cut off by kill -9 when the member has got so many requests for it. Returns
/// false when there were fewer requests than that.
async fn killed_at(
    own: &mut Own,
    fleet: &Fleet,
    digest: &str,
    pass: usize,
    is_after: bool,
) -> bool {
    let release = format!("cut-{pass}-{}", if is_after { "after" } else { "before" });
    let member = &fleet.members[0];
    // Everything of a release happens in its namespace.
    let namespace = format!("ns-{release}");
    member.hold(&namespace, pass, is_after);
    let more = json!({
        "release": {"namespace": namespace}, "options": {"createNamespace": true},
        "values": {"extra": true},
    });
    let begun = begin(&own.gateway, &fleet.request(digest, &release, more)).await;
    let path = format!("/operations/{}", begun["id"].as_str().unwrap());
    let is_held = wait_for("a held request, or the end", PATIENCE, || async {
        let now = own.gateway.client()?.read(&path).await?;
        let is_over = now["finishedMs"].is_number();
        let is_held = member.held() > 0;
        Ok((is_held || is_over).then_some(is_held))
    })
    .await
    .unwrap();
    if is_held {
        own.gateway.kill().unwrap();
    }
    member.release();
    if is_held {
        own.gateway.start_again().await.unwrap();
    }
    let done = finished(&own.gateway, &begun).await.unwrap();
    only(&done, "succeeded");
    assert_eq!(done["targets"][0]["revision"], 1, "{release}: {done:#}");
    // Once: one revision, and what made it was never made a second time.
    let revisions = member
        .kept()
        .into_iter()
        .filter(|p| p.contains(&format!(".{release}.v")))
        .count();
    assert_eq!(revisions, 1, "{release}");
    let made = creations(member, &release);
    // A request that was held before its effect may be seen again; what had its effect is not.
    assert!(
        made == 1 || (made == 2 && !is_after),
        "{release}: {made} times"
    );
    let extra = format!("/api/v1/namespaces/{namespace}/configmaps/{release}-extra");
    assert!(member.object(&extra).is_some());
    is_held
}

#[tokio::test(flavor = "multi_thread")]
async fn an_install_that_was_killed_at_any_request_is_finished_and_done_once() {
    let mut own = own(Gateway::builder()).await;
    let fleet = Fleet::start(&own.gateway, "killed", 1).await;
    let digest = upload(&own.gateway, web("1.0.0")).await.unwrap();
    let mut kills = 0;
    for is_after in [false, true] {
        for pass in 0.. {
            if !killed_at(&mut own, &fleet, &digest, pass, is_after).await {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills >= 12, "only {kills} requests were cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_goes_on_where_the_gateway_was_killed() {
    let mut own = own(Gateway::builder()).await;
    let fleet = Fleet::start(&own.gateway, "resumed", 6).await;
    let digest = upload(&own.gateway, web("1.0.0")).await.unwrap();
    let more = json!({"strategy": {"waves": [{"count": 2, "manual": true}, {"count": 2}], "maxParallel": 1}});
    let begun = begin(&own.gateway, &fleet.request(&digest, "web", more)).await;
    let path = format!("/operations/{}", begun["id"].as_str().unwrap());
    for _ in 0..2 {
        wait_for("the pause", PATIENCE, || async {
            let now = own.gateway.client()?.read(&path).await?;
            Ok((now["state"] == "paused").then_some(()))
        })
        .await
        .unwrap();
        // A pause survives a crash, and asks to be resumed all the same.
        own.gateway.kill().unwrap();
        own.gateway.start_again().await.unwrap();
    }
    fleet.members[3].hold("/secrets/", 0, true);
    wait_for("the pause", PATIENCE, || async {
        own.gateway
            .client()?
            .create(&format!("{path}/resume"), &json!({}))
            .await
            .map(Some)
    })
    .await
    .unwrap();
    wait_for("the fourth cluster to be under way", PATIENCE, || async {
        Ok((fleet.members[3].held() > 0).then_some(()))
    })
    .await
    .unwrap();
    own.gateway.kill().unwrap();
    fleet.members[3].release();
    own.gateway.start_again().await.unwrap();
    let done = finished(&own.gateway, &begun).await.unwrap();
    assert_eq!(done["state"], "succeeded", "{done:#}");
    for member in &fleet.members {
        assert_eq!(creations(member, "web"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_known_is_unknown_and_says_why() {
    let mut own = own(Gateway::builder()).await;
    let fleet = Fleet::start(&own.gateway, "unknown", 1).await;
    let digest = upload(&own.gateway, web("1.0.0")).await.unwrap();
    fleet.members[0].hold("/configmaps/", 0, false);
    let more = json!({"strategy": {"deadlineSeconds": 20}});
    let begun = begin(&own.gateway, &fleet.request(&digest, "web", more)).await;
    wait_for("a write to be under way", PATIENCE, || async {
        Ok((fleet.members[0].held() > 0).then_some(()))
    })
    .await
    .unwrap();
    own.gateway.kill().unwrap();
    // The member is gone for good; its port stays its own, or another test's member would answer there.
    fleet.members[0].door(Door::Close);
    own.gateway.start_again().await.unwrap();
    let done = finished(&own.gateway, &begun).await.unwrap();
    let row = only(&done, "unknown");
    assert!(
        row["message"].as_str().unwrap().contains("is not known"),
        "{row}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_restarts_in_the_middle_does_not_fail_a_change() {
    let bed = bed().await;
    let testbed = Testbed::start().await.unwrap();
    let mut cluster = testbed.cluster("restarting").start().await.unwrap();
    register(&bed.gateway, &cluster, json!({})).await.unwrap();
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    // A hundred objects, so that the server dies between the first and the last.
    let many = json!({"values": {"many": 200}, "options": {"wait": false}});
    let body = merged(request(&digest, "rest", "rest", &["restarting"]), many);
    let begun = begin(&bed.gateway, &body).await;
    let maps = "/api/v1/namespaces/rest/configmaps";
    wait_for("the first objects", PATIENCE, || async {
        let list = object(&cluster, maps).await;
        Ok(list.filter(|l| items(l).count() > 5).map(drop))
    })
    .await
    .unwrap();
    cluster.kill_api_server().unwrap();
    cluster.start_api_server().await.unwrap();
    let done = finished(&bed.gateway, &begun).await.unwrap();
    let row = only(&done, "succeeded");
    assert_eq!(row["revision"], 1, "{done:#}");
    let names: BTreeSet<_> = items(&object(&cluster, maps).await.unwrap())
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .filter(|name| name.starts_with("rest-many-"))
        .collect();
    assert_eq!(names.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_somebody_left_behind_is_a_lock_until_it_is_cleared() {
    let bed = bed().await;
    let digest = upload(&bed.gateway, web("1.0.0")).await.unwrap();
    only(&bed.install(&digest, "stale", json!({})).await, "succeeded");
    // As a `helm upgrade` that was killed leaves it.
    let secret = "/api/v1/namespaces/stale/secrets/sh.helm.release.v1.stale.v1";
    let mut left = object(&bed.full, secret).await.unwrap();
    left["metadata"]["name"] = json!("sh.helm.release.v1.stale.v2");
    left["metadata"]["labels"]["status"] = json!("pending-upgrade");
    left["metadata"]["labels"]["version"] = json!("2");
    left["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    let mut record = crate::records::decode(&left);
    record["version"] = json!(2);
    record["info"]["status"] = json!("pending-upgrade");
    left["data"]["release"] = json!(crate::records::encode(&record));
    bed.full
        .admin()
        .create("/api/v1/namespaces/stale/secrets", &left)
        .await
        .unwrap();

    let blocked = bed
        .upgrade(&digest, "stale", json!({"values": {"message": "new"}}))
        .await;
    let row = only(&blocked, "failed");
    assert_eq!(row["reason"], "Conflict", "{blocked:#}");
    assert!(
        row["message"].as_str().unwrap().contains("force clears it"),
        "{blocked:#}"
    );
    let more = json!({"values": {"message": "new"}, "options": {"force": true}});
    let forced = bed.upgrade(&digest, "stale", more).await;
    assert_eq!(only(&forced, "succeeded")["revision"], 3, "{forced:#}");
    let listed = bed.helm_json(&bed.full, &["list", "-n", "stale"]).await;
    assert_eq!(listed[0]["revision"], "3");
}

//! The gateway killed at every request that a member gets of an upgrade, a rollback and an uninstall.

use optikon_tests::{FakeMember, Gateway, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bed::{Own, PATIENCE, change, finished, merged, only, own, upload, web};
use crate::fleet::Fleet;

/// What is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Upgrade,
    Rollback,
    Uninstall,
}

/// How far a cut came.
#[derive(Debug, PartialEq, Eq)]
enum Cut {
    /// The member got fewer requests than that.
    Over,
    /// The request was one of those before the operation was begun.
    TooEarly,
    Killed,
}

struct Case<'a> {
    fleet: &'a Fleet,
    digest: &'a str,
    verb: Verb,
    release: String,
}

impl Case<'_> {
    fn member(&self) -> &FakeMember {
        &self.fleet.members[0]
    }

    /// Everything of a release happens in its namespace.
    fn namespace(&self) -> String {
        format!("ns-{}", self.release)
    }

    fn body(&self, more: Value) -> Value {
        let base = json!({"release": {"namespace": self.namespace()}, "options": {"createNamespace": true}});
        let more = merged(base, more);
        self.fleet.request(self.digest, &self.release, more)
    }

    /// The request that is cut off.
    fn asked(&self) -> (Method, String, Value) {
        let (release, namespace) = (&self.release, self.namespace());
        let path = format!("/charts/{release}");
        match self.verb {
            Verb::Upgrade => {
                let body = self.body(json!({"values": {"message": "second"}}));
                (Method::PUT, path, body)
            }
            Verb::Rollback => {
                let body = json!({"namespace": namespace, "targets": {"selector": format!("fleet={}", self.fleet.name)}});
                (Method::POST, format!("{path}/rollback"), body)
            }
            Verb::Uninstall => {
                let of = format!(
                    "?namespace={namespace}&labelSelector=fleet%3D{}",
                    self.fleet.name
                );
                (Method::DELETE, path + &of, Value::Null)
            }
        }
    }

    /// The release as the verb finds it.
    async fn prepare(&self, gateway: &Gateway) {
        let made = self.body(json!({"values": {"message": "first", "extra": true}}));
        let done = change(gateway, Method::POST, "/charts", &made)
            .await
            .unwrap();
        only(&done, "succeeded");
        if self.verb == Verb::Rollback {
            let path = format!("/charts/{}", self.release);
            let body = self.body(json!({"values": {"message": "second"}}));
            let done = change(gateway, Method::PUT, &path, &body).await.unwrap();
            only(&done, "succeeded");
        }
    }

    /// Statuses of the release's revisions, by their labels, oldest first.
    fn revisions(&self) -> Vec<String> {
        let part = format!("/secrets/sh.helm.release.v1.{}.v", self.release);
        let kept = self
            .member()
            .kept()
            .into_iter()
            .filter(|p| p.contains(&part));
        let status = |path: String| {
            let object = self.member().object(&path).unwrap();
            object["metadata"]["labels"]["status"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        kept.map(status).collect()
    }

    fn map(&self, name: &str) -> Option<Value> {
        let (namespace, release) = (self.namespace(), &self.release);
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{release}-{name}");
        self.member().object(&path)
    }

    fn assert_done_once(&self, done: &Value) {
        let row = only(done, "succeeded");
        let message = self
            .map("settings")
            .map(|map| map["data"]["message"].clone());
        match self.verb {
            Verb::Upgrade => {
                assert_eq!(row["revision"], 2, "{done:#}");
                assert_eq!(self.revisions(), ["superseded", "deployed"], "{done:#}");
                assert_eq!(message, Some(json!("second")));
                assert!(self.map("extra").is_none(), "what was dropped is gone");
            }
            Verb::Rollback => {
                assert_eq!(row["revision"], 3, "{done:#}");
                let revisions = ["superseded", "superseded", "deployed"];
                assert_eq!(self.revisions(), revisions, "{done:#}");
                assert_eq!(message, Some(json!("first")));
                assert!(self.map("extra").is_some(), "what was dropped is back");
            }
            Verb::Uninstall => {
                let namespace = format!("/namespaces/{}/", self.namespace());
                let left: Vec<_> = self.member().kept();
                let left: Vec<_> = left.iter().filter(|p| p.contains(&namespace)).collect();
                assert!(left.is_empty(), "{left:?}");
            }
        }
    }
}

async fn cut(own: &mut Own, case: &Case<'_>, pass: usize, is_after: bool) -> Cut {
    case.prepare(&own.gateway).await;
    let member = case.member();
    member.hold(&case.namespace(), pass, is_after);
    let (method, path, body) = case.asked();
    let client = own.gateway.client().unwrap().clone();
    let mut begun = tokio::task::JoinSet::new();
    begun.spawn(async move { client.json(method, &path, &body).await?.success() });
    let kind = format!("{:?}", case.verb).to_lowercase();
    let named = format!("/operations?release={}", case.release);
    // Held, or over, whichever comes first; and whether the operation was begun by then.
    let (is_held, is_begun) = wait_for("a held request, or the end", PATIENCE, || async {
        let is_held = member.held() > 0;
        let list = own.gateway.client()?.read(&named).await?;
        let all = list["items"].as_array().cloned().unwrap_or_default();
        let ours = all.iter().find(|o| o["kind"] == kind.as_str());
        let is_over = ours.is_some_and(|o| o["finishedMs"].is_number());
        Ok((is_held || is_over).then_some((is_held, ours.is_some())))
    })
    .await
    .unwrap();
    if is_held && is_begun {
        let begun = begun.join_next().await.unwrap().unwrap().unwrap();
        own.gateway.kill().unwrap();
        member.release();
        own.gateway.start_again().await.unwrap();
        case.assert_done_once(&finished(&own.gateway, &begun).await.unwrap());
        return Cut::Killed;
    }
    member.release();
    let begun = begun.join_next().await.unwrap().unwrap().unwrap();
    case.assert_done_once(&finished(&own.gateway, &begun).await.unwrap());
    if is_held { Cut::TooEarly } else { Cut::Over }
}

/// Every request, before and after its effect; without `--full` one of both in turns, and every second request.
async fn cut_everywhere(verb: Verb, fleet: &'static str) {
    let is_full = std::env::var_os("OPTIKON_TEST_FULL").is_some();
    let mut own = own(Gateway::builder()).await;
    let fleet = Fleet::start(&own.gateway, fleet, 1).await;
    let digest = upload(&own.gateway, web("1.0.0")).await.unwrap();
    let mut kills = 0;
    let ways = if is_full { &[false, true][..] } else { &[true] };
    for is_after in ways {
        for pass in (0..).step_by(if is_full { 1 } else { 2 }) {
            let is_after = if is_full { *is_after } else { pass % 4 == 0 };
            let case = Case {
                fleet: &fleet,
                digest: &digest,
                verb,
                release: format!("cut-{pass}-{is_after}"),
            };
            match cut(&mut own, &case, pass, is_after).await {
                Cut::Over => break,
                Cut::TooEarly => {}
                Cut::Killed => kills += 1,
            }
        }
    }
    assert!(kills >= 4, "only {kills} requests were cut off");
    println!("{verb:?}: killed at {kills} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_was_killed_at_any_request_is_finished_and_done_once() {
    cut_everywhere(Verb::Upgrade, "cut-upgrade").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_was_killed_at_any_request_is_finished_and_done_once() {
    cut_everywhere(Verb::Rollback, "cut-rollback").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uninstall_that_was_killed_at_any_request_is_finished_and_done_once() {
    cut_everywhere(Verb::Uninstall, "cut-uninstall").await;
}

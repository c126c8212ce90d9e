//! Whole looks, on recorded answers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod fake;

use std::{cell::RefCell, collections::VecDeque};

use fake::{many_nodes, ok, query};
use futures::executor::block_on;
use optikon_plugin_sdk::{
    Fault, Mapping, Refusal, Request, Requester, Response,
    prober::{Depth, Observation, Verdict},
    testing::FakeApi,
};
use prober_kubernetes::{look::look, member::Member, time::Time};
use serde_json::{Value, json};

/// 15 November 1994, 08:12:31.
const NOW_MS: u64 = 784_887_151_500;

struct At(Option<u64>);

impl Time for At {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }
    fn remaining_ms(&self) -> Option<u64> {
        self.0
    }
}

fn probe(api: &impl Requester, depth: Depth) -> (Observation, Value) {
    let member = Member {
        connection: api,
        time: &At(Some(10_000)),
    };
    let seen = block_on(look(member, depth));
    let status = serde_json::from_str(&seen.status).unwrap();
    (seen, status)
}

fn list(items: &Value) -> String {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}).to_string()
}

fn refused() -> &'static str {
    r#"{"kind":"Status","status":"Failure","reason":"Forbidden","message":"User \"x\" cannot list","code":403}"#
}

const VERSION: &str =
    r#"{"major":"1","minor":"37","gitVersion":"v1.37.2","platform":"linux/amd64"}"#;
const LISTS: [&str; 9] = [
    "/api/v1/nodes",
    "/api/v1/pods",
    "/api/v1/namespaces",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/replicasets",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
];

fn reached() -> FakeApi {
    FakeApi::new()
        .answer("GET", "/version", 200, VERSION)
        .answer("GET", "/readyz", 200, "ok")
}

/// A small cluster with something of everything.
fn cluster() -> FakeApi {
    let meta = |name: &str| json!({"name": name, "namespace": "default"});
    let nodes = json!([
        {"metadata": {"name": "b", "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": ""}},
         "spec": {"unschedulable": true},
         "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}],
            "nodeInfo": {"kubeletVersion": "v1.37.1"}, "capacity": {"cpu": "4"}, "allocatable": {"cpu": "3"}}},
        {"metadata": {"name": "a", "labels": null}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}},
        {"metadata": {"name": "c"}, "status": {}},
    ]);
    let pod = |phase: &str, waiting: Option<&str>| {
        let state = waiting.map_or(
            json!({"running": {}}),
            |reason| json!({"waiting": {"reason": reason}}),
        );
        json!({"metadata": meta("p"), "status": {"phase": phase, "containerStatuses": [{"state": state}]}})
    };
    let pods = json!([
        pod("Running", None),
        pod("Running", Some("CrashLoopBackOff")),
        pod("Pending", Some("ImagePullBackOff")),
        pod("Succeeded", None),
        {"metadata": meta("q"), "status": {"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}},
    ]);
    let replicas = |name: &str, wanted: u64, ready: u64| json!({"metadata": meta(name), "spec": {"replicas": wanted}, "status": {"readyReplicas": ready}});
    let mut owned = replicas("web-1", 3, 2);
    owned["metadata"]["ownerReferences"] =
        json!([{"kind": "Deployment", "name": "web", "uid": "u"}]);
    reached()
        .answer("GET", "/api/v1/namespaces/kube-system", 200, r#"{"metadata":{"name":"kube-system","uid":"id-1"}}"#)
        .answer("GET", "/api/v1/nodes", 200, list(&nodes))
        .answer("GET", "/api/v1/pods", 200, list(&pods))
        .answer("GET", "/api/v1/namespaces", 200,
            r#"{"kind":"PartialObjectMetadataList","metadata":{"continue":"x","remainingItemCount":6},"items":[{}]}"#)
        .answer("GET", "/apis/apps/v1/deployments", 200, list(&json!([replicas("web", 3, 2)])))
        .answer("GET", "/apis/apps/v1/statefulsets", 200, list(&json!([replicas("db", 1, 1)])))
        .answer("GET", "/apis/apps/v1/daemonsets", 200,
            list(&json!([{"metadata": meta("log"), "status": {"desiredNumberScheduled": 3, "numberReady": 1}}])))
        .answer("GET", "/apis/apps/v1/replicasets", 200, list(&json!([owned, replicas("lone", 0, 0)])))
        .answer("GET", "/apis/batch/v1/jobs", 200,
            list(&json!([{"metadata": meta("once"), "spec": {"completions": 2}, "status": {"succeeded": 2, "active": 1}}])))
        .answer("GET", "/apis/batch/v1beta1/cronjobs", 200,
            list(&json!([{"metadata": meta("nightly"), "spec": {"suspend": true}, "status": {"active": [{}]}}])))
        .answer("GET", "/apis", 200, json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "freshness": "Current"}]},
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale"}]},
        ]}).to_string())
}

#[test]
fn a_whole_look_shows_what_kubectl_shows() {
    let (seen, status) = probe(&cluster(), Depth::Workloads);
    assert_eq!((seen.verdict, seen.reason.as_str()), (Verdict::Ready, ""));
    assert_eq!(
        status["kubernetes"],
        json!({"version": "v1.37.2", "platform": "linux/amd64"})
    );
    assert_eq!(status["identity"], "id-1");
    assert_eq!(status["checks"], json!([]));
    assert_eq!(status["namespaces"], 7);
    assert_eq!(status["staleGroups"], json!(["metrics.k8s.io"]));
    assert_eq!(status["nodeCounts"], json!({"total": 3, "ready": 1}));
    assert_eq!(
        status["nodes"][1],
        json!({"name": "b", "ready": "False", "reason": "KubeletNotReady", "roles": ["edge", "worker"],
            "version": "v1.37.1", "unschedulable": true, "capacity": {"cpu": "4"}, "allocatable": {"cpu": "3"}})
    );
    assert_eq!(status["nodes"][2]["ready"], "Unknown");
    assert_eq!(
        status["pods"],
        json!({"total": 5, "byPhase": {"Running": 2, "Pending": 2, "Succeeded": 1},
            "byWaitingReason": {"CrashLoopBackOff": 1, "ImagePullBackOff": 1, "Unschedulable": 1}})
    );
    let rows: Vec<String> = status["workloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| {
            format!(
                "{} {} {}/{}",
                w["kind"], w["name"], w["ready"], w["desired"]
            )
            .replace('"', "")
        })
        .collect();
    assert_eq!(
        rows,
        [
            "CronJob nightly 1/1",
            "DaemonSet log 1/3",
            "Deployment web 2/3",
            "Job once 2/2",
            "ReplicaSet lone 0/0",
            "StatefulSet db 1/1"
        ]
    );
    assert_eq!(status["workloads"][0]["suspended"], true);
    assert_eq!(status["workloadCounts"], json!({"total": 6, "ready": 4}));
    assert_eq!(status["parts"], Value::Null);
}

#[test]
fn each_depth_asks_for_no_more_than_it_shows() {
    let asked = |depth| {
        let api = cluster();
        probe(&api, depth);
        api.asked().into_iter().map(|r| r.path).collect::<Vec<_>>()
    };
    assert_eq!(
        asked(Depth::Reach),
        ["/version", "/readyz", "/api/v1/namespaces/kube-system"]
    );
    let nodes = asked(Depth::Nodes);
    assert_eq!(nodes.len(), 4);
    assert!(nodes.contains(&"/api/v1/nodes".to_owned()));
    assert!(
        asked(Depth::Workloads)
            .iter()
            .all(|path| !path.contains("secrets"))
    );
}

#[test]
fn a_fault_of_the_first_request_is_the_verdict() {
    for (word, verdict, reason) in [
        ("connect", Verdict::Unreachable, "Connect"),
        ("tls-expired", Verdict::Unreachable, "TlsExpired"),
        ("timeout", Verdict::Unreachable, "Timeout"),
        ("unauthorized", Verdict::NotReady, "Unauthorized"),
        ("credential-unbound", Verdict::Unknown, "CredentialUnbound"),
    ] {
        let api = FakeApi::new().fail("GET", "/version", word);
        let (seen, _) = probe(&api, Depth::Workloads);
        assert_eq!((seen.verdict, seen.reason.as_str()), (verdict, reason));
        assert_eq!(api.asked().len(), 1, "the silent are left alone");
    }
}

#[test]
fn what_is_not_kubernetes_is_said_so() {
    let api = FakeApi::new().answer("GET", "/version", 200, "<html>hello</html>");
    let (seen, _) = probe(&api, Depth::Workloads);
    assert_eq!(
        (seen.verdict, seen.reason.as_str()),
        (Verdict::Unreachable, "NotKubernetes")
    );
}

#[test]
fn failing_checks_make_it_unhealthy_and_the_rest_is_still_shown() {
    let body = include_str!("../../fixtures/readyz-etcd-dead.txt");
    let api = cluster().answer("GET", "/readyz", 500, body);
    let (seen, status) = probe(&api, Depth::Nodes);
    assert_eq!(
        (seen.verdict, seen.reason.as_str()),
        (Verdict::NotReady, "Unhealthy")
    );
    assert_eq!(seen.message, "failing checks: etcd, etcd-readiness");
    assert_eq!(status["checks"][0]["name"], "etcd");
    assert_eq!(status["nodeCounts"]["total"], 3);
}

#[test]
fn old_and_closed_health_endpoints_fall_back() {
    let api = cluster()
        .answer("GET", "/readyz", 403, refused())
        .answer("GET", "/healthz", 200, "ok");
    assert_eq!(probe(&api, Depth::Reach).1["checks"], json!([]));
    let mut api = cluster();
    for path in ["/readyz", "/healthz", "/livez"] {
        api = api.answer("GET", path, 403, refused());
    }
    let (seen, status) = probe(&api, Depth::Reach);
    assert_eq!(
        seen.verdict,
        Verdict::Ready,
        "unknown health is no sickness"
    );
    assert_eq!(status["parts"]["health"]["reason"], "Forbidden");
    let silent = cluster().fail("GET", "/readyz", "timeout");
    let (seen, _) = probe(&silent, Depth::Reach);
    assert_eq!(
        (seen.verdict, seen.reason.as_str()),
        (Verdict::NotReady, "Timeout")
    );
}

#[test]
fn a_missing_right_costs_its_part_only() {
    let api = cluster()
        .answer("GET", "/api/v1/nodes", 403, refused())
        .answer("GET", "/apis/batch/v1/jobs", 403, refused());
    let (seen, status) = probe(&api, Depth::Workloads);
    assert_eq!(seen.verdict, Verdict::Ready);
    assert_eq!(status["parts"]["nodes"]["reason"], "Forbidden");
    assert_eq!(status.get("nodes"), None);
    assert_eq!(status["parts"]["workloads"]["reason"], "Forbidden");
    assert!(
        status["parts"]["workloads"]["message"]
            .as_str()
            .unwrap()
            .starts_with("Job: ")
    );
    assert_eq!(status["workloadCounts"]["total"], 5);
}

#[test]
fn no_right_at_all_is_the_verdict_at_every_depth() {
    let mut api = reached().answer("GET", "/api/v1/namespaces/kube-system", 403, refused());
    for path in LISTS {
        api = api.answer("GET", path, 403, refused());
    }
    for depth in [Depth::Reach, Depth::Nodes, Depth::Workloads] {
        let (seen, _) = probe(&api, depth);
        assert_eq!(
            (seen.verdict, seen.reason.as_str()),
            (Verdict::NotReady, "Forbidden"),
            "{depth:?}"
        );
    }
    let few = api.answer("GET", "/apis/apps/v1/deployments", 200, list(&json!([])));
    for depth in [Depth::Reach, Depth::Nodes, Depth::Workloads] {
        assert_eq!(probe(&few, depth).0.verdict, Verdict::Ready, "{depth:?}");
    }
}

/// Answers with a function of the request.
struct Scripted<F>(F, RefCell<Vec<Request>>);

impl<F: Fn(&Request) -> Result<Response, Fault>> Requester for Scripted<F> {
    type Lines = VecDeque<Result<Vec<u8>, Fault>>;
    async fn request(&self, request: Request) -> Result<Response, Fault> {
        let answer = (self.0)(&request);
        self.1.borrow_mut().push(request);
        answer
    }
    async fn lines(&self, _: Request) -> Result<Self::Lines, Refusal> {
        Ok(VecDeque::new())
    }
    async fn mapping(&self, _: &str, _: &str, _: &str) -> Result<Option<Mapping>, Fault> {
        Ok(None)
    }
}
#[test]
fn lists_are_read_page_by_page_in_portions_that_fit() {
    for (most, total, reason) in [
        (500, 1_200, Value::Null),
        (100, 1_200, Value::Null),
        (7, 160 * 7, "TooLarge".into()),
    ] {
        let api = Scripted(many_nodes(most, u64::MAX), RefCell::default());
        let (_, status) = probe(&api, Depth::Nodes);
        assert_eq!(status["nodeCounts"]["total"], total);
        assert_eq!(status["parts"]["nodes"]["reason"], reason);
        assert_eq!(status["nodes"][7]["name"], "n0007");
    }
}

#[test]
fn what_came_before_a_failure_is_shown() {
    let api = Scripted(many_nodes(500, 1_000), RefCell::default());
    let (seen, status) = probe(&api, Depth::Nodes);
    assert_eq!(seen.verdict, Verdict::Ready);
    assert_eq!(status["nodeCounts"]["total"], 1_000);
    assert_eq!(status["parts"]["nodes"]["reason"], "Timeout");
    assert_eq!(status["truncated"], true);
}

#[test]
fn the_clock_and_the_phases_are_those_of_the_first_answer() {
    let api = Scripted(many_nodes(500, 0), RefCell::default());
    let (_, status) = probe(&api, Depth::Reach);
    assert_eq!(status["clockSkewMs"], 60_000);
    assert_eq!(status["probe"]["phasesMs"], json!({"firstByte": 3}));
}

#[test]
fn no_request_outlives_the_call() {
    let api = Scripted(many_nodes(500, u64::MAX), RefCell::default());
    let look_with = |left| {
        let member = Member {
            connection: &api,
            time: &At(Some(left)),
        };
        block_on(look(member, Depth::Workloads))
    };
    look_with(2_000);
    assert!(
        api.1
            .borrow()
            .iter()
            .all(|request| request.timeout_ms <= Some(1_700))
    );
    let seen = look_with(100);
    assert_eq!(
        (seen.verdict, seen.reason.as_str()),
        (Verdict::Unreachable, "Timeout")
    );
}

#[test]
fn tables_are_read_by_the_names_of_their_columns() {
    let api = Scripted(
        |request: &Request| {
            let is_table = request
                .accept
                .as_deref()
                .is_some_and(|accept| accept.contains("as=Table"));
            match (request.path.as_str(), query(request, "fieldSelector")) {
                ("/version", _) => ok(VERSION),
                ("/api/v1/pods", Some("status.phase=Running")) if is_table => {
                    ok(include_str!("../../fixtures/pods-running-table.json"))
                }
                ("/api/v1/pods", Some("status.phase=Succeeded")) if is_table => ok(
                    r#"{"kind":"Table","columnDefinitions":[{"name":"Name"},{"name":"Status"}],"rows":[{"cells":["x","Completed"]}]}"#,
                ),
                ("/apis/apps/v1/replicasets", _) if is_table => {
                    ok(include_str!("../../fixtures/replicasets-table.json"))
                }
                _ => ok(r#"{"metadata":{},"items":null}"#),
            }
        },
        RefCell::default(),
    );
    let (_, status) = probe(&api, Depth::Workloads);
    assert_eq!(
        status["pods"]["byPhase"],
        json!({"Running": 3, "Succeeded": 1})
    );
    assert_eq!(
        status["pods"]["byWaitingReason"],
        json!({"CrashLoopBackOff": 1})
    );
    assert_eq!(
        status["workloads"],
        json!([{"kind": "ReplicaSet", "namespace": "default", "name": "lone", "desired": 2, "ready": 1}])
    );
}

#[test]
fn a_server_without_tables_or_aggregated_discovery_is_asked_again_plainly() {
    let api = Scripted(
        |request: &Request| {
            if request.accept.is_some() {
                return Ok(Response {
                    status: 406,
                    headers: vec![],
                    body: vec![],
                    phase_ms: vec![],
                });
            }
            match request.path.as_str() {
                "/version" => ok(VERSION),
                "/apis" => ok(r#"{"kind":"APIGroupList","groups":[
                    {"name":"apps","preferredVersion":{"groupVersion":"apps/v1"}},
                    {"name":"metrics.k8s.io","preferredVersion":{"groupVersion":"metrics.k8s.io/v1beta1"}}]}"#),
                "/apis/metrics.k8s.io/v1beta1" => Ok(Response {
                    status: 503,
                    headers: vec![],
                    body: vec![],
                    phase_ms: vec![],
                }),
                "/api/v1/pods" => ok(r#"{"items":[{"status":{"phase":"Running"}}]}"#),
                _ => ok(r#"{"items":[]}"#),
            }
        },
        RefCell::default(),
    );
    let (_, status) = probe(&api, Depth::Workloads);
    assert_eq!(status["staleGroups"], json!(["metrics.k8s.io"]));
    assert_eq!(status["pods"]["byPhase"], json!({"Running": 1}));
}

#[test]
fn nonsense_is_a_problem_of_its_part_and_never_a_panic() {
    for body in [
        "",
        "null",
        "[]",
        "{\"items\": 3}",
        "{\"items\":[{}]}",
        &"[".repeat(100_000),
        "\u{0}",
    ] {
        let api = Scripted(
            |request: &Request| match request.path.as_str() {
                "/version" => ok(VERSION),
                _ => ok(body),
            },
            RefCell::default(),
        );
        let (seen, _) = probe(&api, Depth::Workloads);
        assert_eq!(seen.verdict, Verdict::Ready, "{body:.20}");
    }
}

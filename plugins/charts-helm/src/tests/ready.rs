//! When an object is ready: as the library says that Helm waits with.

use serde_json::{Value, json};

use crate::ready::{Readiness, finished, readiness};

/// Pairs of the library's word and an object. The words were made by
/// `jq -c '[.[][1]]' kstatus.json | go run ./kstatus` in `tests/testbed/helm`.
const CASES: &str = include_str!("fixtures/kstatus.json");

fn word(of: &Readiness) -> &'static str {
    match of {
        Readiness::Ready => "Current",
        Readiness::Waiting(_) => "InProgress",
        Readiness::Failed(_) => "Failed",
    }
}

#[test]
fn an_object_is_ready_when_the_library_of_helm_says_so() {
    let cases: Vec<(String, Value)> = serde_json::from_str(CASES).unwrap();
    assert!(cases.len() > 100);
    let mut others = Vec::new();
    for (wanted, object) in cases {
        // What ends is waited for here as there.
        let wanted = wanted.replace("Terminating", "InProgress");
        let found = readiness(&object);
        // Nothing else says of these what became of them, and Helm 3 waits for them.
        let is_older = object["kind"] == "ReplicationController";
        if word(&found) != wanted && !is_older {
            others.push(format!("{wanted}, not {found:?}: {object}"));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}

#[test]
fn a_hook_is_at_its_end_when_its_job_or_pod_is() {
    let job = |conditions: Value| json!({"kind": "Job", "status": {"conditions": conditions}});
    let pod = |phase: &str| json!({"kind": "Pod", "status": {"phase": phase}});
    let is = |name: &str| json!([{"type": name, "status": "True"}]);
    for (object, wanted) in [
        (job(json!([])), "InProgress"),
        (job(is("Complete")), "Current"),
        (job(is("Failed")), "Failed"),
        (job(is("FailureTarget")), "InProgress"),
        (pod("Running"), "InProgress"),
        (pod("Succeeded"), "Current"),
        (pod("Failed"), "Failed"),
        (json!({"kind": "ConfigMap"}), "Current"),
        (json!({"kind": "Deployment"}), "Current"),
    ] {
        assert_eq!(word(&finished(&object)), wanted, "{object}");
    }
}

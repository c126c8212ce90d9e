//! Waiting by watches, and what happens when they end, are refused or are too old.

use optikon_plugin_sdk::ErrorCode;
use serde_json::{Value, json};

use super::{bed::*, server::Script};

const PATH: &str = "/apis/apps/v1/namespaces/demo/deployments";
const TWO: (&str, &str) = (
    "templates/e.yaml",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: e}\nspec: {replicas: 1}\n",
);
const CUSTOM: (&str, &str) = (
    "templates/w.yaml",
    "apiVersion: batch/v1\nkind: Widget\nmetadata: {name: w}\n",
);

fn deployment(name: &str, version: u64, ready: u64) -> Value {
    json!({"type": "MODIFIED", "object": {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "resourceVersion": version.to_string()},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": ready, "availableReplicas": ready,
            "conditions": [{"type": "Available", "status": "True"}]},
    }})
}

fn asked(bed: &Bed, beginning: &str) -> Vec<String> {
    let asked = bed.server.asked.borrow();
    let asked = asked.iter().filter(|a| a.starts_with(beginning));
    asked.cloned().collect()
}

/// Installs a Deployment that becomes ready as the watches tell.
fn told(scripts: Vec<Script>) -> Bed {
    let bed = Bed::default();
    bed.server.watches.borrow_mut().extend(scripts);
    bed.install(&[DEPLOYMENT], &json!({"wait": true})).unwrap();
    bed
}

#[test]
fn a_watch_tells_when_an_object_is_ready() {
    let bed = told(vec![Ok(vec![
        deployment("another", 90, 1),
        json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "95"}}}),
        deployment("d", 98, 0),
        deployment("d", 99, 1),
    ])]);
    assert_eq!(bed.clock.ms.get(), 0, "nobody slept");
    let path = format!("{PATH}/d");
    // To be adopted it must be looked at, and then once for the wait.
    assert_eq!(asked(&bed, &format!("GET {path}")).len(), 2);
    let version = bed.server.get(&path).unwrap()["metadata"]["resourceVersion"].clone();
    assert_eq!(
        asked(&bed, "WATCH"),
        [format!(
            "WATCH {PATH}?resourceVersion={}&fieldSelector=metadata.name=d",
            version.as_str().unwrap()
        )]
    );
}

#[test]
fn objects_of_one_collection_share_a_watch() {
    let bed = Bed::default();
    let events = vec![deployment("e", 98, 1), deployment("d", 99, 1)];
    bed.server.watches.borrow_mut().push_back(Ok(events));
    bed.install(&[DEPLOYMENT, TWO], &json!({"wait": true}))
        .unwrap();
    let watches = asked(&bed, "WATCH");
    assert_eq!(watches.len(), 1, "{watches:?}");
    assert!(!watches[0].contains("fieldSelector"), "{watches:?}");
}

#[test]
fn a_watch_that_is_too_old_ends_or_is_refused_is_begun_again() {
    let expired =
        json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}});
    let ready = || Ok(vec![deployment("d", 99, 1)]);
    for first in [Ok(vec![expired]), Err(410)] {
        let watches = asked(&told(vec![first, ready()]), "WATCH");
        assert!(watches[0].contains("resourceVersion="), "{watches:?}");
        assert!(
            watches[1].contains("?resourceVersion=&"),
            "what is forgotten is not asked for again: {watches:?}"
        );
    }
    for first in [Ok(vec![]), Err(403), Err(500), Err(429)] {
        let bed = told(vec![first, ready()]);
        let path = format!("GET {PATH}/d");
        assert_eq!(asked(&bed, &path).len(), 3, "it was looked at again");
    }
}

#[test]
fn what_a_watch_tells_of_the_time_before_the_last_look_does_not_count() {
    let old = Ok(vec![deployment("d", 0, 1)]);
    let bed = told(vec![old, Ok(vec![deployment("d", 99, 1)])]);
    assert_eq!(asked(&bed, "WATCH").len(), 2);
}

#[test]
fn a_silent_watch_is_given_up_and_so_is_the_wait() {
    let bed = Bed::default();
    let options = json!({"wait": true, "timeoutMs": 100_000});
    let error = bed.install(&[DEPLOYMENT, TWO], &options).unwrap_err();
    assert_eq!(error.code, ErrorCode::Timeout);
    assert!(
        error
            .message
            .contains("Deployment \"d\" in namespace \"demo\": ")
            && error.message.contains("Deployment \"e\""),
        "{}",
        error.message
    );
    assert_eq!(bed.clock.ms.get(), 100_000);
    assert!(asked(&bed, "WATCH").len() < 8);
}

#[test]
fn what_will_never_be_ready_ends_the_wait() {
    let stuck = json!({"type": "MODIFIED", "object": {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "resourceVersion": "99"},
        "status": {"conditions": [{"type": "Progressing", "status": "False",
            "reason": "ProgressDeadlineExceeded", "message": "has timed out progressing"}]},
    }});
    let bed = Bed::default();
    bed.server.watches.borrow_mut().push_back(Ok(vec![stuck]));
    let error = bed
        .install(&[DEPLOYMENT], &json!({"wait": true}))
        .unwrap_err();
    assert!(error.message.contains("timed out"), "{}", error.message);
    assert_eq!(bed.clock.ms.get(), 0);
}

#[test]
fn a_plain_job_has_to_have_started_or_where_that_is_asked_for_to_be_complete() {
    const JOB: (&str, &str) = (
        "templates/j.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n",
    );
    let told = |version: &str, status: Value| {
        json!({"type": "MODIFIED", "object": {"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "j", "resourceVersion": version}, "status": status}})
    };
    let at_end = |condition: &str| {
        json!({"startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": condition, "status": "True", "message": "of its own"}]})
    };
    let started = told("98", json!({"startTime": "2026-01-01T00:00:00Z"}));
    let complete = told("99", at_end("Complete"));
    let wait = |options: Value, events: &[&Value]| {
        let bed = Bed::default();
        let events = events.iter().map(|event| (*event).clone()).collect();
        bed.server.watches.borrow_mut().push_back(Ok(events));
        let done = bed.install(&[A, JOB], &options);
        (done, bed.statuses())
    };
    let plain = json!({"wait": true, "timeoutMs": 5_000});
    let jobs = json!({"wait": true, "waitForJobs": true, "timeoutMs": 5_000});
    let atomic = json!({"atomic": true, "waitForJobs": true, "timeoutMs": 5_000});
    wait(plain.clone(), &[&started]).0.unwrap();
    let (slow, statuses) = wait(jobs.clone(), &[&started]);
    let slow = slow.unwrap_err();
    assert_eq!(slow.code, ErrorCode::Timeout);
    assert!(
        slow.message
            .contains("Job \"j\" in namespace \"demo\": the job is not complete"),
        "{}",
        slow.message
    );
    assert_eq!(statuses, ["1 failed"]);
    wait(jobs.clone(), &[&started, &complete]).0.unwrap();
    wait(atomic, &[&started, &complete]).0.unwrap();
    // Who does not wait does not wait for Jobs.
    wait(json!({"waitForJobs": true}), &[]).0.unwrap();

    let failed = told("99", at_end("Failed"));
    for options in [plain, jobs] {
        let failed = wait(options, &[&failed]).0.unwrap_err();
        let message = &failed.message;
        assert!(message.contains("the job failed: of its own"), "{message}");
    }
}

#[test]
fn a_custom_resource_is_ready_when_its_condition_says_so() {
    let bed = Bed::default();
    *bed.server.touch.borrow_mut() = Some(Box::new(|object| {
        object["status"] =
            json!({"conditions": [{"type": "Ready", "status": "False", "message": "warming up"}]});
    }));
    let widget = |status: &str| {
        json!({"type": "MODIFIED", "object": {"kind": "Widget", "apiVersion": "batch/v1",
            "metadata": {"name": "w", "resourceVersion": "99"},
            "status": {"conditions": [{"type": "Ready", "status": status}]}}})
    };
    let events = Ok(vec![widget("Unknown"), widget("True")]);
    bed.server.watches.borrow_mut().push_back(events);
    bed.install(&[CUSTOM], &json!({"wait": true})).unwrap();
    assert_eq!(bed.clock.ms.get(), 0);
}

//! Whether a present object is as it should be: the rules of kstatus, the library that Helm 4 waits with, for the built-in
//! kinds, conditions for the rest. Of an object itself: the pods of a workload are not looked at.

use serde_json::Value;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// As it should be.
    Ready,
    /// Not yet; why.
    Waiting(String),
    /// It will not be; why.
    Failed(String),
}

use Readiness::{Failed, Ready, Waiting};

fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Status, reason and message of a condition.
fn condition<'a>(value: &'a Value, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let conditions = value.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|c| text(c, "/type") == name)?;
    Some((
        text(found, "/status"),
        text(found, "/reason"),
        text(found, "/message"),
    ))
}

fn is_true(value: &Value, name: &str) -> bool {
    condition(value, name).is_some_and(|(status, ..)| status == "True")
}

/// How far a present object is.
#[must_use]
pub fn readiness(value: &Value) -> Readiness {
    if let Some(early) = by_standards(value) {
        return early;
    }
    let group = text(value, "/apiVersion")
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    match (group, text(value, "/kind")) {
        ("apps", "Deployment") => deployment(value),
        ("apps", "StatefulSet") => stateful_set(value),
        ("apps", "DaemonSet") => daemon_set(value),
        // The library does not know the older one; it counts the same way, and Helm 3 waits for it.
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(value),
        ("", "Pod") => pod(value),
        ("", "PersistentVolumeClaim") => match text(value, "/status/phase") {
            "Bound" => Ready,
            phase => Waiting(format!("the claim is {}", or(phase, "not bound"))),
        },
        ("", "Service") => service(value),
        ("batch", "Job") => job_started(value),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(value),
        // Seen by its controller is all that is asked: a budget may be for pods that come later.
        ("policy", "PodDisruptionBudget") | ("batch", "CronJob") | ("", "ConfigMap" | "Secret") => {
            Ready
        }
        _ => by_condition(value),
    }
}

/// What is asked of every kind.
fn by_standards(value: &Value) -> Option<Readiness> {
    if !text(value, "/metadata/deletionTimestamp").is_empty() {
        return Some(Waiting("is being deleted".into()));
    }
    if let (Some(observed), Some(wanted)) = (
        number(value, "/status/observedGeneration"),
        number(value, "/metadata/generation"),
    ) && observed != wanted
    {
        let why = "its controller has not seen the change yet";
        return Some(Waiting(why.into()));
    }
    let conditions = value.pointer("/status/conditions")?.as_array()?;
    let mut true_ones = conditions.iter().filter(|c| text(c, "/status") == "True");
    true_ones.find_map(|c| match text(c, "/type") {
        "Reconciling" => {
            let why = or(text(c, "/message"), "it is being reconciled");
            Some(Waiting(why.into()))
        }
        "Stalled" => Some(Failed(or(text(c, "/message"), "it is stalled").into())),
        _ => None,
    })
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn status(value: &Value, key: &str) -> i64 {
    number(value, &format!("/status/{key}")).unwrap_or(0)
}

fn replicas(value: &Value) -> i64 {
    number(value, "/spec/replicas").unwrap_or(1)
}

/// Why not, where there are fewer than wanted.
fn fewer(value: &Value, key: &str, wanted: i64, what: &str) -> Option<Readiness> {
    let present = status(value, key);
    (present < wanted).then(|| Waiting(format!("{present} of {wanted} {what}")))
}

/// Why not, where there are more than wanted.
fn more(value: &Value, wanted: i64) -> Option<Readiness> {
    let extra = status(value, "replicas").saturating_sub(wanted);
    (extra > 0).then(|| Waiting(format!("{extra} old replicas are still there")))
}

fn deployment(value: &Value) -> Readiness {
    // Helm leaves it out: nobody works on it.
    if value.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Ready;
    }
    let progress = condition(value, "Progressing");
    if let Some((_, "ProgressDeadlineExceeded", message)) = progress {
        return Failed(or(message, "its progress deadline passed").into());
    }
    let wanted = replicas(value);
    let short = fewer(value, "replicas", wanted, "replicas made")
        .or_else(|| fewer(value, "updatedReplicas", wanted, "replicas updated"))
        .or_else(|| more(value, wanted))
        .or_else(|| {
            let updated = status(value, "updatedReplicas");
            fewer(value, "availableReplicas", updated, "replicas available")
        })
        .or_else(|| fewer(value, "readyReplicas", wanted, "replicas ready"));
    if let Some(short) = short {
        return short;
    }
    // Without a deadline its controller says nothing of its progress.
    let deadline = number(value, "/spec/progressDeadlineSeconds");
    let has_deadline = deadline.is_some_and(|d| d != i64::from(i32::MAX));
    let is_rolled_out = matches!(progress, Some(("True", "NewReplicaSetAvailable", _)));
    if has_deadline && !is_rolled_out {
        return Waiting("it is being rolled out".into());
    }
    if is_true(value, "Available") {
        Ready
    } else {
        Waiting("it is not available".into())
    }
}

fn stateful_set(value: &Value) -> Readiness {
    if text(value, "/spec/updateStrategy/type") == "OnDelete" {
        return Ready;
    }
    let wanted = replicas(value);
    let short = fewer(value, "replicas", wanted, "replicas made")
        .or_else(|| fewer(value, "readyReplicas", wanted, "replicas ready"))
        .or_else(|| more(value, wanted));
    if let Some(short) = short {
        return short;
    }
    if let Some(partition) = number(value, "/spec/updateStrategy/rollingUpdate/partition") {
        let part = wanted.saturating_sub(partition);
        return fewer(value, "updatedReplicas", part, "replicas updated").unwrap_or(Ready);
    }
    if let Some(short) = fewer(value, "currentReplicas", wanted, "replicas current") {
        return short;
    }
    if text(value, "/status/currentRevision") == text(value, "/status/updateRevision") {
        Ready
    } else {
        Waiting("it is being rolled out".into())
    }
}

fn daemon_set(value: &Value) -> Readiness {
    let is_seen = number(value, "/status/observedGeneration")
        .and(number(value, "/metadata/generation"))
        .and(number(value, "/status/desiredNumberScheduled"));
    let Some(wanted) = is_seen else {
        return Waiting("its controller has not seen it yet".into());
    };
    fewer(value, "currentNumberScheduled", wanted, "pods scheduled")
        .or_else(|| fewer(value, "updatedNumberScheduled", wanted, "pods updated"))
        .or_else(|| fewer(value, "numberAvailable", wanted, "pods available"))
        .or_else(|| fewer(value, "numberReady", wanted, "pods ready"))
        .unwrap_or(Ready)
}

fn replica_set(value: &Value) -> Readiness {
    let wanted = replicas(value);
    if let Some(("True", _, message)) = condition(value, "ReplicaFailure") {
        return Waiting(message.into());
    }
    fewer(value, "fullyLabeledReplicas", wanted, "replicas labelled")
        .or_else(|| fewer(value, "availableReplicas", wanted, "replicas available"))
        .or_else(|| fewer(value, "readyReplicas", wanted, "replicas ready"))
        .or_else(|| more(value, wanted))
        .unwrap_or(Ready)
}

/// One that ended is not waited for, however it ended: nothing becomes of it any more.
fn pod(value: &Value) -> Readiness {
    match text(value, "/status/phase") {
        "Succeeded" | "Failed" => Ready,
        "Running" if is_true(value, "Ready") => Ready,
        "Running" => match crashing(value) {
            Some(name) => Failed(format!("its container {name} crashes again and again")),
            None => Waiting("the pod is not ready".into()),
        },
        phase => Waiting(format!("the pod is {}", or(phase, "not started"))),
    }
}

/// The first container that is started again and again.
fn crashing(value: &Value) -> Option<&str> {
    let containers = value.pointer("/status/containerStatuses")?.as_array()?;
    let is_crashing = |c: &&Value| text(c, "/state/waiting/reason") == "CrashLoopBackOff";
    containers
        .iter()
        .find(is_crashing)
        .map(|c| text(c, "/name"))
}

fn service(value: &Value) -> Readiness {
    let is_balancer = text(value, "/spec/type") == "LoadBalancer";
    if is_balancer && text(value, "/spec/clusterIP").is_empty() {
        return Waiting("it has no address yet".into());
    }
    Ready
}

fn definition(value: &Value) -> Readiness {
    if let Some(("False", _, message)) = condition(value, "NamesAccepted") {
        return Failed(format!("its names are not accepted: {message}"));
    }
    match condition(value, "Established") {
        Some(("True", ..)) => Ready,
        Some(("False", reason, message)) if reason != "Installing" => {
            Failed(format!("it cannot be established: {}", or(message, reason)))
        }
        _ => Waiting("it is not established".into()),
    }
}

fn job_started(value: &Value) -> Readiness {
    match finished(value) {
        Waiting(_) if !text(value, "/status/startTime").is_empty() => Ready,
        other => other,
    }
}

/// The same, where a Job has to have run to its end rather than to have started.
#[must_use]
pub fn readiness_with_jobs(value: &Value) -> Readiness {
    let is_job = text(value, "/apiVersion").starts_with("batch/") && text(value, "/kind") == "Job";
    match readiness(value) {
        Ready if is_job => finished(value),
        other => other,
    }
}

fn by_condition(value: &Value) -> Readiness {
    match condition(value, "Ready") {
        Some(("False" | "Unknown", reason, message)) => {
            Waiting(or(message, or(reason, "it is not ready")).into())
        }
        _ => Ready,
    }
}

/// Whether a Job or a Pod ran to its end; everything else is at its end at once.
#[must_use]
pub fn finished(value: &Value) -> Readiness {
    match text(value, "/kind") {
        "Job" => {
            if let Some(("True", reason, message)) = condition(value, "Failed") {
                return Failed(format!("the job failed: {}", or(message, reason)));
            }
            if is_true(value, "Complete") {
                Ready
            } else {
                Waiting("the job is not complete".into())
            }
        }
        "Pod" => match text(value, "/status/phase") {
            "Succeeded" => Ready,
            "Failed" => Failed(or(text(value, "/status/message"), "the pod failed").into()),
            phase => Waiting(format!("the pod is {}", or(phase, "not started"))),
        },
        _ => Ready,
    }
}

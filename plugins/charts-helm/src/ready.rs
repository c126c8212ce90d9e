//! Whether a present object is as it should be: the rules of kstatus for the built-in kinds, conditions for the rest.

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
    if !text(value, "/metadata/deletionTimestamp").is_empty() {
        return Waiting("is being deleted".into());
    }
    if let (Some(observed), Some(wanted)) = (
        number(value, "/status/observedGeneration"),
        number(value, "/metadata/generation"),
    ) && observed < wanted
    {
        return Waiting("its controller has not seen the change yet".into());
    }
    let group = text(value, "/apiVersion")
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    match (group, text(value, "/kind")) {
        ("apps", "Deployment") => deployment(value),
        ("apps", "StatefulSet") => stateful_set(value),
        ("apps", "DaemonSet") => daemon_set(value),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(value),
        ("", "Pod") => pod(value),
        ("", "PersistentVolumeClaim") => match text(value, "/status/phase") {
            "Bound" => Ready,
            phase => Waiting(format!("the claim is {}", or(phase, "not bound"))),
        },
        ("", "Service") => service(value),
        ("batch", "Job") => job_started(value),
        ("policy", "PodDisruptionBudget") => disruption_budget(value),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(value),
        _ => by_conditions(value),
    }
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn count(value: &Value, key: &str, wanted: i64, what: &str) -> Option<Readiness> {
    let present = number(value, &format!("/status/{key}")).unwrap_or(0);
    (present < wanted).then(|| Waiting(format!("{present} of {wanted} {what}")))
}

fn deployment(value: &Value) -> Readiness {
    if value.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Ready;
    }
    if let Some((status, reason, message)) = condition(value, "Progressing")
        && status == "False"
        && reason == "ProgressDeadlineExceeded"
    {
        return Failed(or(message, "its progress deadline passed").into());
    }
    if number(value, "/status/observedGeneration").is_none() {
        return Waiting("its controller has not seen it yet".into());
    }
    let wanted = number(value, "/spec/replicas").unwrap_or(1);
    let updated = number(value, "/status/updatedReplicas").unwrap_or(0);
    if let Some(short) = count(value, "updatedReplicas", wanted, "replicas updated") {
        return short;
    }
    let old = number(value, "/status/replicas")
        .unwrap_or(0)
        .saturating_sub(updated);
    if old > 0 {
        return Waiting(format!("{old} old replicas are still there"));
    }
    count(value, "readyReplicas", wanted, "replicas ready")
        .or_else(|| count(value, "availableReplicas", wanted, "replicas available"))
        .unwrap_or(Ready)
}

fn stateful_set(value: &Value) -> Readiness {
    if text(value, "/spec/updateStrategy/type") == "OnDelete" {
        return Ready;
    }
    if number(value, "/status/observedGeneration").is_none() {
        return Waiting("its controller has not seen it yet".into());
    }
    let wanted = number(value, "/spec/replicas").unwrap_or(1);
    let short = count(value, "replicas", wanted, "replicas made")
        .or_else(|| count(value, "readyReplicas", wanted, "replicas ready"));
    if let Some(short) = short {
        return short;
    }
    let partition = number(value, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    if partition > 0 {
        return count(
            value,
            "updatedReplicas",
            wanted.saturating_sub(partition),
            "replicas updated",
        )
        .unwrap_or(Ready);
    }
    let (current, update) = (
        text(value, "/status/currentRevision"),
        text(value, "/status/updateRevision"),
    );
    if current == update {
        Ready
    } else {
        Waiting("it is being rolled out".into())
    }
}

fn daemon_set(value: &Value) -> Readiness {
    if number(value, "/status/observedGeneration").is_none() {
        return Waiting("its controller has not seen it yet".into());
    }
    let wanted = number(value, "/status/desiredNumberScheduled").unwrap_or(0);
    count(value, "currentNumberScheduled", wanted, "pods scheduled")
        .or_else(|| count(value, "updatedNumberScheduled", wanted, "pods updated"))
        .or_else(|| count(value, "numberAvailable", wanted, "pods available"))
        .or_else(|| count(value, "numberReady", wanted, "pods ready"))
        .unwrap_or(Ready)
}

fn replica_set(value: &Value) -> Readiness {
    let wanted = number(value, "/spec/replicas").unwrap_or(1);
    if let Some(("True", _, message)) = condition(value, "ReplicaFailure") {
        return Waiting(message.into());
    }
    count(value, "readyReplicas", wanted, "replicas ready")
        .or_else(|| count(value, "availableReplicas", wanted, "replicas available"))
        .unwrap_or(Ready)
}

fn pod(value: &Value) -> Readiness {
    match text(value, "/status/phase") {
        "Succeeded" => Ready,
        "Failed" => Failed(or(text(value, "/status/message"), "the pod failed").into()),
        _ if is_true(value, "Ready") => Ready,
        phase => Waiting(format!("the pod is {}", or(phase, "not started"))),
    }
}

fn service(value: &Value) -> Readiness {
    let is_balancer = text(value, "/spec/type") == "LoadBalancer";
    if is_balancer && text(value, "/spec/clusterIP").is_empty() {
        return Waiting("it has no address yet".into());
    }
    Ready
}

fn disruption_budget(value: &Value) -> Readiness {
    let wanted = number(value, "/status/desiredHealthy").unwrap_or(0);
    count(value, "currentHealthy", wanted, "pods healthy").unwrap_or(Ready)
}

fn definition(value: &Value) -> Readiness {
    if let Some(("False", _, message)) = condition(value, "NamesAccepted") {
        return Failed(format!("its names are not accepted: {message}"));
    }
    if is_true(value, "Established") {
        Ready
    } else {
        Waiting("it is not established".into())
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

fn by_conditions(value: &Value) -> Readiness {
    if let Some(("True", _, message)) = condition(value, "Stalled") {
        return Failed(or(message, "it is stalled").into());
    }
    if let Some(("True", _, message)) = condition(value, "Reconciling") {
        return Waiting(or(message, "it is being reconciled").into());
    }
    match condition(value, "Ready") {
        Some((status, reason, message)) if status != "True" => {
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

//! What serves a cluster, by what is found there.

use serde_json::Value;

use super::{Choice, LABEL};
use crate::{
    error::{Error, Result},
    ports::Connection,
    words::{FaultReason, Request, SlotName},
};

/// Where Helm 2's clients look for Tiller, and by which labels.
const TILLER_NAMESPACE: &str = "kube-system";
const TILLER_LABELS: &str = "app=helm,name=tiller";
/// Secrets that Helm 3 keeps releases in.
const HELM_LABELS: &str = "owner=helm";
/// Names of objects without what is in them.
const NAMES_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// What is there.
pub(super) async fn look(
    cluster: &dyn Connection,
    helm: SlotName,
    tiller: SlotName,
) -> Result<Choice> {
    let pods = format!("/api/v1/namespaces/{TILLER_NAMESPACE}/pods");
    let pods = list(cluster, &pods, TILLER_LABELS, None).await?;
    let has_tiller = items(&pods).any(is_ready);
    if !has_tiller {
        return Ok(Choice {
            slot: helm,
            other: None,
        });
    }
    let secrets = list(cluster, "/api/v1/secrets", HELM_LABELS, Some(NAMES_ONLY)).await?;
    // Who may not list Secrets cannot be served by Helm either.
    Ok(if items(&secrets).next().is_some() {
        Choice {
            slot: helm,
            other: Some(tiller),
        }
    } else {
        Choice {
            slot: tiller,
            other: None,
        }
    })
}

/// A list, or nothing where it is not ours to see. Whoever is not answered knows nothing: a guess here would give a
/// release to the wrong backend.
async fn list(
    cluster: &dyn Connection,
    path: &str,
    labels: &str,
    accept: Option<&str>,
) -> Result<Value> {
    let mut request = Request::get(path);
    request.query = vec![
        ("labelSelector".into(), labels.into()),
        ("limit".into(), "20".into()),
    ];
    request.accept = accept.map(str::to_owned);
    let undecided = |reason: FaultReason, why: &str| Error::Member {
        reason: reason.reason().to_owned(),
        message: format!("{why}; the label {LABEL} says who serves the cluster without a look"),
    };
    let answer = cluster.request(request).await;
    let answer = answer.map_err(|fault| undecided(fault.reason, &fault.message))?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .map_err(|_| undecided(FaultReason::Protocol, &format!("{path} is no list"))),
        403 | 404 => Ok(Value::Null),
        status => {
            let why = format!("listing {path} answered status {status}");
            Err(undecided(FaultReason::Protocol, &why))
        }
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn is_ready(pod: &Value) -> bool {
    let text = |value: &Value, key: &str, wanted: &str| {
        value.get(key).and_then(Value::as_str) == Some(wanted)
    };
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    pod.pointer("/metadata/deletionTimestamp").is_none()
        && conditions
            .into_iter()
            .flatten()
            .any(|c| text(c, "type", "Ready") && text(c, "status", "True"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::flows::fakes::FakeConnection;

    async fn of(pods: (u16, Value), secrets: (u16, Value)) -> Result<(String, bool)> {
        let (helm, tiller) = (
            "charts-helm".parse().unwrap(),
            "charts-tiller".parse().unwrap(),
        );
        let cluster = FakeConnection(|request: &Request| {
            if request.path.ends_with("/pods") {
                pods.clone()
            } else {
                secrets.clone()
            }
        });
        let choice = look(&cluster, helm, tiller).await?;
        Ok((choice.slot.to_string(), choice.other.is_some()))
    }

    fn tiller() -> (u16, Value) {
        let ready = json!({"type": "Ready", "status": "True"});
        (
            200,
            json!({"items": [{"metadata": {"name": "t"}, "status": {"conditions": [ready]}}]}),
        )
    }

    #[tokio::test]
    async fn a_ready_tiller_alone_serves_and_beside_releases_of_helm_3_it_is_the_second() {
        let none = || (200, json!({"items": []}));
        let some = || (200, json!({"items": [{"metadata": {"name": "s"}}]}));
        let said = |slot: &str, has_other| (slot.to_owned(), has_other);
        assert_eq!(
            of(tiller(), none()).await.unwrap(),
            said("charts-tiller", false)
        );
        assert_eq!(
            of(tiller(), some()).await.unwrap(),
            said("charts-helm", true)
        );
        assert_eq!(
            of(none(), none()).await.unwrap(),
            said("charts-helm", false)
        );
        let denied = || (403, json!({}));
        assert_eq!(
            of(denied(), none()).await.unwrap(),
            said("charts-helm", false)
        );
        assert_eq!(
            of(tiller(), denied()).await.unwrap(),
            said("charts-tiller", false)
        );
    }

    #[tokio::test]
    async fn a_server_that_fails_decides_nothing() {
        for status in [429, 500, 503] {
            for (pods, secrets) in [
                ((status, json!({})), tiller()),
                (tiller(), (status, json!({}))),
            ] {
                let error = of(pods, secrets).await.unwrap_err();
                assert!(matches!(error, Error::Member { .. }), "{error}");
                assert!(error.to_string().contains(LABEL), "{error}");
            }
        }
    }
}

//! What serves a cluster, by what is found there.

use serde_json::Value;

use super::Choice;
use crate::{
    error::{Error, Result},
    ports::Connection,
    words::{Fault, Request, SlotName},
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
    let pods = list(cluster, pods, TILLER_LABELS, None).await?;
    let has_tiller = items(&pods).any(is_ready);
    if !has_tiller {
        return Ok(Choice {
            slot: helm,
            other: None,
        });
    }
    let secrets = list(
        cluster,
        "/api/v1/secrets".into(),
        HELM_LABELS,
        Some(NAMES_ONLY),
    )
    .await?;
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

/// A list, or nothing where the server has none for us.
async fn list(
    cluster: &dyn Connection,
    path: String,
    labels: &str,
    accept: Option<&str>,
) -> Result<Value> {
    let mut request = Request::get(path);
    request.query = vec![
        ("labelSelector".into(), labels.into()),
        ("limit".into(), "20".into()),
    ];
    request.accept = accept.map(str::to_owned);
    let answer = cluster
        .request(request)
        .await
        .map_err(|fault: Fault| Error::Member {
            reason: fault.reason.reason().to_owned(),
            message: fault.message,
        })?;
    Ok(if answer.status == 200 {
        serde_json::from_slice(&answer.body).unwrap_or_default()
    } else {
        Value::Null
    })
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

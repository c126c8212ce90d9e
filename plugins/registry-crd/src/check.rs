//! What has to be there before this registry can serve, each missing part with its own words.

use optikon_plugin_sdk::{Error, Requester, api::Api};
use serde_json::{Value, json};

use crate::{
    clusters::Clusters,
    place::{GROUP, Place},
};

/// Verbs that the contract needs, as `resource verb`.
const NEEDED: [(&str, &str, &str); 8] = [
    ("clusters", "", "get"),
    ("clusters", "", "list"),
    ("clusters", "", "watch"),
    ("clusters", "", "create"),
    ("clusters", "", "patch"),
    ("clusters", "", "delete"),
    ("clusters", "status", "get"),
    ("clusters", "status", "patch"),
];

/// Whether the definition is served, the namespace is there, and the gateway may do what it must.
///
/// # Errors
/// `unavailable` with what is missing; a fault of the connection.
pub async fn check(connection: &impl Requester, place: &Place) -> Result<(), Error> {
    let mut missing = Vec::new();
    for (resource, subresource, verb) in NEEDED {
        if !is_allowed(connection, place, resource, subresource, verb).await? {
            let slash = if subresource.is_empty() { "" } else { "/" };
            missing.push(format!("{verb} {resource}{slash}{subresource}"));
        }
    }
    if !missing.is_empty() {
        return Err(Error::unavailable(format!(
            "the gateway's account on the central cluster lacks rights on {GROUP}: {}; `optikon registry setup` grants them",
            missing.join(", ")
        )));
    }
    let all = place.clusters();
    all.list(connection, "", 1, None).await?;
    let tried = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": "Cluster",
        "metadata": {"name": "optikon-check"},
        "spec": {"kubernetesApiEndpoints": {"serverEndpoints": [{"serverAddress": "192.0.2.1:443"}]}},
    });
    let tried = tried.to_string();
    match Clusters::new(connection, place).create(&tried, true).await {
        Err(error) if error.code == optikon_plugin_sdk::ErrorCode::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

async fn is_allowed(
    connection: &impl Requester,
    place: &Place,
    resource: &str,
    subresource: &str,
    verb: &str,
) -> Result<bool, Error> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"group": GROUP, "resource": resource, "subresource": subresource,
            "verb": verb, "namespace": place.namespace.clone().unwrap_or_default()}},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = Api(connection).create(path, &review, false).await;
    let answer = answer.map_err(crate::place::refused)?;
    Ok(answer
        .pointer("/status/allowed")
        .and_then(Value::as_bool)
        .unwrap_or_default())
}

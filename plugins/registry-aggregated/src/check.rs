//! What has to be there before this registry can serve, each missing part with its own words.

use optikon_plugin_sdk::{
    Error, ErrorCode, Method, Requester,
    api::{Api, request},
};
use serde_json::{Value, json};

use crate::place::{COLLECTION, GROUP, missing, refused};

/// Verbs that the contract needs.
const NEEDED: [&str; 6] = ["get", "list", "watch", "create", "update", "delete"];
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Whether such a server answers, and lets the gateway do what it must.
///
/// # Errors
/// `unavailable` with what is missing; a fault of the connection.
pub async fn check(connection: &impl Requester) -> Result<(), Error> {
    let api = Api(connection);
    let mut missing_verbs = Vec::new();
    for verb in NEEDED {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"group": GROUP, "resource": "clusters", "verb": verb}},
        });
        match api.create(REVIEWS, &review, false).await {
            Ok(answer) if answer.pointer("/status/allowed") == Some(&Value::Bool(true)) => {}
            Ok(_) => missing_verbs.push(verb),
            // The server by itself, without a cluster in front of it: it reviews nothing.
            Err(error) if error.code == ErrorCode::NotFound => break,
            Err(error) => return Err(refused(error)),
        }
    }
    if !missing_verbs.is_empty() {
        return Err(Error::unavailable(format!(
            "the gateway's account on the central cluster lacks rights on clusters of {GROUP}: {}; \
             `optikon registry setup --form aggregated` grants them",
            missing_verbs.join(", ")
        )));
    }
    let mut first = request(Method::Get, COLLECTION);
    first.query.push(("limit".into(), "1".into()));
    let list = api.send(first).await.map_err(|error| match error.code {
        ErrorCode::NotFound => missing(),
        ErrorCode::Unavailable => Error::unavailable(format!(
            "clusters of {GROUP} are registered with the central cluster, but their API server does not answer: {}",
            refused(error).message
        )),
        _ => refused(error),
    })?;
    // Every list of that server has a link to itself, and no list of an API server of today.
    if list.pointer("/metadata/selfLink").is_none() {
        return Err(Error::unavailable(
            "the central cluster serves clusters as custom resources: use registry-crd",
        ));
    }
    Ok(())
}

//! Where the clusters are, and what the server's refusals mean.

use optikon_plugin_sdk::{Error, ErrorCode, collection::Collection};

use crate::object::from_value;

/// The group, for messages.
pub const GROUP: &str = "clusterregistry.k8s.io";
/// The only path there is: cluster-scoped, one version.
pub const COLLECTION: &str = "/apis/clusterregistry.k8s.io/v1alpha1/clusters";

/// What every registry over an API server does with them.
pub fn clusters() -> Collection {
    Collection {
        path: COLLECTION.to_owned(),
        read: from_value,
        refused,
        missing,
    }
}

/// The path of one cluster.
pub fn path(name: &str) -> String {
    format!("{COLLECTION}/{name}")
}

/// Nobody serves clusters there.
pub fn missing() -> Error {
    Error::unavailable(format!(
        "the central cluster does not serve clusters of {GROUP}/v1alpha1: is the API server registered \
         (`optikon registry setup --form aggregated`) and running?"
    ))
}

/// What the server says to the gateway is not what the gateway says to its caller. Not being let in is a fault of the setup;
/// and the text of a 400 or 500 quotes what was sent, tokens included, so it goes no further.
pub fn refused(error: Error) -> Error {
    let status = error.detail("status").and_then(|s| s.parse::<u16>().ok());
    match (error.code, status) {
        (ErrorCode::Denied | ErrorCode::Unauthenticated, _) => Error::unavailable(format!(
            "the central cluster refuses the gateway; `optikon registry setup --form aggregated` grants what it needs: {}",
            error.message
        )),
        (code, Some(status @ (400 | 500..))) => {
            let said = "its words are withheld, as they quote what was sent";
            Error::new(
                code,
                format!("the registry's API server answered {status}; {said}"),
            )
        }
        _ => error,
    }
}

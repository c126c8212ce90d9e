//! Where the clusters live on the central cluster: found in its discovery, which the gateway caches.

use optikon_plugin_sdk::{Error, ErrorCode, Requester, api::Api, collection::Collection};
use serde_json::Value;

use crate::object::from_value;

/// The group, for paths and messages.
pub const GROUP: &str = "clusterregistry.k8s.io";
/// The only version that there ever was.
pub const VERSION: &str = "v1alpha1";
/// Who writes, in `managedFields`.
pub const MANAGER: &str = "optikon";

/// The namespace where none is configured.
const NAMESPACE: &str = "optikon";

/// The collection of clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its path.
    pub collection: String,
    /// Where objects are, when the definition says so.
    pub namespace: Option<String>,
}

impl Place {
    /// Asks discovery, so that a definition of either scope serves.
    ///
    /// # Errors
    /// `unavailable` when the central cluster does not answer or does not serve clusters.
    pub async fn find(connection: &impl Requester, namespace: Option<&str>) -> Result<Self, Error> {
        let mapping = connection.mapping(GROUP, VERSION, "Cluster").await;
        let mapping = mapping.map_err(|fault| refused(fault.into()))?;
        let Some(mapping) = mapping else {
            return Err(absent(connection).await);
        };
        let namespace = mapping
            .namespaced
            .then(|| namespace.unwrap_or(NAMESPACE).to_owned());
        let within = namespace.as_ref().map(|n| format!("/namespaces/{n}"));
        let within = within.unwrap_or_default();
        Ok(Self {
            collection: format!("{}{within}/{}", mapping.path_prefix, mapping.plural),
            namespace,
        })
    }

    /// What every registry over an API server does with them.
    pub fn clusters(&self) -> Collection {
        Collection {
            path: self.collection.clone(),
            read: from_value,
            refused,
            missing,
        }
    }

    /// The path of one cluster.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.collection)
    }
}

/// The central cluster has no definition of our objects.
pub fn missing() -> Error {
    Error::unavailable(format!(
        "the central cluster does not serve clusters of {GROUP}/{VERSION}: run `optikon registry setup` there"
    ))
}

/// The same, unless the group is there in other versions: then they are named, as their definition looks like ours.
async fn absent(connection: &impl Requester) -> Error {
    let group = Api(connection).get(&format!("/apis/{GROUP}")).await;
    let group = group.unwrap_or_default();
    let versions = group.get("versions").and_then(Value::as_array);
    let names = versions.into_iter().flatten();
    let names: Vec<&str> = names
        .filter_map(|version| version.get("version")?.as_str())
        .collect();
    if names.is_empty() || names.contains(&VERSION) {
        return missing();
    }
    Error::unavailable(format!(
        "the central cluster serves {GROUP} in {} and not in {VERSION}, which the registry needs: let its definition of \
         clusters serve {VERSION} as well",
        names.join(", ")
    ))
}

/// What the central cluster says to the gateway is not what the gateway says to its caller: not being let in there is a
/// fault of the setup, and never the caller's.
pub fn refused(error: Error) -> Error {
    match error.code {
        ErrorCode::Denied | ErrorCode::Unauthenticated => Error::unavailable(format!(
            "the central cluster refuses the gateway; `optikon registry setup` grants what it needs: {}",
            error.message
        )),
        _ => error,
    }
}

//! Which API groups the member serves but cannot reach.

use futures::future::join_all;
use optikon_plugin_sdk::Requester;
use serde::Deserialize;

use crate::{
    member::{Ask, Member},
    problem::Problem,
    time::Time,
};

/// Aggregated discovery in its two forms, then the plain list.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
/// Groups of aggregated API servers that an old server is asked about one by one.
const MAX_ASKED: usize = 20;
/// Served by the API server itself, so never stale.
const BUILT_IN: [&str; 24] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "settings.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

#[derive(Deserialize)]
struct Groups {
    kind: Option<String>,
    items: Option<Vec<Aggregated>>,
    groups: Option<Vec<Plain>>,
}

#[derive(Deserialize)]
struct Aggregated {
    metadata: Named,
    versions: Option<Vec<AggregatedVersion>>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct AggregatedVersion {
    freshness: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plain {
    name: String,
    preferred_version: Option<PlainVersion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlainVersion {
    group_version: String,
}

/// The names of the groups whose own API server does not answer, sorted.
///
/// # Errors
/// When discovery itself does not answer.
pub async fn stale_groups<C: Requester, T: Time>(
    member: Member<'_, C, T>,
) -> Result<Vec<String>, Problem> {
    let ask = Ask {
        path: "/apis",
        accept: Some(AGGREGATED),
        ..Ask::default()
    };
    let found: Groups = member.read(ask).await?;
    let mut stale = match (found.kind.as_deref(), found.items, found.groups) {
        (Some("APIGroupDiscoveryList"), items, _) => aggregated(items.unwrap_or_default()),
        (_, _, Some(groups)) => one_by_one(member, groups).await,
        _ => {
            return Err(Problem::new(
                "NotKubernetes",
                "GET /apis was answered without API groups",
            ));
        }
    };
    stale.sort();
    Ok(stale)
}

fn aggregated(groups: Vec<Aggregated>) -> Vec<String> {
    let is_stale = |group: &Aggregated| {
        let mut versions = group.versions.iter().flatten();
        versions.any(|version| version.freshness.as_deref() == Some("Stale"))
    };
    let stale = groups.into_iter().filter(is_stale);
    stale.filter_map(|group| group.metadata.name).collect()
}

/// Where discovery is not aggregated, a broken group answers 503 on its own path.
async fn one_by_one<C: Requester, T: Time>(
    member: Member<'_, C, T>,
    groups: Vec<Plain>,
) -> Vec<String> {
    let foreign = groups
        .into_iter()
        .filter(|group| !BUILT_IN.contains(&group.name.as_str()));
    let asked = foreign.take(MAX_ASKED).map(async |group| {
        let path = format!("/apis/{}", group.preferred_version?.group_version);
        let answer = member
            .request(Ask {
                path: &path,
                ..Ask::default()
            })
            .await;
        answer
            .is_ok_and(|answer| answer.status == 503)
            .then_some(group.name)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

//! Plans: made once per distinct set of what a rendering really read.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;

use super::Inner;
use crate::{
    error::{Error, Result},
    flows::mirror::Entry,
    ports::{Call, Charts, Connection, Facts, Prepared},
    words::{Fault, FaultReason, Request, Response, Rules, Writes},
};

/// Rendering and looking into the cluster.
const PREPARE_DEADLINE: Duration = Duration::from_secs(60);

/// What was rendered for some clusters.
#[derive(Debug)]
pub(super) struct Plan {
    made_for: Facts,
    values: String,
    pub(super) prepared: Prepared,
}

/// The plans of one operation.
#[derive(Debug, Default)]
pub(super) struct Plans {
    pub(super) all: Vec<Plan>,
    /// What was wrong with chart or values where no plan could be made, the first time.
    pub(super) refused: Option<Error>,
}

impl Plans {
    /// The plan for these facts and values: one that was made before where everything that it read
    /// agrees, else a new one.
    pub(super) async fn index_for(
        &mut self,
        backend: &dyn Charts,
        archive: &Bytes,
        values: &str,
        facts: &Facts,
        cluster: Arc<dyn Connection>,
    ) -> Result<usize> {
        let shared = self
            .all
            .iter()
            .position(|p| p.values == values && p.prepared.serves(&p.made_for, facts));
        if let Some(index) = shared {
            return Ok(index);
        }
        let call = Call::background().within(PREPARE_DEADLINE);
        let values_list = vec![values.to_owned()];
        let prepared = backend
            .prepare(
                call,
                archive.clone(),
                values_list,
                facts.clone(),
                Some(cluster),
            )
            .await?;
        self.all.push(Plan {
            made_for: facts.clone(),
            values: values.to_owned(),
            prepared,
        });
        Ok(self.all.len() - 1)
    }
}

impl Inner {
    /// A connection to a target, with the rules of charts.
    pub(super) async fn connect(
        &self,
        entry: &Entry,
        writes: Writes,
    ) -> Result<Arc<dyn Connection>, Fault> {
        let member = self
            .clusters
            .custody
            .member(&entry.cluster, &entry.uid)
            .await?;
        Ok(self
            .clusters
            .outbound
            .connect(&member, Rules::Charts { writes }, true))
    }

    /// What a template may ask of a cluster, read over its connection.
    pub(super) async fn facts(
        &self,
        entry: &Entry,
        connection: &dyn Connection,
        release: &str,
        namespace: &str,
    ) -> Result<Facts, Fault> {
        let version = connection.request(Request::get("/version"));
        let (version, api_versions) = tokio::try_join!(version, api_versions(connection))?;
        let version = answered("/version", version)?;
        let version: Value = serde_json::from_slice(&version.body).unwrap_or_default();
        let kube_version = version
            .get("gitVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(Facts {
            release: release.to_owned(),
            namespace: namespace.to_owned(),
            action: "install".into(),
            revision: 1,
            cluster: entry.cluster.name().to_string(),
            labels: entry.cluster.labels().to_map(),
            kube_version: kube_version.to_owned(),
            api_versions,
            backend: String::new(),
        })
    }
}

/// A server that fails knows nothing; one that only refuses leaves a fact unknown.
fn answered(path: &str, answer: Response) -> Result<Response, Fault> {
    if answer.status < 500 {
        return Ok(answer);
    }
    let message = format!(
        "the API server answered {path} with status {}",
        answer.status
    );
    Err(Fault::new(FaultReason::Protocol, message))
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// `group/version` and `group/version/Kind` of everything a cluster serves, sorted.
async fn api_versions(connection: &dyn Connection) -> Result<Vec<String>, Fault> {
    let mut out = std::collections::BTreeSet::new();
    let ask = |path: &str| {
        let mut request = Request::get(path);
        request.accept = Some(AGGREGATED.into());
        connection.request(request)
    };
    let (core, groups) = tokio::try_join!(ask("/api"), ask("/apis"))?;
    for (path, answer) in [("/api", core), ("/apis", groups)] {
        let answer = answered(path, answer)?;
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_aggregated = document.get("items").is_some();
        if is_aggregated {
            collect_aggregated(&document, &mut out);
        } else {
            collect_plain(connection, path, &document, &mut out).await?;
        }
    }
    Ok(out.into_iter().collect())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn collect_aggregated(document: &Value, out: &mut std::collections::BTreeSet<String>) {
    for group in list(document, "items") {
        let name = group
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        for version in list(group, "versions") {
            let word = text(version, "version");
            let full = if name.is_empty() {
                word.to_owned()
            } else {
                format!("{name}/{word}")
            };
            for resource in list(version, "resources") {
                let kind = resource
                    .pointer("/responseKind/kind")
                    .and_then(Value::as_str);
                if let Some(kind) = kind.filter(|k| !k.is_empty()) {
                    out.insert(format!("{full}/{kind}"));
                }
            }
            out.insert(full);
        }
    }
}

/// Servers before 1.26 answer a list of groups; their resources are asked for one by one.
async fn collect_plain(
    connection: &dyn Connection,
    path: &str,
    document: &Value,
    out: &mut std::collections::BTreeSet<String>,
) -> Result<(), Fault> {
    let mut versions: Vec<String> = list(document, "versions")
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    for group in list(document, "groups") {
        versions.extend(list(group, "versions").map(|v| text(v, "groupVersion").to_owned()));
    }
    for version in versions.iter().filter(|v| !v.is_empty()) {
        out.insert(version.clone());
        let answer = connection
            .request(Request::get(format!("{path}/{version}")))
            .await?;
        // A broken aggregated API has no kinds; the others still have theirs.
        let resources: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        for resource in list(&resources, "resources") {
            out.insert(format!("{version}/{}", text(resource, "kind")));
        }
    }
    Ok(())
}

/// An error of a target as its reason.
pub(super) fn reason_of(error: &Error) -> &str {
    match error {
        Error::Member { reason, .. } => reason,
        Error::Malformed(_) | Error::Invalid(_) => "Invalid",
        Error::NotFound { .. } => "NotFound",
        Error::AlreadyExists { .. } => "AlreadyExists",
        Error::Conflict { .. } | Error::PreconditionFailed(_) => "Conflict",
        Error::Expired(_) => "Expired",
        Error::Unauthenticated(_) => "Unauthorized",
        Error::Denied(_) => "Forbidden",
        Error::TooLarge { .. } => "TooLarge",
        Error::Busy { .. } | Error::Unavailable { .. } => "Unavailable",
        Error::Timeout(_) => "Timeout",
        Error::Unsupported(_) => "Unsupported",
        Error::NoPlugin { .. } => "NoPlugin",
        Error::Source(_) => "SourceFailed",
        Error::Plugin(_) => "PluginFailed",
        Error::Internal(_) => "Internal",
    }
}

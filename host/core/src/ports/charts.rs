//! Helm releases on ONE cluster; the host fans out.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Call, Connection};
use crate::{error::Result, words::ClusterName};

/// What a plan may depend on. The engine notes which of these a `prepare` really read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The release's name.
    pub release: String,
    /// Its namespace.
    pub namespace: String,
    /// `install` or `upgrade`.
    pub action: String,
    /// The revision that this would make.
    pub revision: u32,
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's labels.
    pub labels: BTreeMap<String, String>,
    /// As in `v1.37.2`.
    pub kube_version: String,
    /// `group/version` and `group/version/Kind`, sorted.
    pub api_versions: Vec<String>,
    /// The slot that [`Charts::choice`] named; empty where there is no choice. No plugin sees it.
    pub backend: String,
}

impl Facts {
    /// One fact by its name in WIT, as text that can be compared.
    pub fn value(&self, name: &str) -> Option<String> {
        Some(match name {
            "release" => self.release.clone(),
            "namespace" => self.namespace.clone(),
            "action" => self.action.clone(),
            "revision" => self.revision.to_string(),
            "cluster" => self.cluster.clone(),
            "labels" => format!("{:?}", self.labels),
            "kube-version" => self.kube_version.clone(),
            "api-versions" => self.api_versions.join("\n"),
            "backend" => self.backend.clone(),
            _ => return None,
        })
    }
}

/// The result of a `prepare`, with what it depended on.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Opaque to the host; holds rendered manifests and values, so it is a secret.
    pub plan: Vec<u8>,
    /// How many objects it would apply.
    pub objects: u32,
    /// For people.
    pub warnings: Vec<String>,
    /// The facts that were read, by their name in WIT.
    pub reads: Vec<String>,
    /// Whether it used the clock, randomness, keys or the cluster itself: such a plan is never shared.
    pub is_impure: bool,
}

impl Prepared {
    /// Whether a plan that was made for `made_for` serves `other` as well.
    pub fn serves(&self, made_for: &Facts, other: &Facts) -> bool {
        !self.is_impure
            && self
                .reads
                .iter()
                .all(|name| made_for.value(name) == other.value(name))
    }
}

/// One revision of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// From 1.
    pub revision: u32,
    /// Helm's word: `deployed`, `failed`…
    pub status: String,
    /// The operation that made this very revision, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// For people: `chart`, `appVersion`, `updated`, `description`, `resources`, `notes`.
    #[serde(flatten)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

/// How a change of a release ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// As it is now.
    pub release: Release,
    /// False: it was so already; no new revision was made.
    pub is_changed: bool,
}

/// One revision whole. Secret: values and manifests may hold anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// What it is.
    pub release: Release,
    /// The manifest as Helm stores it.
    pub manifest: String,
    /// The user's values, JSON.
    pub values: String,
    /// The notes.
    pub notes: String,
}

/// What a change would do to one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectChange {
    /// `apiVersion/kind` or the kind.
    pub kind: String,
    /// Absent for cluster-wide ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// `created`, `changed`, `deleted`, `kept`, `unchanged`.
    pub what: String,
    /// The differing fields, each `{path, old, new}`; contents of Secrets masked.
    pub patch: Vec<serde_json::Value>,
}

/// Helm releases on one cluster, through one backend. Every method is for the cluster of its
/// connection, and safe to repeat: work that the same operation did before is recognised.
#[async_trait]
pub trait Charts: Send + Sync + std::fmt::Debug {
    /// The slot that serves the release of `facts` on a cluster, where this backend stands for several: part of what a plan
    /// is made for. Empty: it serves every cluster itself.
    ///
    /// # Errors
    /// When that cannot be told, as the cluster does not answer.
    async fn choice(&self, _cluster: Arc<dyn Connection>, _facts: &Facts) -> Result<String> {
        Ok(String::new())
    }

    /// A cluster was changed: what was found out about it is looked at anew.
    fn forget(&self, _cluster: &ClusterName) {}

    /// Looks into an archive: a JSON object with `name`, `version`, `appVersion`, `description`,
    /// `type`, `kubeVersion`, `deprecated`, `dependencies`.
    ///
    /// # Errors
    /// `Invalid` with what is wrong with the archive.
    async fn describe(&self, call: Call, archive: Bytes) -> Result<serde_json::Value>;

    /// Renders: everything that can be known before the cluster is touched. `cluster` is read-only
    /// and given only where templates may look something up.
    ///
    /// # Errors
    /// `Invalid` with what is wrong with chart or values.
    async fn prepare(
        &self,
        call: Call,
        archive: Bytes,
        values: Vec<String>,
        facts: Facts,
        cluster: Option<Arc<dyn Connection>>,
    ) -> Result<Prepared>;

    /// Applies a plan as a first revision. `options` is a JSON object: `timeoutMs`, `wait`,
    /// `waitForJobs`, `atomic`, `createNamespace`, `takeOwnership`, `noHooks`, `force`, `historyMax`.
    async fn install(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Outcome>;

    /// Applies a plan as a further revision.
    async fn upgrade(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Outcome>;

    /// What applying a plan would change; changes nothing.
    async fn preview(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Vec<ObjectChange>>;

    /// What a plan holds, for people: a JSON object with `manifest`, `hooks` and `notes`. Secret.
    async fn show(&self, call: Call, plan: Bytes) -> Result<serde_json::Value>;

    /// Which objects are not as the deployed revision says; changes nothing.
    async fn drift(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
    ) -> Result<Vec<ObjectChange>>;

    /// Back to `revision`; absent = the one before.
    async fn rollback(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        revision: Option<u32>,
        options: &str,
    ) -> Result<Outcome>;

    /// Removes a release and, unless told otherwise, its history.
    async fn uninstall(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        options: &str,
    ) -> Result<Outcome>;

    /// Runs the test hooks.
    async fn run_tests(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        options: &str,
    ) -> Result<Outcome>;

    /// The newest revision of every release of a namespace, or of all.
    async fn list_releases(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        namespace: Option<String>,
        filter: &str,
    ) -> Result<Vec<Release>>;

    /// The same, whole, as Helm 3 keeps it: JSON objects; `name` is that of one, empty for all. Secret.
    async fn records(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        namespace: Option<String>,
        name: &str,
    ) -> Result<Vec<serde_json::Value>>;

    /// One revision; absent = the newest.
    async fn get(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        revision: Option<u32>,
    ) -> Result<Content>;

    /// The newest `limit` revisions, newest first.
    async fn history(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        limit: u32,
    ) -> Result<Vec<Release>>;
}

/// How far a call of an operation is, in the backend's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The operation.
    pub operation: String,
    /// The cluster's name.
    pub cluster: String,
    /// One word: `hooks`, `apply`, `wait`…
    pub phase: String,
    /// For people; may be empty.
    pub message: String,
    /// So many steps of this phase are done …
    pub done: u32,
    /// … of so many; 0 = nobody knows.
    pub total: u32,
}

/// Who is told how far operations are. Called from within a call: must not block.
pub trait ProgressSink: Send + Sync + std::fmt::Debug {
    /// One report; at most a few a second of one call, and every change of phase.
    fn report(&self, progress: Progress);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_shared_only_where_what_it_read_agrees() {
        let facts = |cluster: &str, version: &str| Facts {
            cluster: cluster.into(),
            kube_version: version.into(),
            ..Facts::default()
        };
        let prepared = |reads: &[&str], is_impure| Prepared {
            plan: Vec::new(),
            objects: 0,
            warnings: Vec::new(),
            reads: reads.iter().map(|r| (*r).to_owned()).collect(),
            is_impure,
        };
        let (a, b, old) = (
            facts("a", "v1.37.2"),
            facts("b", "v1.37.2"),
            facts("c", "v1.28.0"),
        );
        assert!(prepared(&["kube-version"], false).serves(&a, &b));
        assert!(!prepared(&["kube-version"], false).serves(&a, &old));
        assert!(prepared(&["release"], false).serves(&a, &old));
        assert!(!prepared(&["cluster"], false).serves(&a, &b));
        assert!(!prepared(&[], true).serves(&a, &b));
    }
}

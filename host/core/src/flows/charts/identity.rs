//! Who the clusters of a request are. Two names of one cluster are told apart by the uid of its `kube-system`, which the
//! prober reads; where no look has told it yet it is asked for here, so that a cluster that was registered a moment ago
//! is not changed under both its names.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use serde_json::Value;

use super::{ChartFlows, Inner, request::Targets, targets};
use crate::{
    error::Result,
    flows::mirror::Entry,
    words::{Caller, Request, Writes},
};

/// The uid of this namespace is the cluster's identity.
const PATH: &str = "/api/v1/namespaces/kube-system";
/// Clusters asked at once.
const AT_ONCE: usize = 100;
/// For all of them: who does not answer by then is not waited for, as it will hardly be changed either.
const PATIENCE: Duration = Duration::from_secs(5);

impl ChartFlows {
    /// The clusters that a change is for.
    ///
    /// # Errors
    /// `Invalid` for a name that is not registered, when there is none, and when two of them are the same cluster.
    pub(super) async fn chosen(
        &self,
        caller: &Caller,
        wanted: &Targets,
    ) -> Result<Vec<Arc<Entry>>> {
        let mirror = self.inner.clusters.mirror();
        let chosen = targets::select(mirror, caller, wanted)?;
        // One that was looked at in vain tells no more now.
        let is_new =
            |entry: &&Arc<Entry>| entry.health.identity.is_none() && entry.health.looked_ms == 0;
        let mut new = chosen.iter().filter(is_new).cloned().peekable();
        if new.peek().is_none() {
            return Ok(chosen);
        }
        let asked = new.map(|entry| async move { self.inner.identify(&entry).await });
        let asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        let all = asked.for_each(|()| std::future::ready(()));
        let in_vain = tokio::time::timeout(PATIENCE, all).await.is_err();
        tracing::debug!(in_vain, "asked the clusters that nobody had looked at");
        targets::select(mirror, caller, wanted)
    }
}

impl Inner {
    async fn identify(&self, entry: &Entry) {
        let asked = async {
            let connection = self.connect(entry, Writes::None).await.ok()?;
            let answer = connection.request(Request::get(PATH)).await.ok()?;
            let namespace: Value = serde_json::from_slice(&answer.body).ok()?;
            let uid = namespace.pointer("/metadata/uid").and_then(Value::as_str);
            uid.map(str::to_owned)
        };
        let Some(identity) = asked.await else {
            return;
        };
        let mirror = self.clusters.mirror();
        mirror.observed(entry.cluster.name(), &entry.uid, |_, health| {
            let is_news = health.identity.is_none();
            health.identity.get_or_insert(identity);
            is_news
        });
    }
}

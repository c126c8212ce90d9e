//! A release handed over from a backend's own storage to Helm's: looked at before it is done.

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    ActionRequest, ChartFlows, prepare::options_json, request::Options, run::TIMEOUT, targets,
};
use crate::{error::Result, flows::health::one_line, ports::Facts, words::Caller};

/// Who is left, where the request does not say.
pub(super) const LEFT: &str = "tiller";
/// Clusters looked at at once.
const AT_ONCE: usize = 64;

/// Options of a call that hands a release over.
pub(super) fn options_of(options: &Options, timeout: std::time::Duration) -> String {
    let text = options_json(options, timeout);
    match serde_json::from_str(&text) {
        Ok(Value::Object(mut map)) => {
            map.insert("adopt".into(), true.into());
            Value::Object(map).to_string()
        }
        _ => text,
    }
}

impl ChartFlows {
    /// What handing a release over would write and remove, cluster by cluster; changes nothing. Under `errors` those where
    /// it cannot be done, with the reason.
    ///
    /// # Errors
    /// As [`ChartFlows::act`].
    pub async fn preview_adoption(
        &self,
        caller: &Caller,
        release: &str,
        request: &ActionRequest,
    ) -> Result<Value> {
        let inner = &self.inner;
        let chosen = targets::select(inner.clusters.mirror(), caller, &request.targets)?;
        let (_, backend) = inner.backend(request.backend.as_deref().or(Some(LEFT)))?;
        let options = options_of(&request.options, TIMEOUT);
        let looks = chosen.iter().cloned().map(|entry| {
            let (backend, options) = (backend.as_ref(), options.as_str());
            async move {
                let facts = Facts {
                    release: release.to_owned(),
                    namespace: request.namespace.clone(),
                    cluster: entry.cluster.name().to_string(),
                    labels: entry.cluster.labels().to_map(),
                    ..Facts::default()
                };
                let asked = (facts, bytes::Bytes::new());
                let found = inner.changes(&entry, backend, asked, options).await;
                (entry, found)
            }
        });
        let looks: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let (mut items, mut errors) = (Vec::new(), Vec::new());
        for (entry, found) in looks {
            let cluster = entry.cluster.name().as_str();
            match found {
                Ok(changes) => items.push(json!({
                    "cluster": cluster, "action": "adopt", "objects": changes,
                })),
                Err((reason, message)) => errors.push(json!({
                    "cluster": cluster, "reason": reason, "message": one_line(&message),
                })),
            }
        }
        Ok(json!({ "dryRun": "server", "items": items, "errors": errors }))
    }
}

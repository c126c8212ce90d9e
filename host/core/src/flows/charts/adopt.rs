//! A release handed over from a backend's own storage to Helm's: looked at before it is done.

use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::{
    ActionRequest, ChartFlows, Inner,
    prepare::options_json,
    request::Options,
    run::TIMEOUT,
    targets,
    watched::{Problem, Watched, of_fault},
};
use crate::{
    error::Result,
    flows::{health::one_line, mirror::Entry},
    ports::{Call, Charts, Facts},
    words::{Caller, Writes},
};

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
                    ..Facts::default()
                };
                let found = inner.adoption(&entry, backend, facts, options).await;
                (entry, found)
            }
        });
        let looks: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let (mut items, mut errors) = (Vec::new(), Vec::new());
        for (entry, found) in looks {
            let cluster = entry.cluster.name().as_str();
            match found {
                Ok(mut item) => {
                    item.insert("cluster".into(), cluster.into());
                    items.push(Value::Object(item));
                }
                Err((reason, message)) => errors.push(json!({
                    "cluster": cluster, "reason": reason, "message": one_line(&message),
                })),
            }
        }
        Ok(json!({ "dryRun": "server", "items": items, "errors": errors }))
    }
}

impl Inner {
    async fn adoption(
        &self,
        entry: &Entry,
        backend: &dyn Charts,
        facts: Facts,
        options: &str,
    ) -> Result<Map<String, Value>, Problem> {
        let connection = self
            .connect(entry, Writes::DryRun)
            .await
            .map_err(|fault| of_fault(&fault))?;
        let connection = Watched::reading(connection);
        let call = Call::client().within(TIMEOUT);
        let plan = bytes::Bytes::new();
        let changes = backend
            .preview(call, connection.clone(), facts, plan, options)
            .await
            .map_err(|error| connection.problem(&error))?;
        Ok(Map::from_iter([
            ("action".to_owned(), "adopt".into()),
            ("objects".to_owned(), json!(changes)),
        ]))
    }
}

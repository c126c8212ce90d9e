//! Which objects are not as their release says.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    ChartFlows, Selection,
    read::FAN_OUT,
    watched::{Watched, of_fault},
};
use crate::{
    error::Result,
    ports::{Call, Facts},
    words::{Caller, Writes},
};

/// A dry run of every object of one release on one member.
const DEADLINE: Duration = Duration::from_secs(60);

impl ChartFlows {
    /// Per cluster, the objects of a release that are not as its deployed revision says: `drifted` and those `objects`,
    /// each with what would be done about it. Nothing is changed.
    ///
    /// # Errors
    /// As [`ChartFlows::releases`].
    pub async fn drift(
        &self,
        caller: &Caller,
        selection: &Selection,
        name: &str,
        namespace: &str,
    ) -> Result<Value> {
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        self.each(caller, selection, FAN_OUT, |inner, entry, backend| {
            let (release, namespace) = (name.clone(), namespace.clone());
            Box::pin(async move {
                let connection = inner
                    .connect(&entry, Writes::DryRun)
                    .await
                    .map_err(|fault| of_fault(&fault))?;
                let connection = Watched::reading(connection);
                let facts = Facts {
                    release: release.clone(),
                    namespace: namespace.clone(),
                    cluster: entry.cluster.name().to_string(),
                    ..Facts::default()
                };
                let call = Call::client().within(DEADLINE);
                let found = backend.drift(call, connection.clone(), facts).await;
                let mut objects = found.map_err(|error| connection.problem(&error))?;
                let count = objects.len();
                objects.retain(|object| object.what != "unchanged");
                Ok(vec![Map::from_iter([
                    ("name".to_owned(), release.into()),
                    ("namespace".to_owned(), namespace.into()),
                    ("drifted".to_owned(), (!objects.is_empty()).into()),
                    ("checked".to_owned(), count.into()),
                    ("objects".to_owned(), json!(objects)),
                ])])
            })
        })
        .await
    }
}

//! What every target starts from: its plan, and the revision that it has; and previews, which end there.

use std::sync::Arc;

use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::{
    ActionRequest, ChartFlows, ChartsRequest, Inner,
    plan::{Plans, reason_of},
    request::{DryRun, Options},
    run::TIMEOUT,
    targets,
    watched::{self, Watched},
};
use crate::{
    error::{Error, Result},
    flows::{health::one_line, mirror::Entry},
    ports::{Call, Charts, Connection, Facts, ObjectChange},
    words::{Caller, Fault, OperationKind, SlotName, Writes},
};

/// Targets prepared or previewed at once.
const AT_ONCE: usize = 100;
/// Looking at a release takes a request or two; rendering has a deadline of its own.
const LOOK: std::time::Duration = std::time::Duration::from_secs(30);

/// A request made ready: who is meant, and what would be done to each.
pub(super) struct Ready {
    pub(super) chosen: Vec<Arc<Entry>>,
    pub(super) slot: SlotName,
    pub(super) backend: Arc<dyn Charts>,
    pub(super) rows: Vec<Prepared>,
    pub(super) plans: Plans,
}

/// What one row of an operation starts from.
pub(super) struct Prepared {
    pub(super) plan: Option<usize>,
    pub(super) action: &'static str,
    pub(super) revision_before: Option<u32>,
    pub(super) problem: Option<(String, String)>,
    facts: Option<Facts>,
}

impl ChartFlows {
    /// What a request would do, without doing any of it. A row per cluster, under `errors` those that did not answer: with
    /// `render` the number of its plan, and what that plan holds in the first row that it is for; with `server` the
    /// `objects` that the cluster says would change.
    ///
    /// # Errors
    /// As [`ChartFlows::apply`].
    pub async fn preview(
        &self,
        caller: &Caller,
        mut request: ChartsRequest,
        is_upgrade: bool,
    ) -> Result<Value> {
        let ready = self.ready(caller, &mut request, is_upgrade).await?;
        let mut out = Map::new();
        out.insert("dryRun".into(), json!(request.dry_run));
        out.insert("plans".into(), ready.plans.all.len().into());
        let count = ready.chosen.len();
        let looks = (0..count).map(|row| self.inner.look(&ready, row, &request));
        let looks: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let (mut items, mut errors) = (Vec::new(), Vec::new());
        for (entry, look) in ready.chosen.iter().zip(looks) {
            let cluster = entry.cluster.name().as_str();
            match look {
                Ok(mut item) => {
                    item.insert("cluster".into(), cluster.into());
                    items.push(Value::Object(item));
                }
                Err((reason, message)) => errors.push(json!({
                    "cluster": cluster, "reason": reason, "message": one_line(&message),
                })),
            }
        }
        if request.dry_run == DryRun::Render {
            self.show_plans(&ready, &mut items).await?;
        }
        out.insert("items".into(), items.into());
        out.insert("errors".into(), errors.into());
        Ok(Value::Object(out))
    }

    /// What a rollback or an uninstall would change on each cluster, without changing it: as [`ChartFlows::preview`] with
    /// `server`.
    ///
    /// # Errors
    /// As [`ChartFlows::act`]; `Invalid` for a kind that has no preview.
    pub async fn preview_act(
        &self,
        caller: &Caller,
        kind: OperationKind,
        release: &str,
        request: &ActionRequest,
    ) -> Result<Value> {
        let word = match kind {
            OperationKind::Rollback => "rollback",
            OperationKind::Uninstall => "uninstall",
            _ => {
                return Err(Error::invalid(
                    "dryRun",
                    "is for a rollback, an uninstall or an adoption",
                ));
            }
        };
        let chosen = targets::select(self.inner.clusters.mirror(), caller, &request.targets)?;
        let (_, backend) = self.inner.backend(request.backend.as_deref())?;
        let mut options: Value =
            serde_json::from_str(&options_json(&request.options, TIMEOUT)).unwrap_or_default();
        if let Value::Object(options) = &mut options {
            options.insert("preview".into(), word.into());
            options.insert("toRevision".into(), request.to_revision.into());
        }
        let options = options.to_string();
        let facts = Facts {
            release: release.to_owned(),
            namespace: request.namespace.clone(),
            ..Facts::default()
        };
        let looks = chosen.into_iter().map(|entry| {
            let (inner, backend, options, facts) = (&self.inner, &backend, &options, &facts);
            async move {
                let cluster = entry.cluster.name().as_str();
                let facts = Facts {
                    cluster: cluster.to_owned(),
                    labels: entry.cluster.labels().to_map(),
                    ..facts.clone()
                };
                let asked = (facts, bytes::Bytes::new());
                match inner
                    .changes(&entry, backend.as_ref(), asked, options)
                    .await
                {
                    Ok(changes) => Ok(json!({
                        "cluster": cluster, "action": word, "objects": changes,
                    })),
                    Err((reason, message)) => Err(json!({
                        "cluster": cluster, "reason": reason, "message": one_line(&message),
                    })),
                }
            }
        });
        let looks: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let (mut items, mut errors) = (Vec::new(), Vec::new());
        for look in looks {
            match look {
                Ok(item) => items.push(item),
                Err(error) => errors.push(error),
            }
        }
        Ok(json!({ "dryRun": request.dry_run, "items": items, "errors": errors }))
    }

    /// Puts what each plan holds into the first row that it is for.
    async fn show_plans(&self, ready: &Ready, items: &mut [Value]) -> Result<()> {
        for (index, plan) in ready.plans.all.iter().enumerate() {
            let is_its = |item: &&mut Value| item.get("plan") == Some(&json!(index));
            let Some(Value::Object(item)) = items.iter_mut().find(is_its) else {
                continue;
            };
            let bytes = plan.prepared.plan.clone().into();
            if let Value::Object(shown) = ready.backend.show(Call::client(), bytes).await? {
                item.extend(shown);
            }
            item.insert("warnings".into(), json!(plan.prepared.warnings));
        }
        Ok(())
    }

    /// Everything of a request that can be known before a cluster is changed; its chart has a digest then.
    pub(super) async fn ready(
        &self,
        caller: &Caller,
        request: &mut ChartsRequest,
        is_upgrade: bool,
    ) -> Result<Ready> {
        let inner = &self.inner;
        let chosen = self.chosen(caller, &request.targets).await?;
        let (slot, backend) = inner.backend(request.backend.as_deref())?;
        request.chart.digest = Box::pin(self.obtain(caller, &request.chart)).await?;
        let request = &*request;
        let archive = inner.archives.fetch(&request.chart.digest).await?;
        let plans = Mutex::new(Plans::default());
        let prepare = chosen.iter().cloned().map(|entry| {
            let (plans, backend, archive) = (&plans, &backend, &archive);
            async move {
                let values = targets::values_for(&entry, &request.values, &request.overrides)?;
                let of = Asked {
                    request,
                    is_upgrade,
                    values: &values,
                    archive,
                };
                inner.prepare(&entry, backend.as_ref(), &of, plans).await
            }
        });
        let rows: Vec<Prepared> = stream::iter(prepare)
            .buffered(AT_ONCE)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<_>>()?;
        let plans = plans.into_inner();
        if plans.all.is_empty()
            && let Some(problem) = plans.refused
        {
            return Err(problem);
        }
        Ok(Ready {
            chosen,
            slot,
            backend,
            rows,
            plans,
        })
    }
}

/// What is asked of one target.
struct Asked<'a> {
    request: &'a ChartsRequest,
    is_upgrade: bool,
    values: &'a str,
    archive: &'a bytes::Bytes,
}

impl Inner {
    async fn prepare(
        &self,
        entry: &Entry,
        backend: &dyn Charts,
        asked: &Asked<'_>,
        plans: &Mutex<Plans>,
    ) -> Result<Prepared> {
        let mut prepared = Prepared {
            plan: None,
            action: "install",
            revision_before: None,
            problem: None,
            facts: None,
        };
        let made = async {
            let connection = self.connect(entry, Writes::None).await.map_err(of_fault)?;
            let release = &asked.request.release;
            let facts = self.facts(
                entry,
                connection.as_ref(),
                &release.name,
                &release.namespace,
            );
            let history = async {
                if !asked.is_upgrade {
                    return Ok(None);
                }
                let named = Facts {
                    release: release.name.clone(),
                    namespace: release.namespace.clone(),
                    ..Facts::default()
                };
                match present(backend, &connection, &named).await {
                    Ok(found) => Ok(found),
                    Err(Error::NotFound { .. }) => Ok(None),
                    Err(error) => Err((reason_of(&error).to_owned(), error)),
                }
            };
            let (facts, present) = tokio::join!(facts, history);
            let (mut facts, present) = (facts.map_err(of_fault)?, present?);
            if let Some((newest, deployed)) = present {
                prepared.action = "upgrade";
                prepared.revision_before = Some(deployed);
                facts.revision = newest.saturating_add(1);
            }
            facts.action = prepared.action.to_owned();
            facts.backend = backend
                .choice(connection.clone(), &facts)
                .await
                .map_err(|error| (reason_of(&error).to_owned(), error))?;
            prepared.facts = Some(facts.clone());
            plans
                .lock()
                .await
                .index_for(backend, asked.archive, asked.values, &facts, connection)
                .await
                .map_err(|error| (reason_of(&error).to_owned(), error))
        };
        match made.await {
            Ok(index) => prepared.plan = Some(index),
            // Without a plugin nothing can be said of any cluster.
            Err((_, error @ (Error::NoPlugin { .. } | Error::Plugin(_)))) => return Err(error),
            Err((reason, error)) => {
                prepared.problem = Some((reason, one_line(&error.to_string())));
                if matches!(error, Error::Invalid(_)) {
                    plans.lock().await.refused.get_or_insert(error);
                }
            }
        }
        Ok(prepared)
    }

    /// What a preview shows of one target.
    async fn look(
        &self,
        ready: &Ready,
        row: usize,
        request: &ChartsRequest,
    ) -> Result<Map<String, Value>, (String, String)> {
        let (Some(entry), Some(row)) = (ready.chosen.get(row), ready.rows.get(row)) else {
            return Ok(Map::new());
        };
        if let Some(problem) = &row.problem {
            return Err(problem.clone());
        }
        let mut item = Map::from_iter([
            ("action".to_owned(), row.action.into()),
            ("plan".to_owned(), json!(row.plan)),
        ]);
        if let Some(revision) = row.revision_before {
            item.insert("revision".into(), revision.into());
        }
        let plan = row.plan.and_then(|index| ready.plans.all.get(index));
        let (Some(plan), Some(facts), DryRun::Server) = (plan, &row.facts, request.dry_run) else {
            return Ok(item);
        };
        let asked = (facts.clone(), plan.prepared.plan.clone().into());
        let options = options_json(&request.options, TIMEOUT);
        let backend = ready.backend.as_ref();
        let changes = self.changes(entry, backend, asked, &options).await?;
        item.insert("objects".into(), json!(changes));
        Ok(item)
    }

    /// What a backend says that a plan, or what the options name, would change on a cluster.
    pub(super) async fn changes(
        &self,
        entry: &Entry,
        backend: &dyn Charts,
        (facts, plan): (Facts, bytes::Bytes),
        options: &str,
    ) -> Result<Vec<ObjectChange>, (String, String)> {
        let connection = self
            .connect(entry, Writes::DryRun)
            .await
            .map_err(|fault| watched::of_fault(&fault))?;
        let connection = Watched::reading(connection);
        let call = Call::client().within(TIMEOUT);
        backend
            .preview(call, connection.clone(), facts, plan, options)
            .await
            .map_err(|error| connection.problem(&error))
    }
}

/// The newest revision, and the one to go back to: the deployed one, which is usually the same. None where only an
/// uninstalled history is left.
async fn present(
    backend: &dyn Charts,
    connection: &Arc<dyn Connection>,
    facts: &Facts,
) -> Result<Option<(u32, u32)>> {
    let ask = |limit| {
        let call = Call::background().within(LOOK);
        backend.history(call, connection.clone(), facts.clone(), limit)
    };
    let Some(newest) = ask(1).await?.into_iter().next() else {
        return Ok(None);
    };
    if newest.status == "deployed" {
        return Ok(Some((newest.revision, newest.revision)));
    }
    if newest.status == "uninstalled" {
        return Ok(None);
    }
    let all = ask(0).await?;
    let deployed = all.iter().find(|release| release.status == "deployed");
    let back = deployed.map_or(newest.revision, |release| release.revision);
    Ok(Some((newest.revision, back)))
}

/// Options as backends read them: the time is of milliseconds there.
pub(super) fn options_json(options: &Options, timeout: std::time::Duration) -> String {
    let mut options = serde_json::to_value(options).unwrap_or_default();
    if let Value::Object(map) = &mut options {
        map.remove("timeoutSeconds");
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        map.insert("timeoutMs".into(), ms.into());
    }
    options.to_string()
}

fn of_fault(fault: Fault) -> (String, Error) {
    (
        fault.reason.reason().to_owned(),
        Error::unavailable(fault.message),
    )
}

//! The port [`Charts`], served by whatever fills the slot.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use optikon_core::{
    Result,
    ports::{Call, Charts, Connection, Content, Facts, ObjectChange, Outcome, Prepared, Release},
};
use serde_json::Value;
use wasmtime::{
    Store,
    component::{Accessor, InstancePre, Resource},
};

use crate::{
    bindings::{
        charts::{self as wit, ChartsPre},
        host::optikon::common::types::Error as WitError,
    },
    call::{Answer, End, Loaded, Role},
    check::{self, Broken},
    convert::{
        charts::{
            from_change, from_content, from_outcome, from_records, from_release_error,
            from_releases, from_warnings,
        },
        error::own_fault,
    },
    noted::{Noted, Target},
    slot::Slot,
    state::{Ctx, Link},
};

/// A plan is kept sealed in the store.
const MAX_PLAN_BYTES: usize = 32 * 1024 * 1024;

impl Role for wit::Charts {
    type Pre = ChartsPre<Ctx>;

    fn prepare(pre: InstancePre<Ctx>) -> wasmtime::Result<Self::Pre> {
        ChartsPre::new(pre)
    }

    fn begin<'a>(
        pre: &'a Self::Pre,
        store: &'a mut Store<Ctx>,
    ) -> BoxFuture<'a, wasmtime::Result<Self>> {
        Box::pin(pre.instantiate_async(store))
    }
}

/// A charts backend's slot as a port: every call goes through the slot's pointer.
#[derive(Debug)]
pub(crate) struct ChartsSlot(pub(crate) Arc<Slot<wit::Charts>>);

/// An answer that keeps the contract, or the plugin's own typed error about the release `name`.
fn typed<W, T>(
    answer: Result<W, WitError>,
    name: &str,
    from: impl FnOnce(W) -> Result<T, Broken>,
) -> Answer<T> {
    match answer {
        Ok(answer) => Ok(Ok(from(answer)?)),
        Err(error) => match from_release_error(&error, name) {
            Some(error) => Ok(Err(error)),
            None => Err(End::Broken(own_fault(&error))),
        },
    }
}

/// Hands the connection and the facts of a call to its guest.
fn lend(
    accessor: &Accessor<Ctx>,
    cluster: Arc<dyn Connection>,
    noted: &Arc<Noted>,
) -> wasmtime::Result<(Resource<Link>, Resource<Target>)> {
    accessor.with(|mut access| {
        let ctx = access.get();
        Ok((ctx.lend(cluster)?, ctx.lend_target(noted)?))
    })
}

impl ChartsSlot {
    fn plugin(&self) -> Result<Arc<Loaded<wit::Charts>>> {
        Ok(Arc::clone(&self.0.serving()?.loaded))
    }
}

fn changes(
    found: Vec<crate::bindings::charts::exports::optikon::charts::releases::Change>,
) -> Result<Vec<ObjectChange>, Broken> {
    found.into_iter().map(from_change).collect()
}

#[async_trait]
impl Charts for ChartsSlot {
    async fn describe(&self, call: Call, archive: Bytes) -> Result<Value> {
        let serve = self.plugin()?;
        serve
            .serve(call, "describe", move |accessor, role| {
                Box::pin(async move {
                    let releases = role.optikon_charts_releases();
                    let answer = releases.call_describe(accessor, archive.to_vec()).await?;
                    typed(answer, "", |json| {
                        Ok(Value::Object(check::json_object("a description", &json)?))
                    })
                })
            })
            .await
    }

    async fn prepare(
        &self,
        call: Call,
        archive: Bytes,
        values: Vec<String>,
        facts: Facts,
        cluster: Option<Arc<dyn Connection>>,
    ) -> Result<Prepared> {
        let plugin = self.plugin()?;
        plugin
            .serve(call, "prepare", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let name = noted.facts.release.clone();
                    let (link, target) = accessor.with(|mut access| -> wasmtime::Result<_> {
                        let ctx = access.get();
                        let link = cluster.map(|cluster| ctx.lend(cluster)).transpose()?;
                        Ok((link, ctx.lend_target(&noted)?))
                    })?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_prepare(accessor, archive.to_vec(), values, target, link)
                        .await?;
                    typed(answer, &name, |plan| {
                        check::size("a plan", plan.payload.len(), MAX_PLAN_BYTES)?;
                        Ok(Prepared {
                            plan: plan.payload,
                            objects: plan.objects,
                            warnings: from_warnings(plan.warnings),
                            reads: noted.reads(),
                            is_impure: noted.is_impure(),
                        })
                    })
                })
            })
            .await
    }

    async fn install(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Outcome> {
        let options = options.to_owned();
        let plugin = self.plugin()?;
        plugin
            .serve(call, "install", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_install(accessor, link, target, plan.to_vec(), options)
                        .await?;
                    typed(answer, &noted.facts.release, from_outcome)
                })
            })
            .await
    }

    async fn upgrade(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Outcome> {
        let options = options.to_owned();
        let plugin = self.plugin()?;
        plugin
            .serve(call, "upgrade", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_upgrade(accessor, link, target, plan.to_vec(), options)
                        .await?;
                    typed(answer, &noted.facts.release, from_outcome)
                })
            })
            .await
    }

    async fn preview(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        plan: Bytes,
        options: &str,
    ) -> Result<Vec<ObjectChange>> {
        let options = options.to_owned();
        let plugin = self.plugin()?;
        plugin
            .serve(call, "preview", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_preview(accessor, link, target, plan.to_vec(), options)
                        .await?;
                    typed(answer, &noted.facts.release, changes)
                })
            })
            .await
    }

    async fn show(&self, call: Call, plan: Bytes) -> Result<Value> {
        let plugin = self.plugin()?;
        plugin
            .serve(call, "show", move |accessor, role| {
                Box::pin(async move {
                    let releases = role.optikon_charts_releases();
                    let answer = releases.call_show(accessor, plan.to_vec()).await?;
                    typed(answer, "", |json| {
                        check::size("what a plan holds", json.len(), MAX_PLAN_BYTES)?;
                        Ok(Value::Object(check::json_object(
                            "what a plan holds",
                            &json,
                        )?))
                    })
                })
            })
            .await
    }

    async fn drift(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
    ) -> Result<Vec<ObjectChange>> {
        let plugin = self.plugin()?;
        plugin
            .serve(call, "drift", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases.call_drift(accessor, link, target).await?;
                    typed(answer, &noted.facts.release, changes)
                })
            })
            .await
    }

    async fn rollback(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        revision: Option<u32>,
        options: &str,
    ) -> Result<Outcome> {
        let options = options.to_owned();
        let plugin = self.plugin()?;
        plugin
            .serve(call, "rollback", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_rollback(accessor, link, target, revision, options)
                        .await?;
                    typed(answer, &noted.facts.release, from_outcome)
                })
            })
            .await
    }

    async fn uninstall(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        options: &str,
    ) -> Result<Outcome> {
        let options = options.to_owned();
        let plugin = self.plugin()?;
        plugin
            .serve(call, "uninstall", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_uninstall(accessor, link, target, options)
                        .await?;
                    typed(answer, &noted.facts.release, from_outcome)
                })
            })
            .await
    }

    async fn run_tests(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        options: &str,
    ) -> Result<Outcome> {
        let options = options.to_owned();
        let plugin = self.plugin()?;
        plugin
            .serve(call, "run-tests", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_run_tests(accessor, link, target, options)
                        .await?;
                    typed(answer, &noted.facts.release, from_outcome)
                })
            })
            .await
    }

    async fn list_releases(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        namespace: Option<String>,
        filter: &str,
    ) -> Result<Vec<Release>> {
        let filter = filter.to_owned();
        let plugin = self.plugin()?;
        plugin
            .serve(call, "list-releases", move |accessor, role| {
                Box::pin(async move {
                    let link = accessor.with(|mut access| access.get().lend(cluster))?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_list_releases(accessor, link, namespace, filter)
                        .await?;
                    typed(answer, "", from_releases)
                })
            })
            .await
    }

    async fn records(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        namespace: Option<String>,
        name: &str,
    ) -> Result<Vec<Value>> {
        let name = name.to_owned();
        let plugin = self.plugin()?;
        plugin
            .serve(call, "records", move |accessor, role| {
                Box::pin(async move {
                    let link = accessor.with(|mut access| access.get().lend(cluster))?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases
                        .call_records(accessor, link, namespace, name)
                        .await?;
                    typed(answer, "", from_records)
                })
            })
            .await
    }

    async fn get(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        revision: Option<u32>,
    ) -> Result<Content> {
        let plugin = self.plugin()?;
        plugin
            .serve(call, "get", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases.call_get(accessor, link, target, revision).await?;
                    typed(answer, &noted.facts.release, from_content)
                })
            })
            .await
    }

    async fn history(
        &self,
        call: Call,
        cluster: Arc<dyn Connection>,
        facts: Facts,
        limit: u32,
    ) -> Result<Vec<Release>> {
        let plugin = self.plugin()?;
        plugin
            .serve(call, "history", move |accessor, role| {
                Box::pin(async move {
                    let noted = Arc::new(Noted::new(facts));
                    let (link, target) = lend(accessor, cluster, &noted)?;
                    let releases = role.optikon_charts_releases();
                    let answer = releases.call_history(accessor, link, target, limit).await?;
                    typed(answer, &noted.facts.release, from_releases)
                })
            })
            .await
    }
}

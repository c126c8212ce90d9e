//! Releases of charts the way Helm 4 keeps them: rendered here, applied by the API server, written down in Secrets that
//! the `helm` command line reads and takes over. Nothing of it runs in the cluster.
#![allow(
    async_fn_in_trait,
    reason = "a guest has one thread, so nothing needs to be `Send`"
)]

mod change;
pub mod chart;
mod cluster;
mod facts;
pub mod flow;
mod hooks;
pub mod host;
mod install;
pub mod objects;
pub mod options;
pub mod plan;
mod preview;
pub mod ready;
pub mod record;
pub mod store;
#[cfg(test)]
mod tests;
mod undo;
pub mod view;
mod wait;
pub mod world;

use std::rc::Rc;

use optikon_plugin_sdk::{
    Connection, Error,
    charts::{self, Change, Content, Guest, Outcome, Release, Target},
    export_charts,
};

use crate::{
    flow::Flow,
    host::{HostEnvironment, HostWorld},
    plan::Plan,
};

/// The component.
#[derive(Debug)]
pub struct Plugin;

fn flow<'a>(
    cluster: &'a Connection,
    target: Target,
    options: &str,
) -> Result<Flow<'a, Connection, HostWorld, Target>, Error> {
    Flow::new(
        cluster,
        &HostWorld,
        Rc::new(target),
        Rc::new(HostEnvironment),
        options,
    )
}

impl Guest for Plugin {
    async fn describe(archive: Vec<u8>) -> Result<String, Error> {
        Ok(chart::describe(&archive)?.to_string())
    }
    async fn prepare(
        archive: Vec<u8>,
        values: Vec<String>,
        target: Target,
        cluster: Option<Connection>,
    ) -> Result<charts::Plan, Error> {
        let plan = plan::prepare(
            &archive,
            &values,
            Rc::new(target),
            Rc::new(HostEnvironment),
            cluster.as_ref(),
        )
        .await?;
        Ok(charts::Plan {
            payload: plan.encode()?,
            objects: plan.objects,
            warnings: plan.warnings,
        })
    }
    async fn install(
        cluster: Connection,
        target: Target,
        plan: Vec<u8>,
        options: String,
    ) -> Result<Outcome, Error> {
        flow(&cluster, target, &options)?
            .install(Plan::decode(&plan)?)
            .await
    }
    async fn upgrade(
        cluster: Connection,
        target: Target,
        plan: Vec<u8>,
        options: String,
    ) -> Result<Outcome, Error> {
        flow(&cluster, target, &options)?
            .upgrade(Plan::decode(&plan)?)
            .await
    }
    async fn preview(
        cluster: Connection,
        target: Target,
        plan: Vec<u8>,
        options: String,
    ) -> Result<Vec<Change>, Error> {
        let flow = flow(&cluster, target, &options)?;
        if plan.is_empty() {
            return flow.preview_without_plan().await;
        }
        flow.preview(Plan::decode(&plan)?).await
    }
    async fn show(plan: Vec<u8>) -> Result<String, Error> {
        Ok(Plan::decode(&plan)?.shown().to_string())
    }
    async fn drift(cluster: Connection, target: Target) -> Result<Vec<Change>, Error> {
        flow(&cluster, target, "")?.drift().await
    }
    async fn rollback(
        cluster: Connection,
        target: Target,
        revision: Option<u32>,
        options: String,
    ) -> Result<Outcome, Error> {
        flow(&cluster, target, &options)?
            .rollback(revision.unwrap_or_default())
            .await
    }
    async fn uninstall(
        cluster: Connection,
        target: Target,
        options: String,
    ) -> Result<Outcome, Error> {
        flow(&cluster, target, &options)?.uninstall().await
    }
    async fn run_tests(
        cluster: Connection,
        target: Target,
        options: String,
    ) -> Result<Outcome, Error> {
        flow(&cluster, target, &options)?.run_tests().await
    }
    async fn list_releases(
        cluster: Connection,
        namespace: Option<String>,
        filter: String,
    ) -> Result<Vec<Release>, Error> {
        view::list(&cluster, namespace.as_deref(), &filter).await
    }
    async fn records(
        cluster: Connection,
        namespace: Option<String>,
        name: String,
    ) -> Result<Vec<String>, Error> {
        view::records(&cluster, namespace.as_deref(), &name).await
    }
    async fn get(
        cluster: Connection,
        target: Target,
        revision: Option<u32>,
    ) -> Result<Content, Error> {
        view::content(
            &cluster,
            &target.namespace(),
            &target.release(),
            revision.unwrap_or_default(),
        )
        .await
    }
    async fn history(
        cluster: Connection,
        target: Target,
        limit: u32,
    ) -> Result<Vec<Release>, Error> {
        view::history(&cluster, &target.namespace(), &target.release(), limit).await
    }
}

export_charts!(Plugin);

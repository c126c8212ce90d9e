//! Releases that Helm 2's Tiller keeps. Tiller renders, applies and writes down; this plugin packs charts, asks, and says
//! in the gateway's words what came of it. It reaches Tiller through the member's API server, so nobody has to expose it.
#![allow(
    async_fn_in_trait,
    reason = "a guest has one thread, so nothing needs to be `Send`"
)]

mod adopt;
pub mod calls;
pub mod chart;
pub mod flow;
pub mod host;
pub mod options;
pub mod plan;
mod preview;
mod record;
pub mod session;
mod storage;
#[cfg(test)]
mod tests;
mod undo;
mod view;
pub mod wire;
pub mod world;

use optikon_plugin_sdk::{
    Connection, Error,
    charts::{self, Change, Content, Guest, Outcome, Release, Target},
    export_charts,
};
use prost::Message;

use crate::{
    flow::Flow,
    host::Host,
    plan::Plan,
    session::{Session, is_away},
};

/// The component.
#[derive(Debug)]
pub struct Plugin;

fn flow<'a, 'b>(
    host: &'a Host<'b>,
    target: &Target,
    options: &str,
) -> Result<Flow<'a, Host<'b>>, Error> {
    Flow::new(host, target.release(), target.namespace(), options)
}

fn not_found(name: &str) -> Error {
    Error::not_found(format!("release \"{name}\" is not there"))
}

impl Guest for Plugin {
    async fn describe(archive: Vec<u8>) -> Result<String, Error> {
        Ok(chart::describe(&archive)?.to_string())
    }
    async fn prepare(
        archive: Vec<u8>,
        values: Vec<String>,
        _target: Target,
        _cluster: Option<Connection>,
    ) -> Result<charts::Plan, Error> {
        Ok(charts::Plan {
            payload: plan::prepare(&archive, &values)?.encode_to_vec(),
            // Tiller renders, so nobody knows yet.
            objects: 0,
            warnings: Vec::new(),
        })
    }
    async fn install(
        cluster: Connection,
        target: Target,
        plan: Vec<u8>,
        options: String,
    ) -> Result<Outcome, Error> {
        let host = Host::new(&cluster)?;
        flow(&host, &target, &options)?
            .install(Plan::read(&plan)?)
            .await
    }
    async fn upgrade(
        cluster: Connection,
        target: Target,
        plan: Vec<u8>,
        options: String,
    ) -> Result<Outcome, Error> {
        let host = Host::new(&cluster)?;
        flow(&host, &target, &options)?
            .upgrade(Plan::read(&plan)?)
            .await
    }
    async fn preview(
        cluster: Connection,
        target: Target,
        plan: Vec<u8>,
        options: String,
    ) -> Result<Vec<Change>, Error> {
        let host = Host::new(&cluster)?;
        let flow = flow(&host, &target, &options)?;
        if flow.options.adopt {
            return flow.adoption(&cluster, host.namespace()).await;
        }
        if plan.is_empty() {
            return Err(Error::unsupported(
                "Tiller does not say what a rollback or an uninstall would change",
            ));
        }
        flow.preview(Plan::read(&plan)?).await
    }
    async fn show(plan: Vec<u8>) -> Result<String, Error> {
        // Tiller renders, so there is nothing to show but what it would be given.
        let values = Plan::read(&plan)?.values;
        let shown =
            serde_json::json!({ "manifest": "", "hooks": [], "notes": "", "values": values });
        Ok(shown.to_string())
    }
    async fn drift(_cluster: Connection, _target: Target) -> Result<Vec<Change>, Error> {
        Err(Error::unsupported(
            "Tiller does not compare objects with what it applied; adopt the release to see drift",
        ))
    }
    async fn rollback(
        cluster: Connection,
        target: Target,
        revision: Option<u32>,
        options: String,
    ) -> Result<Outcome, Error> {
        let host = Host::new(&cluster)?;
        let flow = flow(&host, &target, &options)?;
        flow.rollback(revision.unwrap_or_default()).await
    }
    async fn uninstall(
        cluster: Connection,
        target: Target,
        options: String,
    ) -> Result<Outcome, Error> {
        let host = Host::new(&cluster)?;
        let flow = flow(&host, &target, &options)?;
        if flow.options.adopt {
            return flow.adopt(&cluster, host.namespace()).await;
        }
        flow.uninstall().await
    }
    async fn run_tests(
        cluster: Connection,
        target: Target,
        options: String,
    ) -> Result<Outcome, Error> {
        let host = Host::new(&cluster)?;
        flow(&host, &target, &options)?.run_tests().await
    }
    async fn list_releases(
        cluster: Connection,
        namespace: Option<String>,
        filter: String,
    ) -> Result<Vec<Release>, Error> {
        let host = Host::new(&cluster)?;
        let namespace = namespace.as_deref();
        let asked = async { Session::open(&host).await?.list(namespace, &filter).await };
        match asked.await {
            Ok(heads) => Ok(view::releases(&heads, None)),
            Err(away) if is_away(&away) => {
                let tillers = host.namespace();
                let fits = |name: &str| name.contains(&filter);
                let heads = storage::list(&cluster, tillers, namespace, fits).await;
                // Neither Tiller nor a record of one: then it is Tiller that is missing.
                match heads {
                    Ok(heads) if !heads.is_empty() => {
                        Ok(view::releases(&heads, Some(&away.message)))
                    }
                    Ok(_) | Err(_) => Err(away),
                }
            }
            Err(error) => Err(error),
        }
    }
    async fn records(
        cluster: Connection,
        namespace: Option<String>,
        name: String,
    ) -> Result<Vec<String>, Error> {
        let host = Host::new(&cluster)?;
        let namespace = namespace.as_deref();
        let asked = async { Session::open(&host).await?.records(namespace, &name).await };
        let found = match asked.await {
            Ok(found) => found,
            Err(away) if is_away(&away) => {
                let fits = |other: &str| name.is_empty() || other == name;
                match storage::list(&cluster, host.namespace(), namespace, fits).await {
                    Ok(found) if !found.is_empty() => found,
                    Ok(_) | Err(_) => return Err(away),
                }
            }
            Err(error) => return Err(error),
        };
        Ok(record::texts(&found))
    }
    async fn get(
        cluster: Connection,
        target: Target,
        revision: Option<u32>,
    ) -> Result<Content, Error> {
        let host = Host::new(&cluster)?;
        let (name, version) = (target.release(), revision.unwrap_or_default());
        let asked = async { Session::open(&host).await?.content(&name, version).await };
        let (found, away) = match asked.await {
            Ok(found) => (found, None),
            Err(away) if is_away(&away) => {
                let found = storage::content(&cluster, host.namespace(), &name, version).await;
                match found {
                    Ok(Some(found)) => (Some(found), Some(away.message)),
                    Ok(None) | Err(_) => return Err(away),
                }
            }
            Err(error) => return Err(error),
        };
        let found = found.filter(|found| found.namespace == target.namespace());
        let found = found.ok_or_else(|| not_found(&name))?;
        Ok(view::content(&found, away.as_deref()))
    }
    async fn history(
        cluster: Connection,
        target: Target,
        limit: u32,
    ) -> Result<Vec<Release>, Error> {
        let host = Host::new(&cluster)?;
        let name = target.release();
        let asked = async { Session::open(&host).await?.history(&name, limit).await };
        let (mut heads, away) = match asked.await {
            Ok(heads) => (heads, None),
            Err(away) if is_away(&away) => {
                match storage::history(&cluster, host.namespace(), &name).await {
                    Ok(heads) if !heads.is_empty() => (heads, Some(away.message)),
                    Ok(_) | Err(_) => return Err(away),
                }
            }
            Err(error) => return Err(error),
        };
        heads.retain(|head| head.namespace == target.namespace());
        if limit > 0 {
            heads.truncate(limit as usize);
        }
        if heads.is_empty() {
            return Err(not_found(&name));
        }
        let heads = heads.iter();
        Ok(heads
            .map(|head| view::release(head, false, away.as_deref()))
            .collect())
    }
}

export_charts!(Plugin);

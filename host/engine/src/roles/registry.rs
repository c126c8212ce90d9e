//! The port [`Registry`], served by whatever fills the slot.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, channel::mpsc, future::BoxFuture};
use optikon_core::{
    Error, Result,
    ports::{Call, EventStream, Object, Page, Registry, Supported},
    words::{Cluster, ClusterName, Uid},
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use wasmtime::{
    AsContextMut, Store,
    component::{Accessor, InstancePre},
};

use super::watch::{CHANNEL_ITEMS, Consumer, Driven, Item};
use crate::{
    bindings::{
        host::optikon::common::types::Error as WitError,
        registry::{self as wit, RegistryPre, exports::optikon::registry::clusters},
    },
    call::{End, Loaded, Role},
    convert::{
        cluster::{from_event, from_object, from_page, from_supported},
        error::{from_error, own_fault},
    },
    meter::{Budget, Metered},
    slot::Slot,
    state::{Ctx, Serving},
    stats::Outcome,
};

impl Role for wit::Registry {
    type Pre = RegistryPre<Ctx>;

    fn prepare(pre: InstancePre<Ctx>) -> wasmtime::Result<Self::Pre> {
        RegistryPre::new(pre)
    }

    fn begin<'a>(
        pre: &'a Self::Pre,
        store: &'a mut Store<Ctx>,
    ) -> BoxFuture<'a, wasmtime::Result<Self>> {
        Box::pin(pre.instantiate_async(store))
    }
}

type Plugin = Loaded<wit::Registry>;

/// An answer, or the plugin's own typed error about the cluster `name`.
fn typed<T>(answer: Result<T, WitError>, name: &str) -> Result<Result<T>, End> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) => match from_error(&error, name) {
            Some(error) => Ok(Err(error)),
            None => Err(End::Broken(own_fault(&error))),
        },
    }
}

/// One object of that name, checked.
fn object(answer: Result<clusters::Object, WitError>, name: &str) -> Result<Result<Object>, End> {
    let answer = match typed(answer, name)? {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(error)),
    };
    let found = from_object(&answer)?;
    if found.cluster.name().as_str() != name {
        let other = found.cluster.name();
        return Err(End::Broken(format!(
            "it was asked for \"{name}\" and answered \"{other}\""
        )));
    }
    Ok(Ok(found))
}

/// What the plugin can do, asked for when it is loaded.
pub(crate) async fn supported(plugin: &Arc<Plugin>) -> Result<Supported> {
    let words = plugin
        .serve(Call::background(), "supported", |accessor, role| {
            Box::pin(async move {
                Ok(Ok(role
                    .optikon_registry_clusters()
                    .call_supported(accessor)
                    .await?))
            })
        })
        .await?;
    Ok(from_supported(&words))
}

/// Whether the plugin can serve now.
pub(crate) async fn check(plugin: &Arc<Plugin>, call: Call) -> Result<()> {
    plugin
        .serve(call, "check", |accessor, role| {
            Box::pin(async move {
                let answer = role
                    .optikon_registry_clusters()
                    .call_check(accessor)
                    .await?;
                typed(answer, "")
            })
        })
        .await
}

/// The registry's slot as a port: every call goes through the slot's pointer.
#[derive(Debug)]
pub(crate) struct RegistrySlot(pub(crate) Arc<Slot<wit::Registry>>);

impl RegistrySlot {
    fn plugin(&self) -> Result<Arc<Plugin>> {
        Ok(Arc::clone(&self.0.serving()?.loaded))
    }
}

#[async_trait]
impl Registry for RegistrySlot {
    async fn supported(&self) -> Result<Supported> {
        supported(&self.plugin()?).await
    }

    async fn check(&self, call: Call) -> Result<()> {
        check(&self.plugin()?, call).await
    }

    async fn list(
        &self,
        call: Call,
        selector: &str,
        limit: u32,
        next: Option<String>,
    ) -> Result<Page> {
        let selector = selector.to_owned();
        self.plugin()?
            .serve(call, "list-clusters", move |accessor, role| {
                Box::pin(async move {
                    let clusters = role.optikon_registry_clusters();
                    let answer = clusters
                        .call_list_clusters(accessor, selector, limit, next)
                        .await?;
                    match typed(answer, "")? {
                        Ok(page) => Ok(Ok(from_page(page, limit)?)),
                        Err(error) => Ok(Err(error)),
                    }
                })
            })
            .await
    }

    async fn get(&self, call: Call, name: &ClusterName) -> Result<Object> {
        let name = name.to_string();
        self.plugin()?
            .serve(call, "get", move |accessor, role| {
                Box::pin(async move {
                    let clusters = role.optikon_registry_clusters();
                    object(clusters.call_get(accessor, name.clone()).await?, &name)
                })
            })
            .await
    }

    async fn create(&self, call: Call, cluster: &Cluster, dry_run: bool) -> Result<Object> {
        let (name, json) = (cluster.name().to_string(), cluster.to_json());
        self.plugin()?
            .serve(call, "create", move |accessor, role| {
                Box::pin(async move {
                    let clusters = role.optikon_registry_clusters();
                    object(clusters.call_create(accessor, json, dry_run).await?, &name)
                })
            })
            .await
    }

    async fn update(
        &self,
        call: Call,
        cluster: &Cluster,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object> {
        let (name, json) = (cluster.name().to_string(), cluster.to_json());
        self.plugin()?
            .serve(call, "update", move |accessor, role| {
                Box::pin(async move {
                    let clusters = role.optikon_registry_clusters();
                    object(
                        clusters
                            .call_update(accessor, json, expect, dry_run)
                            .await?,
                        &name,
                    )
                })
            })
            .await
    }

    async fn set_status(
        &self,
        call: Call,
        name: &ClusterName,
        uid: &Uid,
        conditions: &str,
    ) -> Result<Object> {
        let (name, uid, conditions) = (name.to_string(), uid.to_string(), conditions.to_owned());
        self.plugin()?
            .serve(call, "set-status", move |accessor, role| {
                Box::pin(async move {
                    let clusters = role.optikon_registry_clusters();
                    let answer =
                        clusters.call_set_status(accessor, name.clone(), uid, conditions, None);
                    object(answer.await?, &name)
                })
            })
            .await
    }

    async fn delete(
        &self,
        call: Call,
        name: &ClusterName,
        uid: Option<&Uid>,
        expect: Option<String>,
        dry_run: bool,
    ) -> Result<Object> {
        let (name, uid) = (name.to_string(), uid.map(ToString::to_string));
        self.plugin()?
            .serve(call, "delete", move |accessor, role| {
                Box::pin(async move {
                    let clusters = role.optikon_registry_clusters();
                    let answer = clusters.call_delete(accessor, name.clone(), uid, expect, dry_run);
                    object(answer.await?, &name)
                })
            })
            .await
    }

    async fn watch(&self, selector: &str, after: Option<String>) -> Result<EventStream> {
        let plugin = self.plugin()?;
        let (items, received) = mpsc::channel(CHANNEL_ITEMS);
        let (began, mut has_begun) = oneshot::channel();
        let start = Instant::now();
        let deadline = start + plugin.shared.limits.wall();
        let mut driver = drive(
            Arc::clone(&plugin),
            selector.to_owned(),
            after,
            items,
            began,
        );
        // Until the plugin said that it watches, this is a call like any other, with its wall time.
        let mut ended = None;
        let begin = async {
            tokio::select! {
                biased;
                end = &mut driver => {
                    let early = has_begun.try_recv();
                    ended = Some(end);
                    early.unwrap_or_else(|_| match ended.take() {
                        Some(Err(error)) => Err(error),
                        _ => Err(Error::unavailable("the watch ended before it began")),
                    })
                }
                begun = &mut has_begun => begun.unwrap_or_else(|_| Err(Error::unavailable("the watch ended before it began"))),
            }
        };
        let begun = timeout_at(deadline, begin).await;
        let begun = begun.unwrap_or_else(|_| Err(plugin.error("watch", End::Wall)));
        let outcome = if begun.is_ok() {
            Outcome::Ok
        } else {
            Outcome::Failed
        };
        plugin.stats.record("watch", outcome, start.elapsed());
        begun?;
        let of_events = {
            let plugin = Arc::clone(&plugin);
            move |item: Item| match item {
                Ok(event) => {
                    from_event(&event).map_err(|broken| plugin.error("watch", broken.into()))
                }
                Err(error) => Err(from_error(&error, "")
                    .unwrap_or_else(|| plugin.error("watch", End::Broken(own_fault(&error))))),
            }
        };
        Ok(Driven::new(driver, ended, received.map(of_events)).boxed())
    }
}

/// Runs a watch until the guest ends it, or the reader drops it.
fn drive(
    plugin: Arc<Plugin>,
    selector: String,
    after: Option<String>,
    items: mpsc::Sender<Item>,
    began: oneshot::Sender<Result<()>>,
) -> BoxFuture<'static, Result<()>> {
    let budget = Budget::PerSecond(plugin.shared.limits.cpu());
    let run = {
        let plugin = Arc::clone(&plugin);
        async move {
            let _place = plugin.instances.acquire().await.map_err(|_| End::Wall)?;
            let mut store = plugin.store(Serving::new(&plugin.shared, "watch", None, None));
            let role = wit::Registry::begin(&plugin.pre, &mut store).await?;
            let ran = store.run_concurrent(async |accessor| {
                watch(accessor, &role, selector, after, items, began).await
            });
            ran.await?
        }
    };
    let metered = Metered::new(run, budget);
    Box::pin(async move {
        match metered.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(end)) => Err(plugin.error("watch", end)),
            Err(_) => Err(plugin.error("watch", End::Cpu)),
        }
    })
}

async fn watch(
    accessor: &Accessor<Ctx>,
    role: &wit::Registry,
    selector: String,
    after: Option<String>,
    items: mpsc::Sender<Item>,
    began: oneshot::Sender<Result<()>>,
) -> Result<(), End> {
    let clusters = role.optikon_registry_clusters();
    let answer = clusters.call_watch(accessor, selector, after).await?;
    let reader = match typed(answer, "")? {
        Ok(reader) => reader,
        Err(error) => {
            // Nobody waits any more when the caller left.
            let _ = began.send(Err(error));
            return Ok(());
        }
    };
    let (closed, is_closed) = oneshot::channel();
    accessor
        .with(|mut access| reader.pipe(access.as_context_mut(), Consumer::new(items, closed)))?;
    let _ = began.send(Ok(()));
    // Ends with an error as the sender is only ever dropped: with the guest's end of the stream.
    let _ = is_closed.await;
    Ok(())
}

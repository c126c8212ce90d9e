//! The port [`Prober`], served by whatever fills the slot.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use optikon_core::{
    Result,
    ports::{Call, Connection, Prober},
    words::{Depth, Observation},
};
use wasmtime::{Store, component::InstancePre};

use crate::{
    bindings::prober::{self as wit, ProberPre},
    call::{End, Role},
    convert::{
        error::{from_error, own_fault},
        probe::{from_observation, to_depth},
    },
    slot::Slot,
    state::Ctx,
};

impl Role for wit::Prober {
    type Pre = ProberPre<Ctx>;

    fn prepare(pre: InstancePre<Ctx>) -> wasmtime::Result<Self::Pre> {
        ProberPre::new(pre)
    }

    fn begin<'a>(
        pre: &'a Self::Pre,
        store: &'a mut Store<Ctx>,
    ) -> BoxFuture<'a, wasmtime::Result<Self>> {
        Box::pin(pre.instantiate_async(store))
    }
}

/// The prober's slot as a port: every call goes through the slot's pointer.
#[derive(Debug)]
pub(crate) struct ProberSlot(pub(crate) Arc<Slot<wit::Prober>>);

#[async_trait]
impl Prober for ProberSlot {
    async fn probe(
        &self,
        call: Call,
        connection: Arc<dyn Connection>,
        depth: Depth,
    ) -> Result<Observation> {
        let filled = self.0.serving()?;
        let name = connection.name().to_owned();
        filled
            .loaded
            .serve(call, "probe", move |accessor, role| {
                Box::pin(async move {
                    let link = accessor.with(|mut access| access.get().lend(connection))?;
                    let probe =
                        role.optikon_prober_probes()
                            .call_probe(accessor, link, to_depth(depth));
                    match probe.await? {
                        Ok(observation) => Ok(Ok(from_observation(observation)?)),
                        Err(error) => match from_error(&error, &name) {
                            Some(error) => Ok(Err(error)),
                            None => Err(End::Broken(own_fault(&error))),
                        },
                    }
                })
            })
            .await
    }
}

//! `upstream`: HTTPS base addresses that the operator configured.

use std::sync::Arc;

use wasmtime::component::{Accessor, HasSelf, Resource};

use super::parts;
use crate::{
    bindings::host::optikon::host::{kube, upstream},
    convert::kube::to_fault,
    state::{Ctx, Link},
};

impl upstream::Host for Ctx {}

impl<T: Send> upstream::HostWithStore<T> for HasSelf<Ctx> {
    async fn connect(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Resource<Link>, kube::Fault>> {
        let (shared, requests) = parts(accessor);
        let _place = requests.begin(0).await?;
        let peers = Arc::clone(&shared.peers);
        match peers.upstream(&shared.slot, &name).await {
            Ok(connection) => accessor
                .with(|mut access| access.get().lend(connection))
                .map(Ok),
            Err(fault) => Ok(Err(to_fault(fault))),
        }
    }
}

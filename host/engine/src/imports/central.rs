//! `central`: the cluster that holds the registry.

use std::sync::Arc;

use wasmtime::component::{Accessor, HasSelf, Resource};

use super::parts;
use crate::{
    bindings::host::optikon::host::{central, kube},
    convert::kube::to_fault,
    state::{Ctx, Link},
};

impl central::Host for Ctx {}

impl<T: Send> central::HostWithStore<T> for HasSelf<Ctx> {
    async fn connect(
        accessor: &Accessor<T, Self>,
    ) -> wasmtime::Result<Result<Resource<Link>, kube::Fault>> {
        let (shared, requests) = parts(accessor);
        let _place = requests.begin(0).await?;
        let peers = Arc::clone(&shared.peers);
        let name = shared.central_name.as_deref();
        match peers.central(&shared.slot, name, &shared.central).await {
            Ok(connection) => accessor
                .with(|mut access| access.get().lend(connection))
                .map(Ok),
            Err(fault) => Ok(Err(to_fault(fault))),
        }
    }
}

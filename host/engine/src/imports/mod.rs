//! The host's functions, each onto a port. One file per interface, linked only where it is granted.

mod call;
mod central;
mod clock;
mod config;
mod facts;
pub(crate) mod grpc;
mod keys;
mod kube;
mod kv;
pub(crate) mod log;
mod progress;
mod random;
mod stream;
mod upstream;
mod wasi;

use std::sync::Arc;

use wasmtime::component::{Accessor, HasSelf, Linker};

use crate::{
    bindings::host::optikon::{common, host},
    grants::{Grants, WASI},
    state::{Ctx, Requests, Shared},
};

/// Links what is granted, and nothing else.
pub(crate) fn link(linker: &mut Linker<Ctx>, grants: &Grants) -> wasmtime::Result<()> {
    type Own = HasSelf<Ctx>;
    common::types::add_to_linker::<_, Own>(linker, |ctx| ctx)?;
    for name in &grants.interfaces {
        match name.as_str() {
            "log" => host::log::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "config" => host::config::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "call" => host::call::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "clock" => host::clock::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "random" => host::random::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "kv" => host::kv::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "kube" => host::kube::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "central" => host::central::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "upstream" => host::upstream::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "keys" => host::keys::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "progress" => host::progress::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "facts" => host::facts::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            "grpc" => host::grpc::add_to_linker::<_, Own>(linker, |ctx| ctx)?,
            WASI => wasmtime_wasi::p2::add_to_linker_async(linker)?,
            _ => {}
        }
    }
    Ok(())
}

impl common::types::Host for Ctx {}

/// What an async host function needs, taken out so that the store is not borrowed while it waits.
fn parts<T>(accessor: &Accessor<T, HasSelf<Ctx>>) -> (Arc<Shared>, Arc<Requests>) {
    accessor.with(|mut access| {
        let ctx = access.get();
        (Arc::clone(&ctx.shared), Arc::clone(&ctx.serving.requests))
    })
}

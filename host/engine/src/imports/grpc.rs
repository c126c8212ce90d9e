//! `grpc`: calls of a pod, over a tunnel on a connection that this call was given.

use std::sync::{Arc, atomic::AtomicUsize};

use futures::StreamExt;
use optikon_core::{
    ports::{Channel, Connection},
    words::{Fault, FaultReason, GrpcFailure},
};
use wasmtime::{
    AsContextMut,
    component::{Accessor, HasSelf, Resource, ResourceTableError, StreamReader},
};

use super::{parts, stream::Producer};
use crate::{
    bindings::host::optikon::host::{grpc, kube},
    convert::{
        grpc::{from_call, from_target, to_failure},
        kube::to_fault,
    },
    limits::{Crossed, key},
    state::{Ctx, Link, OpenStream, Requests},
};

/// A guest's handle on a tunnel. It is dropped with the store at the latest.
#[allow(
    unreachable_pub,
    reason = "generated code re-exports it inside this crate"
)]
pub struct Dialled {
    channel: Arc<dyn Channel>,
    call: u64,
}

impl grpc::Host for Ctx {}

impl grpc::HostChannel for Ctx {
    fn drop(&mut self, channel: Resource<Dialled>) -> wasmtime::Result<()> {
        self.table.delete(channel)?;
        Ok(())
    }
}

type Handed = (Arc<dyn Channel>, Arc<Requests>, u64, Arc<AtomicUsize>);

fn handed(
    accessor: &Accessor<Ctx, HasSelf<Ctx>>,
    channel: &Resource<Dialled>,
) -> wasmtime::Result<Handed> {
    accessor.with(|mut access| {
        let ctx = access.get();
        let dialled = ctx.table.get(channel)?;
        if dialled.call != ctx.serving.id {
            return Err(wasmtime::Error::msg(
                "the channel ended with the call that it was dialled in",
            ));
        }
        Ok((
            Arc::clone(&dialled.channel),
            Arc::clone(&ctx.serving.requests),
            ctx.shared.limits.response_bytes,
            Arc::clone(&ctx.serving.streams),
        ))
    })
}

fn too_large(limit: u64) -> grpc::Failure {
    to_failure(GrpcFailure::Fault(Fault::new(
        FaultReason::TooLarge,
        format!("the answer is larger than response-bytes = {limit}"),
    )))
}

impl grpc::HostWithStore<Ctx> for HasSelf<Ctx> {
    async fn dial(
        accessor: &Accessor<Ctx, Self>,
        link: Resource<Link>,
        target: grpc::PodTarget,
    ) -> wasmtime::Result<Result<Resource<Dialled>, kube::Fault>> {
        let (shared, requests) = parts(accessor);
        let connection: Arc<dyn Connection> = accessor.with(|mut access| {
            let ctx = access.get();
            ctx.serving.note_impure();
            ctx.connection(&link)
        })?;
        let _place = requests.begin(0).await?;
        let target = match from_target(target, &shared) {
            Ok(target) => target,
            Err(fault) => return Ok(Err(to_fault(fault))),
        };
        let channel = match connection.dial(target).await {
            Ok(channel) => channel,
            Err(fault) => return Ok(Err(to_fault(fault))),
        };
        accessor.with(|mut access| {
            let ctx = access.get();
            let call = ctx.serving.id;
            match ctx.table.push(Dialled { channel, call }) {
                Ok(handle) => Ok(Ok(handle)),
                Err(ResourceTableError::Full) => Err(Crossed::new(
                    key::resources,
                    shared.limits.resources,
                    "the call holds too many channels",
                )
                .into()),
                Err(other) => Err(other.into()),
            }
        })
    }
}

impl grpc::HostChannelWithStore<Ctx> for HasSelf<Ctx> {
    async fn unary(
        accessor: &Accessor<Ctx, Self>,
        channel: Resource<Dialled>,
        call: grpc::Call,
    ) -> wasmtime::Result<Result<Vec<u8>, grpc::Failure>> {
        let (channel, requests, limit, _) = handed(accessor, &channel)?;
        let mut place = requests.begin(call.message.len() as u64).await?;
        match channel.unary(from_call(call)).await {
            Ok(message) if message.len() as u64 > limit => Ok(Err(too_large(limit))),
            Ok(message) => {
                place.answered(message.len() as u64).await?;
                Ok(Ok(message.to_vec()))
            }
            Err(failure) => Ok(Err(to_failure(failure))),
        }
    }

    async fn server_stream(
        accessor: &Accessor<Ctx, Self>,
        channel: Resource<Dialled>,
        call: grpc::Call,
    ) -> wasmtime::Result<Result<StreamReader<Result<Vec<u8>, grpc::Failure>>, grpc::Failure>> {
        let (channel, requests, limit, streams) = handed(accessor, &channel)?;
        let _place = requests.begin(call.message.len() as u64).await?;
        let messages = match channel.server_stream(from_call(call)).await {
            Ok(messages) => messages,
            Err(failure) => return Ok(Err(to_failure(failure))),
        };
        let messages = messages.map(move |message| match message {
            Ok(message) if message.len() as u64 > limit => Err(too_large(limit)),
            Ok(message) => Ok(message.to_vec()),
            Err(failure) => Err(to_failure(failure)),
        });
        let producer = Producer::new(messages.boxed(), OpenStream::new(&streams));
        accessor.with(|mut access| StreamReader::new(access.as_context_mut(), producer).map(Ok))
    }
}

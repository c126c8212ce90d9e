//! `kube`: requests over a connection that this call was given.

use std::sync::Arc;

use futures::StreamExt;
use optikon_core::{
    ports::Connection,
    step,
    words::{Fault, FaultReason, Refusal, Request},
};
use tracing::{Instrument, Span};
use wasmtime::{
    AsContextMut,
    component::{Accessor, HasSelf, Resource, StreamReader},
};

use super::stream::Producer;
use crate::{
    bindings::host::optikon::host::kube,
    convert::kube::{from_request, to_fault, to_mapping, to_response},
    escape,
    state::{Ctx, Link, OpenStream, Requests},
};

/// Of a path in a trace; it is the plugin's own text.
const MAX_PATH_BYTES: usize = 256;

impl kube::Host for Ctx {}

impl kube::HostConnection for Ctx {
    fn name(&mut self, link: Resource<Link>) -> wasmtime::Result<String> {
        Ok(self.connection(&link)?.name().to_owned())
    }

    fn drop(&mut self, link: Resource<Link>) -> wasmtime::Result<()> {
        self.table.delete(link)?;
        Ok(())
    }
}

type Handed = (
    Arc<dyn Connection>,
    Arc<Requests>,
    u64,
    Arc<std::sync::atomic::AtomicUsize>,
);

fn handed(
    accessor: &Accessor<Ctx, HasSelf<Ctx>>,
    link: &Resource<Link>,
) -> wasmtime::Result<Handed> {
    accessor.with(|mut access| {
        let ctx = access.get();
        ctx.serving.note_impure();
        Ok((
            ctx.connection(link)?,
            Arc::clone(&ctx.serving.requests),
            ctx.shared.limits.response_bytes,
            Arc::clone(&ctx.serving.streams),
        ))
    })
}

/// The step of a trace that a request is: what is asked, never what is sent.
fn asked(request: &Request, cluster: &str) -> Span {
    step!(
        "kube request",
        cluster,
        method = request.method.as_str(),
        path = escape::line(&request.path, MAX_PATH_BYTES),
        status = tracing::field::Empty,
        fault = tracing::field::Empty
    )
}

fn too_large(what: &str, limit: u64) -> Fault {
    Fault::new(
        FaultReason::TooLarge,
        format!("{what} is larger than response-bytes = {limit}"),
    )
}

impl kube::HostConnectionWithStore<Ctx> for HasSelf<Ctx> {
    async fn request(
        accessor: &Accessor<Ctx, Self>,
        link: Resource<Link>,
        request: kube::Request,
    ) -> wasmtime::Result<Result<kube::Response, kube::Fault>> {
        let (connection, requests, limit, _) = handed(accessor, &link)?;
        let mut place = requests.begin(request.body.len() as u64).await?;
        let request = from_request(request);
        let span = asked(&request, connection.name());
        let answer = connection.request(request).instrument(span.clone()).await;
        match &answer {
            Ok(response) => span.record("status", response.status),
            Err(fault) => span.record("fault", fault.reason.reason()),
        };
        match answer {
            Ok(response) if response.body.len() as u64 > limit => {
                Ok(Err(to_fault(too_large("the answer", limit))))
            }
            Ok(response) => {
                place.answered(response.body.len() as u64).await?;
                Ok(Ok(to_response(response)))
            }
            Err(fault) => Ok(Err(to_fault(fault))),
        }
    }

    async fn lines(
        accessor: &Accessor<Ctx, Self>,
        link: Resource<Link>,
        request: kube::Request,
    ) -> wasmtime::Result<Result<StreamReader<Result<Vec<u8>, kube::Fault>>, kube::Refusal>> {
        let (connection, requests, limit, streams) = handed(accessor, &link)?;
        let mut place = requests.begin(request.body.len() as u64).await?;
        let request = from_request(request);
        let span = asked(&request, connection.name());
        let lines = match connection.lines(request).instrument(span).await {
            Ok(lines) => lines,
            Err(Refusal::Fault(fault)) => return Ok(Err(kube::Refusal::Fault(to_fault(fault)))),
            Err(Refusal::Refused(answer)) if answer.body.len() as u64 > limit => {
                let fault = to_fault(too_large("the refusal", limit));
                return Ok(Err(kube::Refusal::Fault(fault)));
            }
            Err(Refusal::Refused(answer)) => {
                place.answered(answer.body.len() as u64).await?;
                return Ok(Err(kube::Refusal::Refused(to_response(answer))));
            }
        };
        let lines = lines.map(move |line| match line {
            Ok(line) if line.len() as u64 > limit => Err(to_fault(too_large("a line", limit))),
            Ok(line) => Ok(line.to_vec()),
            Err(fault) => Err(to_fault(fault)),
        });
        let producer = Producer::new(lines.boxed(), OpenStream::new(&streams));
        accessor.with(|mut access| StreamReader::new(access.as_context_mut(), producer).map(Ok))
    }

    async fn mapping(
        accessor: &Accessor<Ctx, Self>,
        link: Resource<Link>,
        group: String,
        version: String,
        kind: String,
    ) -> wasmtime::Result<Result<Option<kube::Mapping>, kube::Fault>> {
        let (connection, requests, _, _) = handed(accessor, &link)?;
        let _place = requests.begin(0).await?;
        let found = connection.mapping(&group, &version, &kind).await;
        Ok(found.map(|m| m.map(to_mapping)).map_err(to_fault))
    }
}

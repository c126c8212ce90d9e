//! `kv`: the slot's own keys.

use std::sync::Arc;

use futures::StreamExt;
use optikon_core::{Error, step};
use tracing::Instrument;
use wasmtime::{
    AsContextMut,
    component::{Accessor, HasSelf, StreamReader},
};

use super::{parts, stream::Producer};
use crate::{
    bindings::host::optikon::host::kv,
    convert::{
        error::to_error,
        kv::{from_expectation, to_change, to_entry},
    },
    state::{Ctx, OpenStream},
};

/// Entries of one page at most, whatever was asked for.
const MAX_PAGE: u32 = 1_000;

impl kv::Host for Ctx {}

impl kv::HostWithStore<Ctx> for HasSelf<Ctx> {
    async fn get(
        accessor: &Accessor<Ctx, Self>,
        key: String,
    ) -> wasmtime::Result<Result<Option<kv::Entry>, kv::Error>> {
        let (shared, requests) = parts(accessor);
        let mut place = requests.begin(0).await?;
        match shared
            .kv
            .get(&shared.slot, &key)
            .instrument(step!("kv get"))
            .await
        {
            Ok(entry) => {
                place
                    .answered(entry.as_ref().map_or(0, |e| e.value.len()) as u64)
                    .await?;
                Ok(Ok(entry.map(to_entry)))
            }
            Err(error) => Ok(Err(to_error(&error))),
        }
    }

    async fn scan(
        accessor: &Accessor<Ctx, Self>,
        prefix: String,
        limit: u32,
        next: Option<String>,
    ) -> wasmtime::Result<Result<kv::Page, kv::Error>> {
        let (shared, requests) = parts(accessor);
        let mut place = requests.begin(0).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let page = match shared
            .kv
            .scan(&shared.slot, &prefix, limit, next)
            .instrument(step!("kv scan"))
            .await
        {
            Ok(page) => page,
            Err(error) => return Ok(Err(to_error(&error))),
        };
        let bytes = page
            .entries
            .iter()
            .map(|e| (e.key.len() + e.value.len()) as u64)
            .sum();
        let most = shared.limits.response_bytes;
        if bytes > most {
            let what = format!("a page of {limit} entries; ask for fewer: it");
            return Ok(Err(to_error(&Error::TooLarge {
                what,
                limit_bytes: most,
            })));
        }
        place.answered(bytes).await?;
        Ok(Ok(kv::Page {
            entries: page.entries.into_iter().map(to_entry).collect(),
            version: page.version,
            next: page.next,
        }))
    }

    async fn put(
        accessor: &Accessor<Ctx, Self>,
        key: String,
        value: Vec<u8>,
        expect: kv::Expectation,
    ) -> wasmtime::Result<Result<u64, kv::Error>> {
        let (shared, requests) = parts(accessor);
        let _place = requests.begin(value.len() as u64).await?;
        let put = shared
            .kv
            .put(&shared.slot, &key, value, from_expectation(expect));
        Ok(put
            .instrument(step!("kv put"))
            .await
            .map_err(|error| to_error(&error)))
    }

    async fn delete(
        accessor: &Accessor<Ctx, Self>,
        key: String,
        expect: kv::Expectation,
    ) -> wasmtime::Result<Result<u64, kv::Error>> {
        let (shared, requests) = parts(accessor);
        let _place = requests.begin(0).await?;
        let delete = shared
            .kv
            .delete(&shared.slot, &key, from_expectation(expect));
        Ok(delete
            .instrument(step!("kv delete"))
            .await
            .map_err(|error| to_error(&error)))
    }

    async fn watch(
        accessor: &Accessor<Ctx, Self>,
        prefix: String,
        after: Option<u64>,
    ) -> wasmtime::Result<Result<StreamReader<Result<kv::Change, kv::Error>>, kv::Error>> {
        let (shared, requests) = parts(accessor);
        let _place = requests.begin(0).await?;
        let changes = match shared.kv.watch(&shared.slot, &prefix, after).await {
            Ok(changes) => changes,
            Err(error) => return Ok(Err(to_error(&error))),
        };
        let changes = changes.map(|change| change.map(to_change).map_err(|e| to_error(&e)));
        accessor.with(|mut access| {
            let open = OpenStream::new(&Arc::clone(&access.get().serving.streams));
            let producer = Producer::new(changes.boxed(), open);
            StreamReader::new(access.as_context_mut(), producer).map(Ok)
        })
    }
}

//! `kv` as a parameter, so that logic on it can be tested natively.

use crate::{
    Error,
    kv::{self, Change, Entry, Expectation, Page, Version},
};

/// Durable ordered keys; what each function promises stands in `wit/host/kv.wit`.
pub trait Keys {
    /// What a watch returns.
    type Changes: Changes;
    /// The entry as last written.
    async fn get(&self, key: &str) -> Result<Option<Entry>, Error>;
    /// At most `limit` entries under `prefix`.
    async fn scan(&self, prefix: &str, limit: u32, next: Option<String>) -> Result<Page, Error>;
    /// Writes; the new version.
    async fn put(&self, key: &str, value: Vec<u8>, expect: Expectation) -> Result<Version, Error>;
    /// Removes; the version of the deletion.
    async fn delete(&self, key: &str, expect: Expectation) -> Result<Version, Error>;
    /// Changes after a version, or everything and then changes.
    async fn watch(&self, prefix: &str, after: Option<Version>) -> Result<Self::Changes, Error>;
}

/// Changes in order; an error is the last item.
pub trait Changes {
    /// The next one; none when the watch ended.
    async fn next(&mut self) -> Option<Result<Change, Error>>;
}

/// The slot's own keys, held by the host.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostKeys;

impl Keys for HostKeys {
    type Changes = wit_bindgen::rt::async_support::StreamReader<Result<Change, Error>>;

    async fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        kv::get(key.to_owned()).await
    }
    async fn scan(&self, prefix: &str, limit: u32, next: Option<String>) -> Result<Page, Error> {
        kv::scan(prefix.to_owned(), limit, next).await
    }
    async fn put(&self, key: &str, value: Vec<u8>, expect: Expectation) -> Result<Version, Error> {
        kv::put(key.to_owned(), value, expect).await
    }
    async fn delete(&self, key: &str, expect: Expectation) -> Result<Version, Error> {
        kv::delete(key.to_owned(), expect).await
    }
    async fn watch(&self, prefix: &str, after: Option<Version>) -> Result<Self::Changes, Error> {
        kv::watch(prefix.to_owned(), after).await
    }
}

impl Changes for wit_bindgen::rt::async_support::StreamReader<Result<Change, Error>> {
    async fn next(&mut self) -> Option<Result<Change, Error>> {
        Self::next(self).await
    }
}

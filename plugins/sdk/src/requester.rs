//! A connection as a parameter, so that logic on it can be tested natively.

use crate::{Connection, Fault, Mapping, Refusal, Request, Response};

/// One API server; what each function promises stands in `wit/host/kube.wit`.
pub trait Requester {
    /// What `lines` returns.
    type Lines: Lines;
    /// One request and its whole answer.
    async fn request(&self, request: Request) -> Result<Response, Fault>;
    /// The body line by line.
    async fn lines(&self, request: Request) -> Result<Self::Lines, Refusal>;
    /// Where a kind lives.
    async fn mapping(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault>;
}

/// Lines in order; a fault is the last item.
pub trait Lines {
    /// The next one; none when the body ended.
    async fn next(&mut self) -> Option<Result<Vec<u8>, Fault>>;
}

impl Requester for Connection {
    type Lines = wit_bindgen::rt::async_support::StreamReader<Result<Vec<u8>, Fault>>;

    async fn request(&self, request: Request) -> Result<Response, Fault> {
        Self::request(self, request).await
    }
    async fn lines(&self, request: Request) -> Result<Self::Lines, Refusal> {
        Self::lines(self, request).await
    }
    async fn mapping(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<Mapping>, Fault> {
        Self::mapping(self, group.to_owned(), version.to_owned(), kind.to_owned()).await
    }
}

impl Lines for wit_bindgen::rt::async_support::StreamReader<Result<Vec<u8>, Fault>> {
    async fn next(&mut self) -> Option<Result<Vec<u8>, Fault>> {
        Self::next(self).await
    }
}

//! Reads a watch, line by line or event by event.

use anyhow::{Context, Result};
use optikon_tests::Client;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::bed::PATIENCE;

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watch {
    response: Response,
    rest: Vec<u8>,
    last_id: Option<String>,
    seen: Vec<(String, Value)>,
}

impl Watch {
    /// Opens it; `last` is the id of an event that came before.
    pub(crate) async fn start(client: &Client, path: &str, kind: &str, last: Option<&str>) -> Self {
        let mut request = client.request(Method::GET, path).header("accept", kind);
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], kind);
        Self {
            response,
            rest: Vec::new(),
            last_id: None,
            seen: Vec::new(),
        }
    }

    /// The next type and object.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .unwrap_or_else(|_| panic!("no event came after {:?}", self.seen))
            .unwrap()
            .expect("the watch ended")
    }

    /// Whether it ends without an error.
    pub(crate) async fn ends(&mut self) -> Result<()> {
        while tokio::time::timeout(PATIENCE, self.read())
            .await??
            .is_some()
        {}
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<(String, Value)>> {
        loop {
            while let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8(line)?;
                let line = line.trim_end();
                if let Some(id) = line.strip_prefix("id: ") {
                    self.last_id = Some(id.to_owned());
                    continue;
                }
                let data = line.strip_prefix("data: ").unwrap_or(line);
                if data.is_empty() {
                    continue;
                }
                let event: Value = serde_json::from_str(data)?;
                let kind = event["type"].as_str().context("an event without type")?;
                let pair = (kind.to_owned(), event["object"].clone());
                self.seen.push(pair.clone());
                return Ok(Some(pair));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// The next event of this cluster.
    pub(crate) async fn until(&mut self, name: &str) -> (String, Value) {
        loop {
            let (kind, object) = self.next().await;
            if object["metadata"]["name"] == name {
                return (kind, object);
            }
        }
    }

    /// The next event in which this cluster has this label.
    pub(crate) async fn until_label(&mut self, name: &str, label: &str) -> (String, Value) {
        loop {
            let (kind, object) = self.until(name).await;
            if object["metadata"]["labels"][label].is_string() {
                return (kind, object);
            }
        }
    }

    /// The object of the next event of this type.
    pub(crate) async fn until_kind(&mut self, wanted: &str) -> Value {
        loop {
            let (kind, object) = self.next().await;
            if kind == wanted {
                return object;
            }
        }
    }

    /// The id of the last event.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Whether such an event came.
    pub(crate) fn seen(&self, name: &str, kind: &str) -> bool {
        let is = |(k, o): &(String, Value)| k == kind && o["metadata"]["name"] == name;
        self.seen.iter().any(is)
    }
}

//! The world of a plugin that keeps the registry: implement [`Guest`], then `export_registry!(YourType);`.

use std::future::Future;

use crate::Error;
pub use crate::bindings::registry::exports::optikon::registry::clusters::{
    Event, Guest, Object, Page,
};

/// What `watch` returns: the events in order, an error as the last item.
pub type EventReader = wit_bindgen::rt::async_support::StreamReader<Result<Event, Error>>;

/// Where a watch's events go: the stream to the gateway, or a `Vec` in a native test.
pub trait Events {
    /// Hands over one item. False when the reader left: stop.
    async fn send(&mut self, item: Result<Event, Error>) -> bool;
}

/// The stream to the gateway. It is bounded: `send` waits while the gateway does not read.
#[derive(Debug)]
pub struct EventWriter(wit_bindgen::rt::async_support::StreamWriter<Result<Event, Error>>);

impl Events for EventWriter {
    async fn send(&mut self, item: Result<Event, Error>) -> bool {
        self.0.write_one(item).await.is_none()
    }
}

impl Events for Vec<Result<Event, Error>> {
    async fn send(&mut self, item: Result<Event, Error>) -> bool {
        self.push(item);
        true
    }
}

/// Makes the stream that `watch` returns: `write` runs on after the return, until it ends, the reader leaves, or the host
/// drops the call. The stream ends with it.
pub fn stream<F, W>(write: F) -> EventReader
where
    F: FnOnce(EventWriter) -> W,
    W: Future<Output = ()> + 'static,
{
    let (writer, reader) = crate::bindings::registry::wit_stream::new();
    wit_bindgen::spawn_local(write(EventWriter(writer)));
    reader
}

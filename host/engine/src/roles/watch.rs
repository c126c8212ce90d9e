//! A watch: an instance that lives as long as somebody reads.
//!
//! Nothing is spawned: the stream that the reader holds also drives the instance, so that dropping it drops the instance
//! with all it waits for. What is in the channel when the instance ends is still delivered; its error is the last item.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, channel::mpsc, future::BoxFuture};
use optikon_core::{Result, ports::Event};
use tokio::sync::oneshot;
use wasmtime::{
    StoreContextMut,
    component::{Source, StreamConsumer, StreamResult},
};

use crate::state::Ctx;

/// Items on their way from the guest to the reader.
pub(crate) const CHANNEL_ITEMS: usize = 64;

/// What the generated bindings make of an item.
pub(crate) type Item = std::result::Result<
    crate::bindings::registry::exports::optikon::registry::clusters::Event,
    crate::bindings::host::optikon::common::types::Error,
>;

/// Takes what the guest writes, one item at a time, when there is room for it.
pub(crate) struct Consumer {
    items: mpsc::Sender<Item>,
    /// Tells that the guest closed its end, or the reader left.
    _closed: oneshot::Sender<()>,
}

impl Consumer {
    pub(crate) fn new(items: mpsc::Sender<Item>, closed: oneshot::Sender<()>) -> Self {
        Self {
            items,
            _closed: closed,
        }
    }
}

impl StreamConsumer<Ctx> for Consumer {
    type Item = Item;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'_, Ctx>,
        mut source: Source<'_, Self::Item>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.items.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => return Poll::Pending,
        }
        let mut item: Option<Self::Item> = None;
        source.read(&mut store, &mut item)?;
        if let Some(item) = item
            && self.items.start_send(item).is_err()
        {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// Events as the reader sees them.
pub(crate) struct Driven {
    driver: Option<BoxFuture<'static, Result<()>>>,
    items: Pin<Box<dyn Stream<Item = Result<Event>> + Send>>,
    failure: Option<optikon_core::Error>,
    is_over: bool,
}

impl Driven {
    /// `ended` when the driver must not be polled any more.
    pub(crate) fn new(
        driver: BoxFuture<'static, Result<()>>,
        ended: Option<Result<()>>,
        items: impl Stream<Item = Result<Event>> + Send + 'static,
    ) -> Self {
        Self {
            driver: ended.is_none().then_some(driver),
            items: Box::pin(items),
            failure: ended.and_then(Result::err),
            is_over: false,
        }
    }
}

impl Stream for Driven {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(ended) = driver.as_mut().poll(cx)
        {
            self.driver = None;
            self.failure = ended.err();
        }
        match self.items.poll_next_unpin(cx) {
            Poll::Ready(Some(item)) => {
                self.is_over = item.is_err();
                Poll::Ready(Some(item))
            }
            Poll::Pending if self.driver.is_some() => Poll::Pending,
            // The channel's sender died with the instance, so whatever is not there now will not come.
            Poll::Ready(None) | Poll::Pending => {
                if self.driver.is_some() {
                    return Poll::Pending;
                }
                self.is_over = true;
                Poll::Ready(self.failure.take().map(Err))
            }
        }
    }
}

//! A stream of the host as the guest reads it: polled only when the guest reads, so nothing piles up.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, stream::BoxStream};
use wasmtime::{
    StoreContextMut,
    component::{Destination, StreamProducer, StreamResult},
};

use crate::state::{Ctx, OpenStream};

/// Items one at a time; an `Err` is the last.
pub(crate) struct Producer<T, E> {
    items: BoxStream<'static, Result<T, E>>,
    is_over: bool,
    _open: OpenStream,
}

impl<T, E> Producer<T, E> {
    pub(crate) fn new(items: BoxStream<'static, Result<T, E>>, open: OpenStream) -> Self {
        Self {
            items,
            is_over: false,
            _open: open,
        }
    }
}

impl<T, E> StreamProducer<Ctx> for Producer<T, E>
where
    T: Send + Sync + 'static,
    E: Send + Sync + 'static,
    Result<T, E>: wasmtime::component::Lower,
{
    type Item = Result<T, E>;
    type Buffer = Option<Result<T, E>>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, Ctx>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if self.is_over {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        // A read of nothing asks whether something is there, which a stream cannot say without giving it.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match Pin::new(&mut self.items).poll_next(cx) {
            Poll::Ready(Some(item)) => {
                self.is_over = item.is_err();
                destination.set_buffer(Some(item));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(None) => {
                self.is_over = true;
                Poll::Ready(Ok(StreamResult::Dropped))
            }
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

//! The same work for many clusters at once.

use std::future::Future;

use futures::{Stream, StreamExt, stream};
use tokio::task::JoinSet;
use tracing::Instrument;

/// Each a task of its own from when it is asked for, for `buffered` or `buffer_unordered`: plugins compute where they are
/// polled, and all polled by one task would share one core. A dropped answer ends its task.
pub(super) fn tasks<F>(
    work: impl IntoIterator<Item = F>,
) -> impl Stream<Item = impl Future<Output = F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let begin = |work: F| {
        let mut task = JoinSet::new();
        task.spawn(work.in_current_span());
        async move {
            match task.join_next().await {
                Some(Ok(answer)) => answer,
                Some(Err(error)) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic())
                }
                // Only a runtime that is going away cancels it.
                _ => std::future::pending().await,
            }
        }
    };
    stream::iter(work).map(begin)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn answers_keep_their_order_and_no_more_is_under_way_than_allowed() {
        let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let work = (0..40_usize).map(|n| {
            let running = running.clone();
            async move {
                let now = running.0.fetch_add(1, Ordering::SeqCst) + 1;
                running.1.fetch_max(now, Ordering::SeqCst);
                for _ in 0..(40 - n) {
                    tokio::task::yield_now().await;
                }
                running.0.fetch_sub(1, Ordering::SeqCst);
                n
            }
        });
        let answers: Vec<usize> = tasks(work).buffered(7).collect().await;
        assert_eq!(answers, (0..40).collect::<Vec<_>>());
        assert_eq!(running.1.load(Ordering::SeqCst), 7);
    }

    #[tokio::test]
    async fn who_stops_listening_stops_the_work() {
        struct Told(Arc<AtomicUsize>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let ended = Arc::new(AtomicUsize::new(0));
        let work = (0..5).map(|_| {
            let told = Told(ended.clone());
            async move {
                let _told = told;
                std::future::pending::<()>().await;
            }
        });
        let mut answers = Box::pin(tasks(work).buffered(3));
        assert!(futures::poll!(answers.next()).is_pending());
        tokio::task::yield_now().await;
        drop(answers);
        while ended.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
    }
}

//! Who may call now: clients in a bounded queue, the host's own fan-outs without a bound but their own deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use optikon_core::{
    Error, Result,
    ports::{Call, Class},
    words::SlotName,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::limits::{Limits, to_usize};

/// A slot's two doors.
#[derive(Debug)]
pub(crate) struct Gate {
    clients: Arc<Semaphore>,
    waiting: Arc<AtomicU64>,
    queue: u64,
    wait: Duration,
    background: Arc<Semaphore>,
}

/// Counts a waiting client, also one that gives up.
struct Waiting(Arc<AtomicU64>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn semaphore(count: u64) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(
        to_usize(count).clamp(1, Semaphore::MAX_PERMITS),
    ))
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            clients: semaphore(limits.client_calls),
            waiting: Arc::default(),
            queue: limits.client_queue,
            wait: Duration::from_millis(limits.client_wait_ms),
            background: semaphore(limits.background_calls),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// `Busy` for a client when too many wait, or it waited too long; `Timeout` when the caller's deadline passed.
    pub(crate) async fn enter(&self, call: &Call, slot: &SlotName) -> Result<OwnedSemaphorePermit> {
        let closed = |_| Error::unavailable(format!("slot \"{slot}\" is shutting down"));
        match call.class {
            Class::Client => {
                if let Ok(permit) = Arc::clone(&self.clients).try_acquire_owned() {
                    return Ok(permit);
                }
                let waiting = Waiting(Arc::clone(&self.waiting));
                let before = self.waiting.fetch_add(1, Ordering::AcqRel);
                let busy = |why: &str| Error::Busy {
                    message: format!("slot \"{slot}\" is busy: {why}"),
                    retry_after: self.wait.max(Duration::from_secs(1)),
                };
                if before >= self.queue {
                    return Err(busy(&format!(
                        "client-queue = {} calls wait already",
                        self.queue
                    )));
                }
                let wait = call
                    .deadline
                    .map_or(self.wait, |deadline| deadline.min(self.wait));
                let entered = timeout(wait, Arc::clone(&self.clients).acquire_owned()).await;
                drop(waiting);
                let why = "no call ended within client-wait-ms";
                entered.map_err(|_| busy(why))?.map_err(closed)
            }
            Class::Background => {
                let acquire = Arc::clone(&self.background).acquire_owned();
                match call.deadline {
                    None => acquire.await.map_err(closed),
                    Some(deadline) => timeout(deadline, acquire)
                        .await
                        .map_err(|_| {
                            Error::Timeout(format!(
                                "slot \"{slot}\" had no place within the caller's deadline"
                            ))
                        })?
                        .map_err(closed),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn gate(calls: u64, queue: u64) -> (Gate, SlotName) {
        let limits = Limits {
            client_calls: calls,
            client_queue: queue,
            background_calls: 1,
            ..Limits::default()
        };
        (Gate::new(&limits), "registry".parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_waits_a_second_and_is_then_told_to_come_again() {
        let (gate, slot) = gate(1, 1);
        let first = gate.enter(&Call::client(), &slot).await.unwrap();
        let call = Call::client();
        let mut second = Box::pin(gate.enter(&call, &slot));
        assert!((&mut second).now_or_never().is_none());
        let third = gate.enter(&Call::client(), &slot).await;
        assert!(
            matches!(third, Err(Error::Busy { .. })),
            "the queue is full"
        );
        assert!(
            matches!(second.await, Err(Error::Busy { .. })),
            "waited long enough"
        );
        drop(first);
        drop(gate.enter(&Call::client(), &slot).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn the_hosts_own_calls_are_never_told_to_come_again() {
        let (gate, slot) = gate(1, 0);
        let first = gate.enter(&Call::background(), &slot).await.unwrap();
        let call = Call::background();
        let mut second = Box::pin(gate.enter(&call, &slot));
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert!((&mut second).now_or_never().is_none(), "still waits");
        let hasty = gate
            .enter(&Call::background().within(Duration::from_secs(1)), &slot)
            .await;
        assert!(matches!(hasty, Err(Error::Timeout(_))));
        drop(first);
        drop(second.await.unwrap());
    }
}

//! Events of operations: numbered as they happen, written down together.
//!
//! Each row of an operation is journaled as an event of its own, so that an operation over a thousand clusters does not
//! write a thousand rows a thousand times. Events that come while others are being written go with the next write, all
//! in one transaction.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{self, BoxFuture};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{ChartFlows, Inner, Live, journal::read};
use crate::{
    error::Result,
    flows::health::{one_line, rfc3339},
    ports::{Progress, Table},
    words::{Caller, Operation, OperationId, Target},
};

/// Events of one operation answered at once.
const MAX_EVENTS: usize = 1_000;

/// Something that happened in an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// From 1, without gaps.
    pub number: u64,
    /// RFC 3339.
    pub time: String,
    /// `operation`, `target` or `progress`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

type Row = (Table, String, Option<Vec<u8>>);

/// The events of one operation on their way to the store.
#[derive(Debug)]
pub(super) struct Feed {
    queue: Mutex<Queue>,
    /// Whoever holds it writes what is queued; the number of the last event that is durable.
    writer: tokio::sync::Mutex<u64>,
    /// The same, for those who follow.
    last: watch::Sender<u64>,
}

#[derive(Debug)]
struct Queue {
    last: u64,
    rows: Vec<Row>,
}

impl Feed {
    /// After this many events.
    pub(super) fn new(last: u64) -> Self {
        Self {
            queue: Mutex::new(Queue {
                last,
                rows: Vec::new(),
            }),
            writer: tokio::sync::Mutex::new(last),
            last: watch::channel(last).0,
        }
    }

    /// Takes an event in; it is durable after a [`Feed::flush`].
    fn push(&self, id: &OperationId, now_ms: u64, kind: &str, details: Map<String, Value>) {
        let mut queue = self.lock();
        let event = OperationEvent {
            number: queue.last + 1,
            time: rfc3339(now_ms),
            kind: kind.to_owned(),
            details,
        };
        // A map with text keys is always JSON.
        let Ok(bytes) = serde_json::to_vec(&event) else {
            return;
        };
        queue.last = event.number;
        let key = format!("{id}/{:010}", event.number);
        queue.rows.push((Table::OperationEvents, key, Some(bytes)));
    }

    /// Returns when everything that was taken in until now is durable.
    async fn flush(&self, inner: &Inner) -> Result<()> {
        let wanted = self.lock().last;
        let mut durable = self.last.subscribe();
        // Whoever writes does so for all that wait, who are told at once; in the queue for the lock they would be woken one
        // after the other.
        let mut written = tokio::select! {
            biased;
            Ok(_) = durable.wait_for(|last| *last >= wanted) => return Ok(()),
            written = self.writer.lock() => written,
        };
        if *written >= wanted {
            return Ok(());
        }
        // Whoever waits here may leave: what is not known to be durable stays queued, and is written again.
        let (last, rows) = {
            let queue = self.lock();
            (queue.last, queue.rows.clone())
        };
        let count = rows.len();
        inner.documents.write(rows).await?;
        self.lock().rows.drain(..count);
        *written = last;
        self.last.send_replace(last);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A row that is being journaled.
pub(super) type Recorded = BoxFuture<'static, Result<()>>;

/// Nothing to journal.
pub(super) fn nothing() -> Recorded {
    Box::pin(future::ready(Ok(())))
}

impl ChartFlows {
    /// Events after a number, at most 1,000; with `is_waiting`, waits for one while the operation is
    /// not over. Empty = it is over and everything was answered. Events of clusters that the caller may not know of
    /// are left out.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn events(
        &self,
        caller: &Caller,
        id: &OperationId,
        after: u64,
        is_waiting: bool,
    ) -> Result<Vec<OperationEvent>> {
        let mut after = after;
        loop {
            // Not kept: a sender of our own would keep the channel open when the operation is over.
            let mut waiter = self.inner.live(id).map(|live| live.feed.last.subscribe());
            let rows = self.inner.events_after(id, after).await?;
            if let Some(last) = rows.last() {
                after = last.number;
                let seen = self.visible(caller, rows);
                if !seen.is_empty() {
                    return Ok(seen);
                }
                continue;
            }
            let Some(waiter) = waiter.as_mut().filter(|_| is_waiting) else {
                self.operation(caller, id).await?;
                return Ok(Vec::new());
            };
            if *waiter.borrow_and_update() <= after && waiter.changed().await.is_err() {
                continue;
            }
        }
    }

    fn visible(&self, caller: &Caller, rows: Vec<OperationEvent>) -> Vec<OperationEvent> {
        let mirror = self.inner.clusters.mirror();
        let is_visible = |event: &OperationEvent| {
            let name = event.details.get("cluster").and_then(Value::as_str);
            let entry = name.and_then(|name| mirror.get(&name.parse().ok()?));
            caller.selector.is_empty()
                || name.is_none()
                || entry.is_some_and(|entry| entry.is_selected_by(&caller.selector))
        };
        rows.into_iter().filter(is_visible).collect()
    }
}

impl Inner {
    async fn events_after(&self, id: &OperationId, after: u64) -> Result<Vec<OperationEvent>> {
        let prefix = format!("{id}/");
        let start = format!("{id}/{after:010}");
        let rows = self
            .documents
            .scan_documents(Table::OperationEvents, &prefix, Some(&start), MAX_EVENTS)
            .await?;
        rows.iter().map(|(_, bytes)| read(bytes)).collect()
    }

    /// Tells those who follow. A lost event is no reason to stop: the record itself says it all.
    pub(super) async fn event(&self, live: &Live, kind: &str, details: Value) {
        let details = details.as_object().cloned().unwrap_or_default();
        live.feed.push(&live.id, self.world.now_ms(), kind, details);
        if let Err(error) = live.feed.flush(self).await {
            tracing::warn!(operation = %live.id, %error, "an event could not be kept yet");
        }
    }

    /// A row as it is now: journaled when what this returns does.
    pub(super) fn record(self: &Arc<Self>, live: &Live, row: usize) -> Recorded {
        let target = live.with(|o| o.targets.get(row).map(serde_json::to_value));
        let Some(Ok(Value::Object(details))) = target else {
            return nothing();
        };
        live.feed
            .push(&live.id, self.world.now_ms(), "target", details);
        let (inner, feed) = (self.clone(), live.feed.clone());
        Box::pin(async move { feed.flush(&inner).await })
    }

    /// Backends' reports, as events of their operations.
    pub(super) async fn tell(&self, reports: Vec<Progress>) {
        let mut told: Vec<Live> = Vec::new();
        for report in reports {
            let Some(live) = report.operation.parse().ok().and_then(|id| self.live(&id)) else {
                continue;
            };
            let details = json!({
                "cluster": report.cluster, "phase": one_line(&report.phase),
                "message": one_line(&report.message), "done": report.done, "total": report.total,
            });
            let details = details.as_object().cloned().unwrap_or_default();
            live.feed
                .push(&live.id, self.world.now_ms(), "progress", details);
            if !told.iter().any(|known| known.id == live.id) {
                told.push(live);
            }
        }
        for live in told {
            if let Err(error) = live.feed.flush(self).await {
                tracing::warn!(operation = %live.id, %error, "progress could not be kept yet");
            }
        }
    }

    /// Takes in what the events say of rows after the record was written; the number of the last event.
    pub(super) async fn replay(&self, operation: &mut Operation) -> Result<u64> {
        let mut after = 0;
        loop {
            let events = self.events_after(&operation.id, after).await?;
            let Some(last) = events.last() else {
                return Ok(after);
            };
            after = last.number;
            for event in events.into_iter().filter(|e| e.kind == "target") {
                let Ok(row) = serde_json::from_value::<Target>(Value::Object(event.details)) else {
                    continue;
                };
                let known = operation
                    .targets
                    .iter_mut()
                    .find(|t| t.cluster == row.cluster && t.uid == row.uid);
                if let Some(target) = known {
                    *target = row;
                }
            }
        }
    }
}

impl Live {
    pub(super) fn new(operation: Operation, last_event: u64) -> Self {
        Self {
            id: operation.id.clone(),
            operation: Arc::new(Mutex::new(operation)),
            feed: Arc::new(Feed::new(last_event)),
            wish: watch::channel(super::Wish::GoOn).0,
        }
    }

    /// Looks at it without a copy.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Operation) -> T) -> T {
        look(
            &self
                .operation
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub(super) fn snapshot(&self) -> Operation {
        self.with(Operation::clone)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Operation)) {
        change(
            &mut self
                .operation
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

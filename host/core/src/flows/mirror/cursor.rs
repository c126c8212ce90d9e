//! Following the mirror, and how its events look through a selection.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Entry, Mirror, MirrorEvent, expired};
use crate::error::{Error, Result};

/// Follows the mirror. Dropping it ends the watch; it holds no events itself.
#[derive(Debug)]
pub struct Cursor {
    pub(super) mirror: Arc<Mirror>,
    pub(super) at: u64,
    pub(super) latest: watch::Receiver<u64>,
}

impl Cursor {
    /// The next events, in order, each once; waits for one.
    ///
    /// # Errors
    /// `Expired` when the reader fell behind the ring; the last answer then.
    pub async fn next(&mut self) -> Result<Vec<Arc<MirrorEvent>>> {
        loop {
            self.latest.borrow_and_update();
            {
                let state = self.mirror.lock();
                if self.at < state.floor {
                    return Err(expired(self.at));
                }
                let start = state.events.partition_point(|e| e.version <= self.at);
                let events: Vec<_> = state.events.iter().skip(start).take(256).cloned().collect();
                if let Some(last) = events.last() {
                    self.at = last.version;
                    return Ok(events);
                }
            }
            if self.latest.changed().await.is_err() {
                return Err(Error::unavailable("the gateway is shutting down"));
            }
        }
    }

    /// The number up to which everything was delivered.
    pub fn at(&self) -> u64 {
        self.at
    }
}

/// How an event looks through a selection: moving into it is an addition, out of it a deletion.
pub fn through(
    event: &MirrorEvent,
    sees: impl Fn(&Entry) -> bool,
) -> Option<(&'static str, Arc<Entry>)> {
    let was = event.before.as_deref().is_some_and(&sees);
    let is = event.after.as_deref().is_some_and(&sees);
    match (was, is) {
        (false, true) => Some(("ADDED", event.shown.clone())),
        (true, true) => Some(("MODIFIED", event.shown.clone())),
        (true, false) => Some(("DELETED", event.shown.clone())),
        (false, false) => None,
    }
}

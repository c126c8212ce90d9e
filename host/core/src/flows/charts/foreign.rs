//! Operations that change no release: journaled and followed like the others, run by somebody else.

use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use super::{ChartFlows, Inner, Live};
use crate::{
    error::Result,
    flows::health::one_line,
    words::{Operation, OperationState},
};

/// An operation under way.
#[derive(Debug)]
pub(in crate::flows) struct Followed {
    inner: Arc<Inner>,
    live: Live,
}

impl ChartFlows {
    /// Journals an operation; from now on it can be read and followed.
    ///
    /// # Errors
    /// The store's.
    pub(in crate::flows) async fn follow(&self, operation: Operation) -> Result<Followed> {
        let inner = self.inner.clone();
        inner.save(&operation).await?;
        let live = Live::new(operation.clone(), 0);
        let all = || inner.live.lock().unwrap_or_else(PoisonError::into_inner);
        all().insert(operation.id, live.clone());
        inner
            .event(&live, "operation", json!({ "state": operation.state }))
            .await;
        Ok(Followed { inner, live })
    }

    /// Ends operations of a kind that a restart interrupted; nobody goes on with them.
    ///
    /// # Errors
    /// The store's.
    pub(in crate::flows) async fn interrupted(
        &self,
        mut operation: Operation,
        message: &str,
    ) -> Result<()> {
        operation.state = OperationState::Failed;
        operation.message = Some(message.to_owned());
        operation.finished_ms = Some(self.inner.world.now_ms());
        self.inner.save(&operation).await
    }
}

impl Followed {
    /// As it is now.
    pub(in crate::flows) fn operation(&self) -> Operation {
        self.live.snapshot()
    }

    /// It is being done.
    pub(in crate::flows) async fn begin(&self) -> Result<()> {
        self.live.change(|o| o.state = OperationState::Running);
        let running = self.live.snapshot();
        self.inner.save(&running).await?;
        let details = json!({ "state": running.state });
        self.inner.event(&self.live, "operation", details).await;
        Ok(())
    }

    /// How far it is.
    pub(in crate::flows) async fn tell(&self, phase: &str, message: &str) {
        let details: Value = json!({ "phase": phase, "message": one_line(message) });
        self.inner.event(&self.live, "progress", details).await;
    }

    /// It is over.
    pub(in crate::flows) async fn end(self, state: OperationState, message: &str) {
        let Self { inner, live } = self;
        let message = one_line(message);
        live.change(|o| {
            o.state = state;
            o.message = Some(message.clone());
            o.finished_ms = Some(inner.world.now_ms());
        });
        let done = live.snapshot();
        if let Err(error) = inner.save(&done).await {
            tracing::error!(operation = %done.id, %error, "the end of an operation could not be journaled");
        }
        let details = json!({ "state": state, "message": message });
        inner.event(&live, "operation", details).await;
        let mut all = inner.live.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&done.id);
    }
}

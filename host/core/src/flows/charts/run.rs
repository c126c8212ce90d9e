//! Runs operations wave by wave.
//!
//! A target's begin is durable before its first write, its end after the last. What lies between is
//! found again from the cluster: the backend recognises the operation's own work, so a target that
//! was begun before a crash is simply asked again.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{
    Stream, StreamExt,
    stream::{self, FuturesUnordered},
};
use serde_json::json;
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Inner, Live, Wish,
    events::{Recorded, nothing},
    journal::{Sealed, sealed_id, verdict},
    request::{OnFailure, Wave},
};
use crate::{
    error::{Error, Result},
    flows::{health::one_line, together::tasks},
    ports::Charts,
    words::{Operation, OperationId, OperationState, SlotName, Target, TargetState},
};

/// Targets applied at once by default.
const PARALLEL: usize = 10;
/// A target's, where the request gives none.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

/// One operation while it runs.
pub(super) struct Course {
    pub(super) inner: Arc<Inner>,
    pub(super) live: Live,
    pub(super) backend: Arc<dyn Charts>,
    pub(super) sealed: Sealed,
    /// More failures than this end it, where it does not go on whatever fails.
    allowed: usize,
    /// Unix milliseconds.
    ends_ms: Option<u64>,
}

impl Inner {
    pub(super) async fn run(self: &Arc<Self>, id: &OperationId) {
        let Some(live) = self.live(id) else { return };
        let span = crate::first_step!("operation", id = %id, state = tracing::field::Empty);
        if let Err(error) = self.run_waves(&live).instrument(span.clone()).await {
            tracing::error!(operation = %id, %error, "the operation ended early");
            let message = one_line(&error.to_string());
            live.change(|o| {
                for target in o.targets.iter_mut() {
                    match target.state {
                        TargetState::Pending => target.state = TargetState::Skipped,
                        TargetState::Running => target.state = TargetState::Unknown,
                        _ => continue,
                    }
                    (target.reason, target.message) =
                        (Some("Interrupted".into()), Some(message.clone()));
                }
            });
        }
        let is_cancelled = *live.wish.borrow() == Wish::Cancel;
        let mut done = live.snapshot();
        done.state = verdict(&done, is_cancelled);
        done.finished_ms = Some(self.world.now_ms());
        span.record("state", tracing::field::debug(done.state));
        // The record first: a crash in between leaves a sealed part that nobody asks for.
        while let Err(error) = self.save(&done).await {
            tracing::warn!(operation = %id, %error, "the end could not be journaled; trying again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // Whoever sees that it is over may begin the next one: from here on it holds nothing.
        live.change(|o| o.clone_from(&done));
        let said = json!({ "state": done.state, "plans": done.plans });
        self.event(&live, "operation", said).await;
        self.documents.audit(json!({
            "time": crate::flows::health::rfc3339(self.world.now_ms()), "who": done.requested_by,
            "verb": done.kind, "kind": "release", "name": done.release,
            "operation": done.id, "outcome": done.state,
        }));
        if let Err(error) = self.vault.erase(&sealed_id(id)).await {
            tracing::warn!(operation = %id, %error, "the sealed part could not be erased");
        }
        let mut ended = super::lock(&self.ended);
        super::lock(&self.live).remove(id);
        super::count(&mut ended, &done);
    }

    async fn run_waves(self: &Arc<Self>, live: &Live) -> Result<()> {
        let sealed = self.open_sealed(&live.id).await?;
        let slot = sealed.slot()?;
        let backend = self
            .backends
            .get(&slot)
            .cloned()
            .ok_or_else(|| no_backend(&slot))?;
        let strategy = &sealed.strategy;
        let allowed = match &strategy.max_failures {
            Some(amount) => amount.of(live.with(|o| o.targets.len()), "strategy.maxFailures")?,
            None => 0,
        };
        let deadline = strategy.deadline_seconds.map(|s| s.saturating_mul(1000));
        let ends_ms = deadline.map(|ms| live.with(|o| o.created_ms).saturating_add(ms));
        let course = Course {
            inner: self.clone(),
            live: live.clone(),
            backend,
            sealed,
            allowed,
            ends_ms,
        };
        Arc::new(course).go().await
    }
}

impl Course {
    async fn go(self: &Arc<Self>) -> Result<()> {
        let was_paused = self.live.with(|o| o.state == OperationState::Paused);
        if self.live.with(|o| o.state == OperationState::Pending) {
            self.enter(OperationState::Running, 0).await?;
        }
        let strategy = &self.sealed.strategy;
        let first = self.live.with(|o| o.wave);
        let last = self
            .live
            .with(|o| o.targets.iter().map(|t| t.wave).max())
            .unwrap_or(0);
        for wave in first..=last {
            // A wave that nobody is in is not waited after.
            let is_empty = self
                .live
                .with(|o| !o.targets.iter().any(|t| t.wave == wave));
            if is_empty {
                continue;
            }
            self.wave(wave).await?;
            if wave == last || self.over().is_some() {
                break;
            }
            let pause = strategy.waves.get(wave as usize);
            if let Some(pause) = pause.filter(|p| p.manual || p.pause_seconds.is_some()) {
                self.pause(pause, wave, was_paused && wave == first).await?;
            }
            if *self.live.wish.borrow() != Wish::Cancel {
                self.enter(OperationState::Running, wave + 1).await?;
            }
        }
        let too_many = self.live.with(failures) > self.allowed;
        if strategy.on_failure == OnFailure::RollbackAll && too_many {
            self.roll_back_all().await?;
        }
        let (reason, message) = self.over().unwrap_or((
            "Stopped",
            "the operation ended before its turn came".to_owned(),
        ));
        self.live.change(|o| {
            let left = o.targets.iter_mut();
            for target in left.filter(|t| t.state == TargetState::Pending) {
                target.state = TargetState::Skipped;
                // What was wrong with it before its turn is the better reason.
                if target.reason.is_none() {
                    target.reason = Some(reason.to_owned());
                    target.message = Some(message.clone());
                }
            }
        });
        self.inner.save(&self.live.snapshot()).await
    }

    /// A state of the whole, journaled when this returns.
    async fn enter(&self, state: OperationState, wave: u32) -> Result<()> {
        self.live.change(|o| (o.state, o.wave) = (state, wave));
        self.inner.save(&self.live.snapshot()).await?;
        let said = json!({ "state": state, "wave": wave });
        self.inner.event(&self.live, "operation", said).await;
        Ok(())
    }

    async fn wave(self: &Arc<Self>, wave: u32) -> Result<()> {
        let strategy = &self.sealed.strategy;
        let is_open = |t: &Target| matches!(t.state, TargetState::Pending | TargetState::Running);
        let mut rows: Vec<(bool, usize)> = self.live.with(|o| {
            let rows = o.targets.iter().enumerate();
            rows.filter(|(_, t)| t.wave == wave && is_open(t))
                .map(|(row, t)| (t.reason.is_some(), row))
                .collect()
        });
        // A bound that was asked for is kept before anything is begun; without one, a cluster that could not even be
        // looked at does not keep the others of its wave from theirs.
        let are_first = strategy.max_failures.is_some();
        rows.sort_by_key(|(is_bad, row)| (*is_bad != are_first, *row));
        let parallel = strategy.max_parallel.map_or(PARALLEL, |n| n as usize);
        let firsts = if are_first {
            rows.partition_point(|(is_bad, _)| *is_bad)
        } else {
            0
        };
        let later = rows.split_off(firsts);
        // What failed before its turn is counted before another's begins.
        let failed = rows.into_iter().map(|(_, row)| self.turn(row));
        let failed = stream::iter(failed).buffer_unordered(parallel);
        self.journaled(failed).await?;
        let targets = later.into_iter().map(|(_, row)| {
            // Whose turn it is, is decided in their order, not in that of their tasks.
            let is_over = self.over().is_some();
            let course = self.clone();
            async move {
                if is_over {
                    return Ok(nothing());
                }
                course.target(row).await
            }
        });
        let targets = tasks(targets).buffer_unordered(parallel);
        self.journaled(targets).await
    }

    /// Sees all targets through, and waits until the journal knows how each ended.
    async fn journaled(&self, targets: impl Stream<Item = Result<Recorded>>) -> Result<()> {
        let mut targets = pin!(targets);
        let (mut records, mut outcome) = (FuturesUnordered::new(), Ok(()));
        // The others are seen through all the same.
        loop {
            tokio::select! {
                target = targets.next() => match target {
                    Some(Ok(record)) => records.push(record),
                    Some(Err(error)) => outcome = outcome.and(Err(error)),
                    None => break,
                },
                Some(written) = records.next(), if !records.is_empty() => outcome = outcome.and(written),
            }
        }
        let begun = Instant::now();
        while let Some(written) = records.next().await {
            super::lock(&self.inner.journaled).record(begun.elapsed());
            outcome = outcome.and(written);
        }
        outcome
    }

    async fn turn(&self, row: usize) -> Result<Recorded> {
        match self.over() {
            Some(_) => Ok(nothing()),
            None => self.target(row).await,
        }
    }

    /// Why no further target is begun; none while there is no reason.
    pub(super) fn over(&self) -> Option<(&'static str, String)> {
        let strategy = &self.sealed.strategy;
        if *self.live.wish.borrow() == Wish::Cancel {
            return Some(("Cancelled", "the operation was cancelled".into()));
        }
        if self
            .ends_ms
            .is_some_and(|end| self.inner.world.now_ms() >= end)
        {
            return Some((
                "DeadlineExceeded",
                "the time of the whole operation is over".into(),
            ));
        }
        let goes_on = matches!(
            strategy.on_failure,
            OnFailure::Continue | OnFailure::Rollback
        ) && strategy.max_failures.is_none();
        let failures = self.live.with(failures);
        (!goes_on && failures > self.allowed).then(|| {
            let allowed = self.allowed;
            let message = format!("{failures} of the clusters failed, {allowed} were allowed to");
            ("Stopped", message)
        })
    }

    /// The time that is left of the whole, at most `wanted`.
    pub(super) fn within(&self, wanted: Duration) -> Duration {
        let now = self.inner.world.now_ms();
        let left = self.ends_ms.map(|end| end.saturating_sub(now));
        left.map_or(wanted, |ms| wanted.min(Duration::from_millis(ms)))
    }

    async fn pause(&self, pause: &Wave, wave: u32, was_paused: bool) -> Result<()> {
        let mut wish = self.live.wish.subscribe();
        if !was_paused {
            self.enter(OperationState::Paused, wave).await?;
        }
        let told = async {
            // An error means that the process ends.
            let _ = wish.wait_for(|w| *w != Wish::GoOn).await;
        };
        let longest = match pause.pause_seconds {
            Some(seconds) if !pause.manual => Duration::from_secs(seconds),
            // The longest that an operation may last at all.
            _ => Duration::from_secs(604_800),
        };
        let _ = tokio::time::timeout(self.within(longest), told).await;
        if *self.live.wish.borrow() == Wish::Resume {
            self.live.wish.send_replace(Wish::GoOn);
        }
        Ok(())
    }
}

/// Rows that count against `maxFailures`; one that was rolled back had failed, or is undone because others had.
fn failures(operation: &Operation) -> usize {
    let has_failed = |t: &&Target| {
        matches!(
            t.state,
            TargetState::Failed | TargetState::Unknown | TargetState::RolledBack
        )
    };
    operation.targets.iter().filter(has_failed).count()
}

fn no_backend(slot: &SlotName) -> Error {
    Error::NoPlugin {
        slot: slot.clone(),
        message: "the slot is not configured any more".into(),
    }
}

//! One call of a plugin: a fresh instance, budgets around it, and a typed end whatever happens.

use std::{
    future::poll_fn,
    io,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use futures::future::BoxFuture;
use optikon_core::{Error, PluginFailure, Result, error::FailureKind, ports::Call};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tracing::{Instrument, Span};
use wasmtime::{
    Engine, Store, Trap,
    component::{Accessor, InstancePre},
};

use crate::{
    check::Broken,
    escape,
    gate::Gate,
    limits::{Crossed, key, to_usize},
    meter::{Budget, Metered},
    state::{Ctx, Serving, Shared},
    stats::{Outcome, Stats},
};

/// A trap's text with its wasm backtrace.
const MAX_TRAP_BYTES: usize = 4 * 1024;

/// Between attempts at an instance that the kernel was too busy for.
const BUSY_PAUSES: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(800),
];

fn is_busy(error: &wasmtime::Error) -> bool {
    let error = error.root_cause().downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
}

/// A world as the engine calls it: generated bindings of an instance.
pub(crate) trait Role: Sized + Send + Sync + 'static {
    /// What an instance is made of.
    type Pre: Clone + Send + Sync;

    /// Checks the exports' types.
    fn prepare(pre: InstancePre<Ctx>) -> wasmtime::Result<Self::Pre>;

    /// Makes an instance.
    fn begin<'a>(
        pre: &'a Self::Pre,
        store: &'a mut Store<Ctx>,
    ) -> BoxFuture<'a, wasmtime::Result<Self>>;
}

/// A loaded plugin in its slot.
pub(crate) struct Loaded<R: Role> {
    pub(crate) engine: Engine,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pre: R::Pre,
    /// Places for instances in the pool, of all slots together.
    pub(crate) instances: Arc<Semaphore>,
    pub(crate) gate: Gate,
    pub(crate) stats: Stats,
    pub(crate) warm: Mutex<Vec<(Store<Ctx>, R)>>,
}

/// How a call ended that did not end well.
pub(crate) enum End {
    /// The guest trapped, or a limit ended it.
    Trap(wasmtime::Error),
    /// Its CPU time was used up.
    Cpu,
    /// Its wall time was over.
    Wall,
    /// Its answer breaks the contract.
    Broken(String),
}

/// What a body gives: an answer or the plugin's own typed error, or an end.
pub(crate) type Answer<T> = Result<Result<T>, End>;

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken.0)
    }
}

impl From<wasmtime::Error> for End {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

impl<R: Role> Loaded<R> {
    /// A store with every limit in force.
    pub(crate) fn store(&self, serving: Serving) -> Store<Ctx> {
        let limits = &self.shared.limits;
        let mut store = Store::new(&self.engine, Ctx::new(&self.shared, serving));
        store.limiter_async(|ctx| &mut ctx.limiter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_hostcall_fuel(to_usize(limits.hostcall_bytes));
        store.set_max_component_handles(to_usize(limits.handles));
        store
    }

    fn take_warm(&self) -> Option<(Store<Ctx>, R)> {
        self.warm
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn give_back(&self, store: Store<Ctx>, role: R) {
        let most = to_usize(self.shared.limits.warm_instances);
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        if warm.len() < most {
            warm.push((store, role));
        }
    }

    /// Serves one call: `body` runs in an instance that no other call shares.
    ///
    /// # Errors
    /// `Busy` and `Timeout` of the gate; `Timeout` when CPU or wall time is over; `Plugin` for everything a guest does wrong.
    pub(crate) async fn serve<T, B>(
        self: &Arc<Self>,
        call: Call,
        function: &'static str,
        body: B,
    ) -> Result<T>
    where
        T: Send,
        B: for<'a> FnOnce(&'a Accessor<Ctx>, &'a R) -> BoxFuture<'a, Answer<T>> + Send,
    {
        let span = optikon_core::step!(
            "plugin call", slot = %self.shared.slot, plugin = %self.shared.plugin, function,
            outcome = tracing::field::Empty
        );
        self.serve_within(call, function, body, &span)
            .instrument(span.clone())
            .await
    }

    async fn serve_within<T, B>(
        self: &Arc<Self>,
        call: Call,
        function: &'static str,
        body: B,
        span: &Span,
    ) -> Result<T>
    where
        T: Send,
        B: for<'a> FnOnce(&'a Accessor<Ctx>, &'a R) -> BoxFuture<'a, Answer<T>> + Send,
    {
        let begun = Instant::now();
        let _entered = self.gate.enter(&call, &self.shared.slot).await?;
        let own = Instant::now() + self.shared.limits.wall();
        let deadline = call.deadline.map_or(own, |left| own.min(begun + left));
        let operation = call.operation.as_ref().map(ToString::to_string);
        let serving = Serving::new(&self.shared, function, Some(deadline), operation);
        let run = Metered::new(
            self.run(serving, body),
            Budget::Total(self.shared.limits.cpu()),
        );
        let ended = match timeout_at(deadline, run).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => Err(End::Cpu),
            Err(_) => Err(End::Wall),
        };
        let outcome = match &ended {
            Ok(Ok(_)) => Outcome::Ok,
            Ok(Err(_)) => Outcome::Error,
            Err(_) => Outcome::Failed,
        };
        self.stats.record(function, outcome, begun.elapsed());
        span.record("outcome", outcome.as_str());
        ended.map_err(|end| self.error(function, end))?
    }

    /// A fresh instance. The first one of a component seals the image of its memory, which the kernel refuses while it moves
    /// these pages: a moment later it does not.
    async fn fresh(&self, mut serving: Serving) -> wasmtime::Result<(Store<Ctx>, R)> {
        let mut pauses = BUSY_PAUSES.into_iter();
        loop {
            let mut store = self.store(serving);
            let error = match R::begin(&self.pre, &mut store).await {
                Ok(role) => return Ok((store, role)),
                Err(error) => error,
            };
            let Some(pause) = pauses.next().filter(|_| is_busy(&error)) else {
                return Err(error);
            };
            tracing::debug!(slot = %self.shared.slot, %error, "an instance is tried again");
            tokio::time::sleep(pause).await;
            serving = store.into_data().serving;
        }
    }

    async fn run<T, B>(&self, serving: Serving, body: B) -> Answer<T>
    where
        T: Send,
        B: for<'a> FnOnce(&'a Accessor<Ctx>, &'a R) -> BoxFuture<'a, Answer<T>> + Send,
    {
        let _place = self.instances.acquire().await.map_err(|_| End::Wall)?;
        let (mut store, role) = match self.take_warm() {
            Some((mut store, role)) => {
                store.data_mut().serving = serving;
                (store, role)
            }
            None => self.fresh(serving).await?,
        };
        let ran = store
            .run_concurrent(async |accessor| {
                let answer = body(accessor, &role).await;
                let is_idle =
                    poll_fn(|cx| Poll::Ready(accessor.poll_no_interesting_tasks(cx).is_ready()))
                        .await;
                (answer, is_idle)
            })
            .await;
        let (answer, is_idle) = ran?;
        let answer = answer?;
        if is_idle && self.shared.limits.warm_instances > 0 && store.data().is_clean() {
            self.give_back(store, role);
        }
        Ok(answer)
    }

    /// The typed error of an end.
    pub(crate) fn error(&self, function: &'static str, end: End) -> Error {
        let Shared {
            slot,
            plugin,
            digest,
            limits,
            ..
        } = &*self.shared;
        let (kind, message) = match end {
            End::Cpu => {
                let (key, value) = (key::cpu_ms, limits.cpu_ms);
                return Error::Timeout(format!(
                    "plugin \"{plugin}\" ({digest}) in slot \"{slot}\" was stopped in {function}: it used up its CPU time, {key} = {value}"
                ));
            }
            End::Wall => {
                let (key, value) = (key::wall_ms, limits.wall_ms);
                return Error::Timeout(format!(
                    "plugin \"{plugin}\" ({digest}) in slot \"{slot}\" did not answer in {function} within its time ({key} = {value}, or the caller's deadline)"
                ));
            }
            End::Broken(message) => (FailureKind::Contract, message),
            End::Trap(error) => failure(&error, limits),
        };
        let failure = PluginFailure {
            slot: slot.clone(),
            plugin: plugin.clone(),
            digest: digest.clone(),
            function,
            kind,
            message: escape::line(&message, MAX_TRAP_BYTES),
        };
        tracing::warn!(target: "optikon::plugin", "{failure}");
        Error::Plugin(Box::new(failure))
    }
}

/// What a trap was: a limit of ours, one of wasmtime's, or the guest's own doing.
pub(crate) fn failure(error: &wasmtime::Error, limits: &crate::Limits) -> (FailureKind, String) {
    let limit = |limit: &'static str, value: u64| FailureKind::Limit {
        limit,
        value: value.to_string(),
    };
    if let Some(crossed) = error.downcast_ref::<Crossed>() {
        return (limit(crossed.limit, crossed.value), crossed.message.clone());
    }
    let root = error.root_cause().to_string();
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let kind = match trap {
            Trap::StackOverflow => "call stack exhausted".to_owned(),
            other => other.to_string(),
        };
        return (FailureKind::Trap, kind);
    }
    // wasmtime has no types for these; a test crosses each, so a changed text is noticed.
    let known = [
        (
            "too much data is being copied",
            key::hostcall_bytes,
            limits.hostcall_bytes,
        ),
        ("store handle limit exceeded", key::handles, limits.handles),
        (
            "resource limit exceeded: instance",
            key::instances,
            limits.instances,
        ),
        (
            "resource limit exceeded: memory",
            key::instances,
            limits.instances,
        ),
        (
            "resource limit exceeded: table",
            key::instances,
            limits.instances,
        ),
    ];
    for (text, key, value) in known {
        if root.contains(text) {
            return (limit(key, value), root);
        }
    }
    (FailureKind::Trap, root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_busy_kernel_is_asked_again() {
        let of = |kind: io::ErrorKind| wasmtime::Error::from(io::Error::from(kind));
        assert!(is_busy(&of(io::ErrorKind::ResourceBusy)));
        assert!(is_busy(
            &of(io::ErrorKind::ResourceBusy).context("the image of a memory")
        ));
        assert!(!is_busy(&of(io::ErrorKind::OutOfMemory)));
        assert!(!is_busy(&Trap::StackOverflow.into()));
    }
}

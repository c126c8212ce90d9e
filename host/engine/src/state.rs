//! What one instance holds on the host's side: the call it serves, its budgets, its connections.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use optikon_core::{
    ports::{Connection, Kv, ProgressSink, World},
    words::{PluginName, ResourceGrant, Secret, SlotName},
};
use serde_json::Value;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use wasmtime::{
    ResourceLimiterAsync,
    component::{Resource, ResourceTable, ResourceTableError},
};
use wasmtime_wasi::WasiCtx;

use crate::{
    imports::log::Lines,
    limits::{Crossed, Limits, key, to_usize},
    noted::{Noted, Target},
    peers::Peers,
};

/// Memory is accounted in pages of WebAssembly.
pub(crate) const PAGE_BYTES: u64 = 64 * 1024;
/// Bytes held for a guest are accounted in this unit, as a semaphore counts 32 bits at a time.
const HELD_UNIT: u64 = 1024;
/// Held for an answer before its size is known.
const ANSWER_BYTES: u64 = 1024 * 1024;
/// After this long a watch's budgets per call begin anew.
const RENEWAL: Duration = Duration::from_secs(60);

/// What all instances of one loaded plugin share.
pub(crate) struct Shared {
    pub(crate) slot: SlotName,
    pub(crate) plugin: PluginName,
    pub(crate) digest: String,
    pub(crate) limits: Limits,
    /// The configuration as JSON, without its secrets.
    pub(crate) config: String,
    /// Its secrets, in an object of the same shape.
    pub(crate) secrets: Secret<Value>,
    pub(crate) central: Vec<ResourceGrant>,
    /// Which cluster `central` leads to; none for the configured one.
    pub(crate) central_name: Option<String>,
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) progress: Arc<OnceLock<Arc<dyn ProgressSink>>>,
    /// Pages of memory that all guests together may still take.
    pub(crate) memory: Arc<Semaphore>,
    /// The size of `memory` in bytes, for messages.
    pub(crate) memory_total: u64,
    /// Bytes of linear memory that instances of this plugin hold now.
    pub(crate) memory_held: AtomicU64,
}

/// The call that an instance serves.
pub(crate) struct Serving {
    /// Unlike any other call's; a connection of another call is refused.
    pub(crate) id: u64,
    /// None for a watch.
    pub(crate) deadline: Option<Instant>,
    pub(crate) operation: Option<String>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) lines: Arc<Lines>,
    /// Streams from the host that the guest has not given back.
    pub(crate) streams: Arc<AtomicUsize>,
    /// Of a call of a charts backend: what it asked for.
    pub(crate) noted: Option<Arc<Noted>>,
}

impl Serving {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        function: &'static str,
        deadline: Option<Instant>,
        operation: Option<String>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let renews = deadline.is_none();
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            deadline,
            operation,
            requests: Arc::new(Requests::new(&shared.limits, renews)),
            lines: Arc::new(Lines::new(Arc::clone(shared), function, renews)),
            streams: Arc::default(),
            noted: None,
        }
    }

    /// Notes that the call used what another run of it would answer otherwise.
    pub(crate) fn note_impure(&self) {
        if let Some(noted) = &self.noted {
            noted.note_impure();
        }
    }
}

/// A store's data.
pub(crate) struct Ctx {
    pub(crate) shared: Arc<Shared>,
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) serving: Serving,
    /// Made when a guest first asks for it.
    pub(crate) wasi: Option<WasiCtx>,
}

impl Ctx {
    pub(crate) fn new(shared: &Arc<Shared>, serving: Serving) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(to_usize(shared.limits.resources));
        Self {
            limiter: Limiter::new(Arc::clone(shared)),
            shared: Arc::clone(shared),
            table,
            serving,
            wasi: None,
        }
    }

    /// Hands a connection to the guest for the rest of the call that is served.
    pub(crate) fn lend(
        &mut self,
        connection: Arc<dyn Connection>,
    ) -> wasmtime::Result<Resource<Link>> {
        let link = Link {
            connection,
            call: self.serving.id,
        };
        match self.table.push(link) {
            Ok(handle) => Ok(handle),
            Err(ResourceTableError::Full) => Err(Crossed::new(
                key::resources,
                self.shared.limits.resources,
                "the call holds too many connections",
            )
            .into()),
            Err(other) => Err(other.into()),
        }
    }

    /// Hands a target to the guest, and notes from now on what it asks for.
    pub(crate) fn lend_target(&mut self, noted: &Arc<Noted>) -> wasmtime::Result<Resource<Target>> {
        self.serving.noted = Some(Arc::clone(noted));
        Ok(self.table.push(Target(Arc::clone(noted)))?)
    }

    /// The connection behind a handle, if it belongs to the call that is served.
    pub(crate) fn connection(
        &self,
        handle: &Resource<Link>,
    ) -> wasmtime::Result<Arc<dyn Connection>> {
        let link = self.table.get(handle)?;
        if link.call != self.serving.id {
            return Err(wasmtime::Error::msg(
                "the connection ended with the call that it was given to",
            ));
        }
        Ok(Arc::clone(&link.connection))
    }

    /// Whether nothing of the call is left, so that another may be served by the same instance.
    pub(crate) fn is_clean(&self) -> bool {
        self.table.is_empty()
            && self.serving.streams.load(Ordering::Acquire) == 0
            && self.wasi.is_none()
    }
}

/// A guest's handle on a connection.
#[allow(
    unreachable_pub,
    reason = "generated code re-exports it inside this crate"
)]
pub struct Link {
    connection: Arc<dyn Connection>,
    call: u64,
}

/// Counts what linear memories and tables take.
pub(crate) struct Limiter {
    shared: Arc<Shared>,
    memory: u64,
    elements: u64,
    pages: Option<OwnedSemaphorePermit>,
}

impl Limiter {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            memory: 0,
            elements: 0,
            pages: None,
        }
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.shared
            .memory_held
            .fetch_sub(self.memory, Ordering::Relaxed);
    }
}

#[async_trait::async_trait]
impl ResourceLimiterAsync for Limiter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let grow = desired.saturating_sub(current) as u64;
        let limit = self.shared.limits.memory_bytes;
        if self.memory.saturating_add(grow) > limit {
            let wanted = self.memory.saturating_add(grow);
            return Err(Crossed::new(
                key::memory_bytes,
                limit,
                format!("it wanted {wanted} bytes of memory"),
            )
            .into());
        }
        let pages = u32::try_from(grow.div_ceil(PAGE_BYTES)).unwrap_or(u32::MAX);
        if u64::from(pages) * PAGE_BYTES > self.shared.memory_total {
            return Err(Crossed::new(
                "memory-total-bytes",
                self.shared.memory_total,
                "one plugin wanted more than all may have",
            )
            .into());
        }
        // Queues: whoever came first is served first, so a large want is not overtaken for ever.
        let permit = Arc::clone(&self.shared.memory)
            .acquire_many_owned(pages)
            .await
            .map_err(|_| wasmtime::Error::msg("the engine shuts down"))?;
        match &mut self.pages {
            Some(held) => held.merge(permit),
            None => self.pages = Some(permit),
        }
        self.memory = self.memory.saturating_add(grow);
        self.shared.memory_held.fetch_add(grow, Ordering::Relaxed);
        Ok(true)
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self
            .elements
            .saturating_add(desired.saturating_sub(current) as u64);
        let limit = self.shared.limits.table_elements;
        if elements > limit {
            return Err(Crossed::new(
                key::table_elements,
                limit,
                format!("it wanted {elements} table elements"),
            )
            .into());
        }
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        to_usize(self.shared.limits.instances)
    }

    fn tables(&self) -> usize {
        to_usize(self.shared.limits.instances)
    }

    fn memories(&self) -> usize {
        to_usize(self.shared.limits.instances)
    }
}

/// A budget that begins anew after a while for a call that has no end.
#[derive(Debug)]
pub(crate) struct Window<T> {
    renews: bool,
    state: Mutex<(Instant, T)>,
}

impl<T: Default> Window<T> {
    pub(crate) fn new(renews: bool) -> Self {
        Self {
            renews,
            state: Mutex::new((Instant::now(), T::default())),
        }
    }

    /// Works on what was used; `renew` sees what was used in a window that is over.
    pub(crate) fn with<R>(&self, renew: impl FnOnce(T), work: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.renews && state.0.elapsed() >= RENEWAL {
            let (_, used) = std::mem::replace(&mut *state, (Instant::now(), T::default()));
            renew(used);
        }
        work(&mut state.1)
    }
}

/// The host requests of one call.
#[derive(Debug)]
pub(crate) struct Requests {
    total: Window<u64>,
    limit: u64,
    at_once: Arc<Semaphore>,
    /// Bytes of bodies from the guest. They are on the host before it can say no, so they end the call.
    bodies: AtomicU64,
    /// Bytes of answers, which wait.
    answers: Arc<Semaphore>,
    held_limit: u64,
}

/// A request under way: its place, and the bytes that the host holds for it.
#[derive(Debug)]
pub(crate) struct Place {
    at_once: Option<OwnedSemaphorePermit>,
    answer: Option<OwnedSemaphorePermit>,
    body: u64,
    requests: Arc<Requests>,
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(HELD_UNIT)).unwrap_or(u32::MAX)
}

impl Requests {
    fn new(limits: &Limits, renews: bool) -> Self {
        let permits = |count: u64| {
            Arc::new(Semaphore::new(
                to_usize(count).clamp(1, Semaphore::MAX_PERMITS),
            ))
        };
        Self {
            total: Window::new(renews),
            limit: limits.requests_per_call,
            at_once: permits(limits.requests_at_once),
            bodies: AtomicU64::new(0),
            answers: permits(limits.held_bytes / HELD_UNIT),
            held_limit: limits.held_bytes,
        }
    }

    /// Waits for a place for a request whose body has `bytes`.
    ///
    /// # Errors
    /// [`Crossed`] when the call made too many, or its bodies on the way are more than may be held.
    pub(crate) async fn begin(self: &Arc<Self>, bytes: u64) -> Result<Place, Crossed> {
        let made = self.total.with(drop, |made| {
            *made += 1;
            *made
        });
        if made > self.limit {
            return Err(Crossed::new(
                key::requests_per_call,
                self.limit,
                "it made too many host requests",
            ));
        }
        let held = self.bodies.fetch_add(bytes, Ordering::AcqRel);
        let mut place = Place {
            at_once: None,
            answer: None,
            body: bytes,
            requests: Arc::clone(self),
        };
        if held.saturating_add(bytes) > self.held_limit {
            return Err(self.over());
        }
        let closed = |_| self.over();
        place.at_once = Some(
            Arc::clone(&self.at_once)
                .acquire_owned()
                .await
                .map_err(closed)?,
        );
        let expected = ANSWER_BYTES.min(self.held_limit / 4);
        place.answer = Some(self.hold(expected).await?);
        Ok(place)
    }

    /// Waits until that much more may be held; one answer alone may always be held.
    async fn hold(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Crossed> {
        let wanted = units(bytes.min(self.held_limit / HELD_UNIT * HELD_UNIT));
        let held = Arc::clone(&self.answers).acquire_many_owned(wanted).await;
        held.map_err(|_| self.over())
    }

    fn over(&self) -> Crossed {
        Crossed::new(
            key::held_bytes,
            self.held_limit,
            "the bodies of its requests on the way are more than the host holds for a call",
        )
    }
}

impl Place {
    /// The answer has `bytes`: waits until the host may hold that much, or gives back what was too much.
    pub(crate) async fn answered(&mut self, bytes: u64) -> Result<(), Crossed> {
        // Waiting for more while holding some could wait for ever on others that do the same: start over.
        self.answer = None;
        self.answer = Some(self.requests.hold(bytes).await?);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.requests.bodies.fetch_sub(self.body, Ordering::AcqRel);
    }
}

/// Counts a stream of the host as long as the guest has it.
#[derive(Debug)]
pub(crate) struct OpenStream(Arc<AtomicUsize>);

impl OpenStream {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn requests(limits: &Limits) -> Arc<Requests> {
        Arc::new(Requests::new(limits, false))
    }

    #[tokio::test]
    async fn requests_queue_for_places_and_end_at_the_total() {
        let requests = requests(&Limits {
            requests_at_once: 1,
            requests_per_call: 2,
            ..Limits::default()
        });
        let first = requests.begin(0).await.unwrap();
        let mut second = Box::pin(requests.begin(0));
        assert!((&mut second).now_or_never().is_none(), "the second waits");
        drop(first);
        second.await.unwrap();
        assert_eq!(
            requests.begin(0).await.unwrap_err().limit,
            "requests-per-call"
        );
    }

    #[tokio::test]
    async fn answers_that_are_held_make_others_wait_and_bodies_end_the_call() {
        let limits = Limits {
            held_bytes: 100 * 1024,
            ..Limits::default()
        };
        let requests = requests(&limits);
        let mut first = requests.begin(0).await.unwrap();
        first.answered(90 * 1024).await.unwrap();
        let mut second = Box::pin(requests.begin(60 * 1024));
        assert!((&mut second).now_or_never().is_none());
        let third = requests.begin(60 * 1024).await;
        assert_eq!(third.unwrap_err().limit, "held-bytes");
        drop(first);
        drop(second.await.unwrap());
        requests.begin(100 * 1024).await.unwrap();
    }
}

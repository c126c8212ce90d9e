//! One member's client: everything that its connections share, whoever holds them.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use http::Response;
use hyper::body::Incoming;
use optikon_core::words::{Fault, FaultReason, Member, Method};
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    time::{Duration, Instant, timeout},
};

use crate::{
    Shared,
    breaker::Breaker,
    budget::Budget,
    clock::{Clock, Phase},
    discovery::Discovery,
    fault::{clean, fault},
    message::Prepared,
    pool::{Lease, Pool, forgotten},
    setup::Setup,
};

/// How much of each endpoint's error is kept when several failed.
const MAX_ENDPOINT_ERROR_BYTES: usize = 240;
/// A member that closes every connection at once is told of no more often than this.
const CLOSED_PAUSE: Duration = Duration::from_secs(1);
/// Attempts of one request over pooled connections that turn out to be dead.
const MAX_REUSES: usize = 2;

/// All that is held for one member.
pub(crate) struct Client {
    pub(crate) member: Member,
    pub(crate) shared: Arc<Shared>,
    pub(crate) breaker: Breaker,
    pub(crate) pool: Pool,
    pub(crate) discovery: Discovery,
    permits: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
    /// Streams of lines last long: they may have half of the places, so that requests have the others.
    streams: Arc<Semaphore>,
    budget: Budget,
    background: Budget,
    central: Budget,
    setup: OnceCell<Setup>,
    /// One dials, the others wait for the outcome.
    dialling: tokio::sync::Mutex<()>,
    failed_dials: AtomicU64,
    last_failure: Mutex<Option<Fault>>,
    is_forgotten: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.member.name)
            .field("uid", &self.member.uid)
            .finish_non_exhaustive()
    }
}

/// Which budget a request is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The member's.
    Member,
    /// The background's share of it.
    Background,
    /// The registry plugin's, at the central cluster.
    Central,
}

/// An answer's head, with what its body needs.
pub(crate) struct Sent {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Client {
    pub(crate) fn new(member: Member, shared: Arc<Shared>) -> Self {
        let config = &shared.config;
        let (closed, uid) = (shared.closed.clone(), member.uid.clone());
        let last_told = Mutex::new(None::<Instant>);
        let on_closed = Arc::new(move || {
            let mut last_told = last_told.lock().unwrap_or_else(PoisonError::into_inner);
            if last_told.is_none_or(|at| at.elapsed() >= CLOSED_PAUSE) {
                *last_told = Some(Instant::now());
                // Nobody listening is fine.
                let _listeners = closed.send(uid.clone());
            }
        });
        Self {
            breaker: Breaker::new(
                config.breaker_failures,
                Duration::from_millis(config.breaker_first_ms),
                Duration::from_secs(config.breaker_max_seconds),
            ),
            pool: Pool::new(config.header_bytes, config.keep_alive(), on_closed),
            discovery: Discovery::new(Duration::from_secs(config.discovery_seconds)),
            permits: Arc::new(Semaphore::new(config.requests_in_flight)),
            tunnels: Arc::new(Semaphore::new(config.tunnels_in_flight)),
            streams: Arc::new(Semaphore::new((config.requests_in_flight / 2).max(1))),
            budget: Budget::new(config.requests_per_second, config.requests_burst),
            background: Budget::new(
                config.background_requests_per_second,
                config.background_requests_burst,
            ),
            central: Budget::new(
                config.central_requests_per_second,
                config.central_requests_burst,
            ),
            setup: OnceCell::new(),
            dialling: tokio::sync::Mutex::default(),
            failed_dials: AtomicU64::default(),
            last_failure: Mutex::default(),
            is_forgotten: AtomicBool::default(),
            member,
            shared,
        }
    }

    /// Ends every connection; later requests fail.
    pub(crate) fn forget(&self) {
        self.is_forgotten.store(true, Ordering::Relaxed);
        self.tunnels.close();
        self.pool.close();
    }

    /// Whether the member's credential stands in `bytes`.
    pub(crate) fn repeats_credential(&self, bytes: &[u8]) -> bool {
        self.setup
            .get()
            .is_some_and(|setup| setup.echo.is_in(bytes))
    }

    /// Waits for a place among the member's tunnels.
    pub(crate) async fn tunnel_place(&self) -> Result<OwnedSemaphorePermit, Fault> {
        if self.is_forgotten.load(Ordering::Relaxed) {
            return Err(forgotten());
        }
        self.budget.turn().await;
        let tunnels = self.tunnels.clone();
        tunnels.acquire_owned().await.map_err(|_| forgotten())
    }

    /// A place among the member's streams of lines. Nobody waits for one: they are held for minutes, and whoever watches
    /// can look instead.
    pub(crate) fn stream_place(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.streams.clone().try_acquire_owned().map_err(|_| {
            fault(
                FaultReason::Timeout,
                "as many streams as this member may have are open; look again later",
            )
        })
    }

    pub(crate) async fn setup(&self) -> Result<&Setup, Fault> {
        let make = || Setup::new(&self.member, &self.shared);
        self.setup.get_or_try_init(make).await
    }

    /// Sends a request and waits for the head of its answer. Dropped at any point, it leaves no
    /// request and no permit behind.
    pub(crate) async fn send(
        &self,
        prepared: &Prepared,
        turn: Turn,
        clock: &Clock,
        deadline: Instant,
    ) -> Result<Sent, Fault> {
        // Before the permit: who waits for a turn takes nobody's place.
        match turn {
            Turn::Background => {
                self.background.turn().await;
                self.budget.turn().await;
            }
            Turn::Member => self.budget.turn().await,
            Turn::Central => self.central.turn().await,
        }
        let permits = self.permits.clone();
        let permit = permits.acquire_owned().await.map_err(|_| forgotten())?;
        let setup = self.setup().await?;
        let mut reuses = 0;
        loop {
            let mut lease = self.check_out(setup, clock, deadline).await?;
            clock.enter(Phase::FirstByte);
            let authority = setup.ways.get(lease.endpoint).map(|way| &way.base);
            let base = authority.ok_or_else(forgotten)?;
            let request = prepared.to_http(base, setup.authorization.as_ref(), lease.is_h2())?;
            let unanswered = match lease.send(request).await {
                Ok(response) => {
                    return Ok(Sent {
                        response,
                        lease,
                        permit,
                    });
                }
                Err(unanswered) => unanswered,
            };
            self.pool.drop_broken(&lease);
            let is_harmless = unanswered.is_unsent
                || prepared.method == Method::Get
                    && unanswered.fault.reason == FaultReason::Connect;
            if !(lease.is_reused && is_harmless && reuses < MAX_REUSES) {
                return Err(unanswered.fault);
            }
            reuses += 1;
        }
    }

    async fn check_out(
        &self,
        setup: &Setup,
        clock: &Clock,
        deadline: Instant,
    ) -> Result<Lease, Fault> {
        if self.is_forgotten.load(Ordering::Relaxed) {
            return Err(forgotten());
        }
        if let Some(lease) = self.pool.reuse() {
            return Ok(lease);
        }
        if self.pool.is_h1() {
            return self.dial(setup, clock, deadline).await;
        }
        let seen = self.failed_dials.load(Ordering::Acquire);
        let _turn = self.dialling.lock().await;
        if let Some(lease) = self.pool.reuse() {
            return Ok(lease);
        }
        if self.failed_dials.load(Ordering::Acquire) != seen
            && let Some(fault) = self.last_failure().clone()
        {
            // It failed while we waited for it.
            return Err(fault);
        }
        let dialled = self.dial(setup, clock, deadline).await;
        if let Err(fault) = &dialled {
            *self.last_failure() = Some(fault.clone());
            self.failed_dials.fetch_add(1, Ordering::Release);
        }
        dialled
    }

    fn last_failure(&self) -> std::sync::MutexGuard<'_, Option<Fault>> {
        let guard = self.last_failure.lock();
        guard.unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries the endpoints in turn. The first failure names the reason; every one is in the message.
    async fn dial(&self, setup: &Setup, clock: &Clock, deadline: Instant) -> Result<Lease, Fault> {
        let mut failures: Vec<(String, Fault)> = Vec::new();
        let order = setup.order(&self.shared).await;
        for (tried, endpoint) in order.iter().enumerate() {
            let attempt = Box::pin(self.dial_one(setup, *endpoint, clock));
            let left = deadline.saturating_duration_since(Instant::now());
            let outcome = if tried + 1 < order.len() {
                // A silent endpoint leaves the next one half of the time.
                match timeout(left / 2, attempt).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(clock.timeout(left / 2, "leaving time for the other endpoints")),
                }
            } else {
                attempt.await
            };
            let failure = match outcome {
                Ok(lease) => {
                    setup.note(*endpoint, false);
                    return Ok(lease);
                }
                Err(failure) => failure,
            };
            if !fails_over(failure.reason) {
                return Err(failure);
            }
            setup.note(*endpoint, true);
            let authority = setup.ways.get(*endpoint).map(|w| w.base.authority.clone());
            failures.push((authority.unwrap_or_default(), failure));
        }
        let mut failures = failures.into_iter();
        let Some((first_authority, first)) = failures.next() else {
            return Err(fault(FaultReason::BadConfig, "there is no endpoint to try"));
        };
        if failures.len() == 0 {
            return Err(first);
        }
        let line = |authority: &str, f: &Fault| {
            format!(
                "{authority}: {}: {}",
                f.reason.reason(),
                clean(&f.message, MAX_ENDPOINT_ERROR_BYTES)
            )
        };
        let mut lines = vec![line(&first_authority, &first)];
        lines.extend(failures.map(|(authority, f)| line(&authority, &f)));
        Err(fault(first.reason, lines.join("; ")))
    }

    async fn dial_one(
        &self,
        setup: &Setup,
        endpoint: usize,
        clock: &Clock,
    ) -> Result<Lease, Fault> {
        let way = setup.ways.get(endpoint).ok_or_else(forgotten)?;
        let stream = self
            .shared
            .dialer
            .dial(
                &way.base,
                &way.route,
                setup.tls.clone(),
                way.name.clone(),
                clock,
            )
            .await?;
        let lease = self.pool.adopt(stream, endpoint).await?;
        if self.is_forgotten.load(Ordering::Relaxed) {
            self.pool.close();
            return Err(forgotten());
        }
        Ok(lease)
    }
}

/// Whether another endpoint may do better.
pub(crate) fn fails_over(reason: FaultReason) -> bool {
    match reason {
        FaultReason::Dns
        | FaultReason::Connect
        | FaultReason::Proxy
        | FaultReason::TlsUntrusted
        | FaultReason::TlsExpired
        | FaultReason::TlsName
        | FaultReason::TlsOther
        | FaultReason::Timeout
        | FaultReason::Protocol => true,
        FaultReason::Unauthorized
        | FaultReason::TooLarge
        | FaultReason::BreakerOpen
        | FaultReason::Denied
        | FaultReason::CredentialUnbound
        | FaultReason::CredentialUnreadable
        | FaultReason::BadConfig
        | FaultReason::NoPod
        | FaultReason::PodNotReady
        | FaultReason::SeveralPods
        | FaultReason::Forbidden
        | FaultReason::Tunnel
        | FaultReason::NotGrpc => false,
    }
}

//! Looking at members: one look at a time per member, shared by everybody who asks meanwhile.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use serde_json::Value;
use tokio::{sync::Semaphore, time::Instant};
use tracing::Instrument;

use super::{
    custody::Custody,
    health::one_line,
    mirror::{Entry, Mirror},
};
use crate::{
    error::{Error, FailureKind},
    ports::{Call, Outbound, Prober, World},
    words::{Cluster, Depth, Durations, Fault, Observation, Rules, Status, Uid, Verdict},
};

/// Looks of the background at once; members whose last look failed take at most half. Each is a plugin's instance, whose
/// place keeps some of its memory for the next.
const PLACES: usize = 128;

/// Who wants the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Somebody waits: passes an open breaker, is not damped.
    Live,
    /// The same as one of many: waits for its turn at the prober instead of being refused.
    FanOut,
    /// The background.
    Background,
}

impl Wanted {
    fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::FanOut)
    }
}

/// How long looks took, by what they asked for and what they found.
pub type LookSeries = BTreeMap<(Depth, Verdict), Durations>;

type Flight = Shared<BoxFuture<'static, Arc<Observation>>>;

/// Looks at members over the prober.
#[derive(Debug)]
pub struct Looks {
    prober: Arc<dyn Prober>,
    outbound: Arc<dyn Outbound>,
    custody: Custody,
    mirror: Arc<Mirror>,
    world: Arc<dyn World>,
    flights: Mutex<HashMap<Uid, (Depth, Wanted, Flight)>>,
    places: Semaphore,
    sick_places: Semaphore,
    took: Mutex<LookSeries>,
}

impl Looks {
    /// Over these ports.
    pub fn new(
        prober: Arc<dyn Prober>,
        outbound: Arc<dyn Outbound>,
        custody: Custody,
        mirror: Arc<Mirror>,
        world: Arc<dyn World>,
    ) -> Arc<Self> {
        Arc::new(Self {
            prober,
            outbound,
            custody,
            mirror,
            world,
            flights: Mutex::default(),
            places: Semaphore::new(PLACES),
            sick_places: Semaphore::new(PLACES / 2),
            took: Mutex::default(),
        })
    }

    /// One look at a member now; joins one that is under way if it asks for as much. What was seen
    /// is in the mirror before this returns.
    pub async fn look(
        self: &Arc<Self>,
        entry: &Entry,
        depth: Depth,
        deadline: Duration,
        wanted: Wanted,
    ) -> Arc<Observation> {
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            let joined = flights
                .get(&entry.uid)
                .filter(|(d, w, _)| *d >= depth && (*w == wanted || w.is_live()))
                // One whose waiters all left stands still; it is not joined but replaced.
                .filter(|(_, _, flight)| flight.strong_count().is_some_and(|n| n > 1))
                .map(|(_, _, flight)| flight.clone());
            joined.unwrap_or_else(|| {
                let this = self.clone();
                let entry = entry.clone();
                let uid = entry.uid.clone();
                let span = crate::step!(
                    "look", cluster = %entry.cluster.name(), depth = depth.as_str(),
                    verdict = tracing::field::Empty, reason = tracing::field::Empty
                );
                let look = span.clone();
                let flight = async move {
                    let seen = this.see(&entry, depth, deadline, wanted).await;
                    look.record("verdict", seen.verdict.as_str());
                    look.record("reason", seen.reason.as_str());
                    let mut flights = this.flights.lock().unwrap_or_else(PoisonError::into_inner);
                    flights.remove(&entry.uid);
                    drop(flights);
                    Arc::new(seen)
                };
                let flight = flight.instrument(span).boxed().shared();
                flights.insert(uid, (depth, wanted, flight.clone()));
                flight
            })
        };
        // The look ends with whoever waits for it last; a longer deadline of the first is no reason
        // for the second to wait.
        match tokio::time::timeout(deadline, flight).await {
            Ok(seen) => seen,
            Err(_) => Arc::new(silent("Timeout", "no result within the deadline")),
        }
    }

    /// How long looks took since the start.
    pub fn took(&self) -> LookSeries {
        self.took
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Drops looks whose waiters all left.
    pub fn tidy(&self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, (_, _, flight)| flight.strong_count().is_some_and(|n| n > 1));
    }

    async fn see(
        &self,
        entry: &Entry,
        depth: Depth,
        deadline: Duration,
        wanted: Wanted,
    ) -> Observation {
        let is_sick = entry.health.misses > 0;
        let _places = match wanted {
            Wanted::Live | Wanted::FanOut => None,
            Wanted::Background => {
                let sick = if is_sick {
                    self.sick_places.acquire().await.ok()
                } else {
                    None
                };
                Some((sick, self.places.acquire().await.ok()))
            }
        };
        // Waiting for a place is not looking.
        let begun = Instant::now();
        // Boxed: thousands wait for a place after a start, and only who has one needs the room.
        let seen = Box::pin(self.ask(entry, depth, deadline, wanted)).await;
        let mut took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        took.entry((depth, seen.verdict))
            .or_default()
            .record(begun.elapsed());
        drop(took);
        seen
    }

    /// Asks the prober and records what it saw.
    async fn ask(
        &self,
        entry: &Entry,
        depth: Depth,
        deadline: Duration,
        wanted: Wanted,
    ) -> Observation {
        let seen = match self.custody.member(&entry.cluster, &entry.uid).await {
            Err(fault) => of_fault(&fault),
            Ok(member) => {
                let is_live = wanted.is_live();
                let connection = self.outbound.connect(&member, Rules::Prober, is_live);
                let call = if wanted == Wanted::Live {
                    Call::client()
                } else {
                    Call::background()
                };
                match self
                    .prober
                    .probe(call.within(deadline), connection, depth)
                    .await
                {
                    Ok(seen) => seen,
                    // Our own trouble says nothing about the member: it is shown, not counted.
                    Err(error) => {
                        let seen = of_error(&error);
                        self.record_trouble(entry, &seen);
                        return seen;
                    }
                }
            }
        };
        self.record(entry, &seen, depth, wanted);
        seen
    }

    fn record_trouble(&self, entry: &Entry, seen: &Observation) {
        let name = entry.cluster.name();
        self.mirror.observed(name, &entry.uid, |_, health| {
            health.last_error = Some((seen.reason.clone(), seen.message.clone()));
            true
        });
    }

    fn record(&self, entry: &Entry, seen: &Observation, depth: Depth, wanted: Wanted) {
        let name = entry.cluster.name();
        let (now_ms, is_damped) = (self.world.now_ms(), wanted == Wanted::Background);
        self.mirror.observed(name, &entry.uid, |present, health| {
            let is_same = is_same_connection(present, entry);
            if is_same {
                health.observe(seen, depth, now_ms, is_damped);
            }
            is_same
        });
    }
}

/// Whether two states of a cluster are reached in the same way.
pub(super) fn is_same_connection(a: &Entry, b: &Entry) -> bool {
    a.uid == b.uid && (a.object_version == b.object_version || is_same_way(&a.cluster, &b.cluster))
}

/// Whether two objects of one cluster say the same about the way to it.
fn is_same_way(a: &Cluster, b: &Cluster) -> bool {
    a == b || way(a) == way(b)
}

/// A number that is the same, as good as certainly, for objects that say the same about the way to their cluster.
pub(super) fn way_digest(cluster: &Cluster) -> u64 {
    let mut hasher = DefaultHasher::new();
    way(cluster).hash(&mut hasher);
    hasher.finish()
}

fn way(cluster: &Cluster) -> (Option<Value>, [Option<String>; 2]) {
    let object = cluster.object();
    let extra = [super::input::TLS_SERVER_NAME, super::input::PROXY_URL];
    let spec = object.get("spec").cloned();
    (spec, extra.map(|key| cluster.annotation(key)))
}

fn silent(reason: &str, message: &str) -> Observation {
    Observation {
        verdict: Verdict::Unreachable,
        reason: reason.into(),
        message: one_line(message),
        status: Status::default(),
    }
}

fn of_fault(fault: &Fault) -> Observation {
    silent(fault.reason.reason(), &fault.message)
}

fn of_error(error: &Error) -> Observation {
    let reason = match error {
        Error::Plugin(failure) => match failure.kind {
            FailureKind::Limit { .. } => "PluginLimit",
            FailureKind::Trap | FailureKind::Contract => "PluginTrap",
        },
        Error::NoPlugin { .. } => "NoProber",
        Error::Timeout(_) => "PluginLimit",
        Error::Busy { .. } => "Busy",
        _ => "Internal",
    };
    Observation {
        verdict: Verdict::Unknown,
        ..silent(reason, &error.to_string())
    }
}

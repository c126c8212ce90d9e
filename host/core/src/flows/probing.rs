//! The background: every member is looked at in its own rhythm, so that a sick one delays nobody.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, Semaphore},
    task::{AbortHandle, JoinSet},
};

use super::{
    clusters::Clusters,
    health::{Health, Periods, WRITE_BACK_EVERY},
    looks::{Wanted, is_same_connection, way_digest},
    mirror::{Entry, Synced},
};
use crate::{
    ports::{Call, Table},
    words::{ClusterName, Depth, Uid},
};

/// Looks of the background give up after this long, by what they ask for.
const REACH_DEADLINE: Duration = Duration::from_secs(8);
const WHOLE_DEADLINE: Duration = Duration::from_secs(30);
/// At the start the first looks are spread over this long.
const FIRST_SPREAD: Duration = Duration::from_secs(2);
/// Ages, duplicates and expiries are checked this often.
const ROUND: Duration = Duration::from_secs(5);
/// Conditions written into the registry at once.
const WRITES: usize = 16;
/// A credential that ends sooner is `CredentialExpiring`.
const EXPIRING_MS: u64 = 7 * 24 * 3600 * 1000;
/// What is known of a member is written to the store at least this often while it changes.
const SAVE_EVERY_MS: u64 = 60 * 1000;

/// When something was written, and a digest of what: not the text, which would stay in memory for every cluster.
type Written = (u64, u64);

/// What was last written to the store of what is known of a member.
struct Saved {
    at_ms: u64,
    looked_ms: u64,
    digest: u64,
}

struct Watched {
    handle: AbortHandle,
    kick: Arc<Notify>,
    name: ClusterName,
}

impl Clusters {
    /// Looks at every member in the background until dropped.
    pub async fn probe(&self, periods: Periods) {
        let mut tasks = JoinSet::new();
        let mut watched: HashMap<Uid, Watched> = HashMap::new();
        let writes = Arc::new(Semaphore::new(WRITES));
        let mut closed = self.outbound.closed();
        loop {
            let Ok(mut cursor) = self.mirror.watch(None) else {
                return;
            };
            let (entries, _) = self.mirror.all();
            let present: HashMap<&Uid, &Arc<Entry>> = entries.iter().map(|e| (&e.uid, e)).collect();
            watched.retain(|uid, w| {
                let stays = present.contains_key(uid);
                if !stays {
                    w.handle.abort();
                }
                stays
            });
            for entry in &entries {
                self.start(entry, periods, &writes, &mut tasks, &mut watched, true);
            }
            loop {
                let events = tokio::select! {
                    events = cursor.next() => events,
                    Some(uid) = closed.next() => {
                        if let Some(member) = watched.get(&uid) {
                            member.kick.notify_one();
                        }
                        continue;
                    }
                    Some(_) = tasks.join_next() => continue,
                };
                let Ok(events) = events else { break };
                for event in events {
                    match (&event.before, &event.after) {
                        (Some(before), None) => {
                            if let Some(gone) = watched.remove(&before.uid) {
                                gone.handle.abort();
                            }
                        }
                        (before, Some(after)) => {
                            let is_new = before.as_ref().is_none_or(|b| b.uid != after.uid);
                            if is_new {
                                self.start(
                                    after,
                                    periods,
                                    &writes,
                                    &mut tasks,
                                    &mut watched,
                                    false,
                                );
                            } else if before
                                .as_ref()
                                .is_some_and(|b| !is_same_connection(b, after))
                                && let Some(member) = watched.get(&after.uid)
                            {
                                member.kick.notify_one();
                            }
                        }
                        (None, None) => {}
                    }
                }
            }
        }
    }

    fn start(
        &self,
        entry: &Arc<Entry>,
        periods: Periods,
        writes: &Arc<Semaphore>,
        tasks: &mut JoinSet<()>,
        watched: &mut HashMap<Uid, Watched>,
        is_spread: bool,
    ) {
        let known = watched.get(&entry.uid);
        if known.is_some_and(|w| w.name == *entry.cluster.name()) {
            return;
        }
        let kick = Arc::new(Notify::new());
        let member = Member {
            clusters: self.clone(),
            name: entry.cluster.name().clone(),
            uid: entry.uid.clone(),
            kick: kick.clone(),
            writes: writes.clone(),
            periods,
        };
        let first = if is_spread {
            FIRST_SPREAD.mul_f64(self.dice())
        } else {
            Duration::ZERO
        };
        let handle = tasks.spawn(member.follow(first));
        let name = entry.cluster.name().clone();
        if let Some(old) = watched.insert(entry.uid.clone(), Watched { handle, kick, name }) {
            old.handle.abort();
        }
    }

    /// From 0 to 1.
    fn dice(&self) -> f64 {
        let mut bytes = [0; 2];
        self.world.random(&mut bytes);
        f64::from(u16::from_be_bytes(bytes)) / 65536.0
    }

    /// Ages, duplicates, expiring credentials, and what is known of members into the store; until
    /// dropped.
    pub async fn keep_rounds(&self, periods: Periods) {
        let mut saved: HashMap<Uid, Saved> = HashMap::new();
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            round.tick().await;
            self.looks.tidy();
            let now = self.world.now_ms();
            let (entries, _) = self.mirror.all();
            let doubles = doubles(&entries);
            let expiries: HashMap<Uid, u64> = match self.custody.expiries().await {
                Ok(list) => list.into_iter().collect(),
                Err(error) => {
                    tracing::warn!(%error, "could not read when credentials expire");
                    HashMap::new()
                }
            };
            for entry in &entries {
                let double = doubles
                    .get(&entry.uid)
                    .map(|first| format!("the same cluster is registered as \"{first}\""));
                let ends = expiries.get(&entry.uid).copied();
                let expiring = ends.filter(|at| *at < now + EXPIRING_MS).map(|at| {
                    let word = if at <= now { "ended" } else { "ends" };
                    format!("the credential {word} at {}", super::health::rfc3339(at))
                });
                let change = |health: &mut Health| {
                    let is_aged = health.looked_ms > 0 && health.age(&periods, now);
                    let is_news = health.credential_ends_ms != ends;
                    health.credential_ends_ms = ends;
                    let double = double.as_deref();
                    let is_double = mark(health, "Duplicate", "SameIdentity", double, now);
                    let expiring = expiring.as_deref();
                    let is_expiring = mark(health, "CredentialExpiring", "Expiring", expiring, now);
                    is_aged || is_news || is_double || is_expiring
                };
                // Mostly there is nothing to do: nobody is kept waiting for that.
                if change(&mut entry.health.as_ref().clone()) {
                    let name = entry.cluster.name();
                    let change = |_: &Entry, health: &mut Health| change(health);
                    self.mirror.observed(name, &entry.uid, change);
                }
            }
            self.save_health(&mut saved, now).await;
        }
    }

    async fn save_health(&self, saved: &mut HashMap<Uid, Saved>, now: u64) {
        let (entries, _) = self.mirror.all();
        let mut changes = Vec::new();
        let mut next = HashMap::with_capacity(entries.len());
        for entry in entries {
            if entry.health.looked_ms == 0 {
                continue;
            }
            let (looked_ms, digest) = (entry.health.looked_ms, entry.health.digest());
            let kept = saved.remove(&entry.uid).filter(|saved| {
                let is_recent = now.saturating_sub(saved.at_ms) < SAVE_EVERY_MS;
                saved.digest == digest && (saved.looked_ms == looked_ms || is_recent)
            });
            if let Some(kept) = kept {
                next.insert(entry.uid.clone(), kept);
                continue;
            }
            if let Ok(bytes) = serde_json::to_vec(entry.health.as_ref()) {
                changes.push((Table::Probes, entry.uid.as_str().to_owned(), Some(bytes)));
            }
            let saved = Saved {
                at_ms: now,
                looked_ms,
                digest,
            };
            next.insert(entry.uid.clone(), saved);
        }
        *saved = next;
        if !changes.is_empty()
            && let Err(error) = self.documents.write(changes).await
        {
            tracing::warn!(%error, "what is known of members could not be saved");
            saved.clear();
        }
    }

    /// How far the mirror can be trusted, for `/readyz`.
    pub fn synced(&self) -> Synced {
        self.mirror.synced()
    }
}

fn mark(health: &mut Health, kind: &str, reason: &str, message: Option<&str>, now: u64) -> bool {
    let present = health.condition(kind).map(|c| c.message.clone());
    if present.as_deref() == message {
        return false;
    }
    health.mark(kind, message.map(|m| (reason, m)), now);
    true
}

/// Members that are the same cluster as an earlier one, with that one's name.
fn doubles(entries: &[Arc<Entry>]) -> HashMap<Uid, ClusterName> {
    let mut by_identity: BTreeMap<&str, Vec<&Arc<Entry>>> = BTreeMap::new();
    for entry in entries {
        if let Some(identity) = &entry.health.identity {
            by_identity.entry(identity).or_default().push(entry);
        }
    }
    let age = |e: &Entry| {
        let object = e.cluster.object();
        let metadata = object.get("metadata");
        let created = metadata
            .and_then(|m| m.get("creationTimestamp"))
            .and_then(Value::as_str);
        (
            created.unwrap_or_default().to_owned(),
            e.cluster.name().clone(),
        )
    };
    let mut out = HashMap::new();
    for mut same in by_identity.into_values() {
        same.sort_by_key(|e| age(e));
        if let Some((first, rest)) = same.split_first() {
            out.extend(
                rest.iter()
                    .map(|e| (e.uid.clone(), first.cluster.name().clone())),
            );
        }
    }
    out
}

/// One member's own loop.
struct Member {
    clusters: Clusters,
    name: ClusterName,
    uid: Uid,
    kick: Arc<Notify>,
    writes: Arc<Semaphore>,
    periods: Periods,
}

impl Member {
    async fn follow(self, first: Duration) {
        let mut wait = first;
        // Not the objects: what was known then would stay in memory.
        let mut last: Option<u64> = None;
        let mut written: Option<Written> = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.kick.notified() => {}
            }
            let Some(entry) = self.entry() else { return };
            let now = self.clusters.world.now_ms();
            let way = way_digest(&entry.cluster);
            let is_moved = last.is_some_and(|last| last != way);
            let depth = entry.health.due(&self.periods, now);
            let deadline = if depth == Depth::Reach {
                REACH_DEADLINE
            } else {
                WHOLE_DEADLINE
            };
            // A changed address or credential is a first look: its verdict counts at once.
            let wanted = if is_moved {
                Wanted::FanOut
            } else {
                Wanted::Background
            };
            // Boxed, both: most of the time a member waits for its next turn, and needs the room then only.
            Box::pin(self.clusters.looks.look(&entry, depth, deadline, wanted)).await;
            last = Some(way);
            drop(entry);
            let Some(entry) = self.entry() else { return };
            Box::pin(self.write_back(&entry, &mut written)).await;
            let period = entry.health.period(&self.periods);
            wait = period.mul_f64(0.9 + 0.2 * self.clusters.dice());
        }
    }

    fn entry(&self) -> Option<Arc<Entry>> {
        self.clusters
            .mirror
            .get(&self.name)
            .filter(|e| e.uid == self.uid)
    }

    /// Writes conditions into a registry that keeps them: when they change, else every 5 minutes.
    async fn write_back(&self, entry: &Entry, written: &mut Option<Written>) {
        let now = self.clusters.world.now_ms();
        let health = entry.health.as_ref();
        let mut states = DefaultHasher::new();
        let conditions = health.conditions.iter();
        conditions.for_each(|condition| condition.state().hash(&mut states));
        let states = states.finish();
        let is_due = written.is_none_or(|(at, last)| {
            last != states || now.saturating_sub(at) >= WRITE_BACK_EVERY.as_millis() as u64
        });
        if !is_due || health.conditions.is_empty() {
            return;
        }
        let registry = &self.clusters.registry;
        if !registry.supported().await.is_ok_and(|s| s.status) {
            return;
        }
        let Ok(_place) = self.writes.acquire().await else {
            return;
        };
        let mut conditions: Vec<Value> = health
            .conditions
            .iter()
            .filter_map(|c| serde_json::to_value(c).ok())
            .collect();
        // The registry's own word for it.
        if let Some(ready) = health
            .condition("Ready")
            .and_then(|c| serde_json::to_value(c).ok())
        {
            let mut ok = ready;
            if let Value::Object(ok) = &mut ok {
                ok.insert("type".into(), "OK".into());
            }
            conditions.push(ok);
        }
        let conditions = json!(conditions).to_string();
        let call = Call::background();
        let _pass = self.clusters.gate.pass().await;
        // The registry's own uid: after a migration it is not the one that the gateway goes by.
        let uid = entry.cluster.uid().unwrap_or_else(|| self.uid.clone());
        match registry
            .set_status(call, &self.name, &uid, &conditions)
            .await
        {
            Ok(_) => *written = Some((now, states)),
            Err(error) => {
                tracing::debug!(cluster = %self.name, %error, "conditions could not be written back");
            }
        }
    }
}

//! The registry's content in memory, as an API server's watch cache keeps it.
//!
//! One rising decimal `resourceVersion` is minted here for changes of objects and of their status
//! alike; it is mapped to the registry's own opaque revision. Lists and pages are persistent
//! snapshots, so a page never sees half of a later change; watches replay a bounded ring of events.
//!
//! # Invariants
//! - A writer reads its own write: [`Mirror::wrote`] applies the registry's answer at once, and an
//!   older event that is still under way does not undo it.
//! - An event's number is larger than every number given out before, also before a restart: numbers
//!   are taken from blocks that the store reserved durably.

mod cursor;
mod state;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use imbl::OrdMap;
use tokio::sync::watch;

use self::state::{WithUid, own_uid, says_the_same, with_uids};
use super::health::Health;
use crate::{
    error::{Error, Result},
    ports::Object,
    words::{Cluster, ClusterName, Uid},
};

pub use cursor::{Cursor, through};

/// Events kept for watches; older ones are answered with 410.
const MAX_EVENTS: usize = 10_000;
/// Revisions remembered per name, to tell an old event from a new one.
const MAX_SEEN: usize = 16;
/// Snapshots kept for `continue` tokens.
const MAX_SNAPSHOTS: usize = 128;

/// One cluster as the mirror knows it. Shared; never changed in place.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The object as the registry has it.
    pub cluster: Cluster,
    /// Its uid, or its name where the registry keeps none.
    pub uid: Uid,
    /// The registry's revision.
    pub revision: String,
    /// The number of the last change of the object itself.
    pub object_version: u64,
    /// The number of the last change of object or status.
    pub version: u64,
    /// What was last seen of the member.
    pub health: Arc<Health>,
    /// The cached view as JSON, made once per state.
    pub rendered: Rendered,
}

/// Bytes that are made once, when somebody asks; a changed copy has to make its own.
#[derive(Debug, Default)]
pub struct Rendered(OnceLock<Bytes>);

impl Rendered {
    /// The bytes; `make` runs at most once.
    pub fn get(&self, make: impl FnOnce() -> Vec<u8>) -> Bytes {
        self.0.get_or_init(|| make().into()).clone()
    }
}

impl Clone for Rendered {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What happened to a cluster.
#[derive(Debug, Clone)]
pub struct MirrorEvent {
    /// Its number.
    pub version: u64,
    /// The state before, absent when it was added.
    pub before: Option<Arc<Entry>>,
    /// The state after, absent when it was deleted.
    pub after: Option<Arc<Entry>>,
    /// The last state, with this event's number; what a deleted event shows.
    pub shown: Arc<Entry>,
}

/// A list or a page of one.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Sorted by name.
    pub items: Vec<Arc<Entry>>,
    /// The number of the snapshot.
    pub version: u64,
    /// For the next page.
    pub next: Option<String>,
    /// How many follow.
    pub remaining: usize,
}

#[derive(Debug)]
struct State {
    entries: OrdMap<ClusterName, Arc<Entry>>,
    version: u64,
    /// Numbers up to here are reserved.
    reserved: u64,
    /// Events after this number can be replayed.
    floor: u64,
    events: VecDeque<Arc<MirrorEvent>>,
    seen: HashMap<ClusterName, Seen>,
    snapshots: VecDeque<(u64, OrdMap<ClusterName, Arc<Entry>>)>,
    synced: Synced,
    /// By what uid a cluster is known here, where a migration gave it another one in its registry.
    aliases: HashMap<Uid, Uid>,
}

#[derive(Debug, Default)]
struct Seen {
    revisions: VecDeque<String>,
    /// A local write whose event has not come yet.
    awaited: Option<String>,
}

/// How far the mirror can be trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// Whether the registry was read since the start of its plugin.
    pub is_synced: bool,
    /// Unix milliseconds of the last word from the registry; 0 = never.
    pub heard_ms: u64,
    /// Why the registry is away.
    pub problem: Option<String>,
}

/// The mirror. Every method is short and takes one lock; none waits.
#[derive(Debug)]
pub struct Mirror {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
}

impl Mirror {
    /// An empty mirror that takes its numbers from `first..first + reserved`.
    pub fn new(first: u64, reserved: u64) -> Self {
        Self {
            state: Mutex::new(State {
                entries: OrdMap::new(),
                version: first,
                reserved: first.saturating_add(reserved),
                floor: first,
                events: VecDeque::new(),
                seen: HashMap::new(),
                snapshots: VecDeque::new(),
                synced: Synced::default(),
                aliases: HashMap::new(),
            }),
            latest: watch::channel(first).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in here is a bug of ours; the state itself is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many numbers are left of the reserved ones.
    pub fn numbers_left(&self) -> u64 {
        let state = self.lock();
        state.reserved.saturating_sub(state.version)
    }

    /// A further block that the store reserved.
    pub fn add_numbers(&self, first: u64, count: u64) {
        let mut state = self.lock();
        state.reserved = first.saturating_add(count).max(state.reserved);
        state.version = state.version.max(first);
    }

    /// Takes in what the store kept, before the registry is asked.
    pub fn load(&self, entries: Vec<Entry>, aliases: HashMap<Uid, Uid>, heard_ms: u64) {
        let mut state = self.lock();
        state.aliases = aliases;
        for entry in entries {
            state.version = state.version.max(entry.version);
            state
                .entries
                .insert(entry.cluster.name().clone(), Arc::new(entry));
        }
        state.floor = state.version;
        state.synced.heard_ms = heard_ms;
        let version = state.version;
        drop(state);
        self.latest.send_replace(version);
    }

    /// Replaces the whole content by a fresh list from which a watch goes on: what differs becomes events. No local write may
    /// be under way since before the list was asked for, or it would be undone.
    pub fn replace(&self, objects: Vec<Object>, now_ms: u64) {
        let objects = with_uids(objects);
        let mut state = self.lock();
        // Earlier events do not come again.
        state.seen.clear();
        self.take_in(state, objects, now_ms);
    }

    /// The same with a list beside the watch, which goes on from where it is.
    pub fn refresh(&self, objects: Vec<Object>, now_ms: u64) {
        let objects = with_uids(objects);
        self.take_in(self.lock(), objects, now_ms);
    }

    fn take_in(&self, mut state: MutexGuard<'_, State>, objects: Vec<WithUid>, now_ms: u64) {
        let gone: Vec<ClusterName> = {
            let kept: std::collections::HashSet<&ClusterName> =
                objects.iter().map(|(o, _)| o.cluster.name()).collect();
            state
                .entries
                .keys()
                .filter(|name| !kept.contains(name))
                .cloned()
                .collect()
        };
        for name in gone {
            state.remove(&name, None);
        }
        for (object, uid) in objects {
            state.store(object, uid);
        }
        state.synced = Synced {
            is_synced: true,
            heard_ms: now_ms,
            problem: None,
        };
        self.announce(state);
    }

    /// Forgets every event, so that watches and pages from before end with 410: after a swap.
    pub fn cut(&self) {
        let mut state = self.lock();
        state.version = state.version.saturating_add(1);
        state.floor = state.version;
        state.events.clear();
        state.snapshots.clear();
        self.announce(state);
    }

    /// Another registry serves, and this is what it holds. A cluster that is the same under another uid stays the same
    /// here, with its version, so that who read it may still change it; watches and pages from before end with 410.
    pub fn moved(&self, objects: Vec<Object>, aliases: BTreeMap<Uid, Uid>, now_ms: u64) {
        // Readers wait for the lock, so the objects are parsed and compared before.
        let before = self.lock().entries.clone();
        let looked_at = objects.into_iter().map(|object| {
            // Held, so that it is parsed once.
            let _tree = object.cluster.object();
            let same = before.get(object.cluster.name());
            let same = same.filter(|entry| says_the_same(&entry.cluster, &object.cluster));
            let uid = own_uid(&object.cluster);
            ((object, uid), same)
        });
        let (objects, same): (Vec<WithUid>, Vec<Option<&Arc<Entry>>>) = looked_at.unzip();
        let mut state = self.lock();
        state.aliases.extend(aliases);
        for ((object, uid), same) in objects.iter().zip(same) {
            if let Some(same) = same {
                state.exchange(object, uid.clone(), same);
            }
        }
        state.seen.clear();
        self.take_in(state, objects, now_ms);
        self.cut();
    }

    /// The uid that a registry's object has here.
    pub fn uid_of(&self, cluster: &Cluster) -> Option<Uid> {
        let uid = own_uid(cluster)?;
        Some(self.lock().known_as(uid))
    }

    /// A registry's uid is of no cluster any more.
    pub fn forget_alias(&self, uid: &Uid) {
        self.lock().aliases.remove(uid);
    }

    /// A stored event of the registry's watch.
    pub fn stored(&self, object: Object, now_ms: u64) {
        let uid = own_uid(&object.cluster);
        let mut state = self.lock();
        state.synced.heard_ms = now_ms;
        if state.is_news(object.cluster.name(), &object.revision) {
            state.store(object, uid);
        }
        self.announce(state);
    }

    /// A deleted event of the registry's watch.
    pub fn deleted(&self, object: Object, now_ms: u64) {
        let mut state = self.lock();
        state.synced.heard_ms = now_ms;
        if state.is_news(object.cluster.name(), &object.revision) {
            state.remove(&object.cluster.name().clone(), Some(object.cluster));
        }
        self.announce(state);
    }

    /// The registry was heard (a bookmark).
    pub fn heard(&self, now_ms: u64) {
        self.lock().synced.heard_ms = now_ms;
    }

    /// The registry is away.
    pub fn lost(&self, problem: String) {
        self.lock().synced.problem = Some(problem);
    }

    /// How far this can be trusted.
    pub fn synced(&self) -> Synced {
        self.lock().synced.clone()
    }

    /// The registry's answer to a write of ours, visible from now on.
    pub fn wrote(&self, object: Object) -> Option<Arc<Entry>> {
        let uid = own_uid(&object.cluster);
        let mut state = self.lock();
        let name = object.cluster.name().clone();
        if state.await_event(&name, &object.revision) {
            state.store(object, uid);
        }
        let entry = state.entries.get(&name).cloned();
        self.announce(state);
        entry
    }

    /// The registry's answer to a delete of ours.
    pub fn erased(&self, object: &Object) {
        let mut state = self.lock();
        let name = object.cluster.name().clone();
        if state.await_event(&name, &object.revision) {
            state.remove(&name, None);
        }
        self.announce(state);
    }

    /// A change of what is known about a member, made on what is known *then*, as looks end while others are under
    /// way; ignored when `change` says so, and when the cluster is gone or another of the same name. An event is made
    /// only when something that people act on changed.
    pub fn observed(
        &self,
        name: &ClusterName,
        uid: &Uid,
        change: impl FnOnce(&Entry, &mut Health) -> bool,
    ) {
        let mut state = self.lock();
        let Some(entry) = state.entries.get(name).filter(|e| e.uid == *uid).cloned() else {
            return;
        };
        let mut health = entry.health.as_ref().clone();
        if !change(&entry, &mut health) {
            return;
        }
        let is_change = entry.health.differs(&health);
        let mut new = Entry::clone(&entry);
        new.health = Arc::new(health);
        if is_change {
            state.event(Some(entry), Some(new));
        } else {
            state.entries.insert(name.clone(), Arc::new(new));
        }
        self.announce(state);
    }

    fn announce(&self, state: MutexGuard<'_, State>) {
        let version = state.version;
        drop(state);
        self.latest.send_if_modified(|latest| {
            let is_newer = version > *latest;
            *latest = version.max(*latest);
            is_newer
        });
    }

    /// One entry.
    pub fn get(&self, name: &ClusterName) -> Option<Arc<Entry>> {
        self.lock().entries.get(name).cloned()
    }

    /// Everything, and the number it is of.
    pub fn all(&self) -> (Vec<Arc<Entry>>, u64) {
        let state = self.lock();
        let (entries, version) = (state.entries.clone(), state.version);
        drop(state);
        (entries.values().cloned().collect(), version)
    }

    /// A list of what `keep` selects, whole or a page of `limit`.
    ///
    /// # Errors
    /// `Malformed` for a `next` that we never gave out, `Expired` for one whose snapshot is gone.
    pub fn list(
        &self,
        limit: Option<usize>,
        next: Option<&str>,
        keep: impl Fn(&Entry) -> bool,
    ) -> Result<Listed> {
        let (snapshot, version, after) = match next {
            None => {
                let mut state = self.lock();
                let (entries, version) = (state.entries.clone(), state.version);
                if limit.is_some() && state.snapshots.back().is_none_or(|(v, _)| *v != version) {
                    state.snapshots.push_back((version, entries.clone()));
                    if state.snapshots.len() > MAX_SNAPSHOTS {
                        state.snapshots.pop_front();
                    }
                }
                (entries, version, None)
            }
            Some(token) => {
                let (version, name) = token
                    .split_once(':')
                    .and_then(|(v, n)| {
                        Some((v.parse::<u64>().ok()?, n.parse::<ClusterName>().ok()?))
                    })
                    .ok_or_else(|| Error::Malformed("continue: not a token of ours".into()))?;
                let state = self.lock();
                let found = state.snapshots.iter().find(|(v, _)| *v == version);
                let (_, entries) = found.ok_or_else(|| {
                    Error::Expired("continue: the list it belongs to is gone; list again".into())
                })?;
                (entries.clone(), version, Some(name))
            }
        };
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = snapshot.range::<_, ClusterName>((start, Bound::Unbounded));
        let mut selected = range.map(|(_, entry)| entry).filter(|entry| keep(entry));
        let Some(limit) = limit else {
            let items = selected.cloned().collect();
            return Ok(Listed {
                items,
                version,
                next: None,
                remaining: 0,
            });
        };
        let items: Vec<_> = selected.by_ref().take(limit).cloned().collect();
        let remaining = selected.count();
        let next = (remaining > 0)
            .then(|| {
                items
                    .last()
                    .map(|last| format!("{version}:{}", last.cluster.name()))
            })
            .flatten();
        Ok(Listed {
            items,
            version,
            next,
            remaining,
        })
    }

    /// A cursor over events after `version`; without one, over events from now on.
    ///
    /// # Errors
    /// `Expired` when events after `version` are no longer all here, or it was never given out.
    pub fn watch(self: &Arc<Self>, version: Option<u64>) -> Result<Cursor> {
        let state = self.lock();
        let at = version.unwrap_or(state.version);
        if at < state.floor || at > state.version {
            return Err(expired(at));
        }
        drop(state);
        Ok(Cursor {
            mirror: self.clone(),
            at,
            latest: self.latest.subscribe(),
        })
    }

    /// The number of the last change.
    pub fn version(&self) -> u64 {
        self.lock().version
    }
}

fn expired(at: u64) -> Error {
    Error::Expired(format!(
        "resourceVersion {at} is too old, or from before a swap; list again"
    ))
}

#[cfg(test)]
mod tests;

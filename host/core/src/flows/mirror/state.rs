//! How changes are told apart, numbered and recorded.

use std::sync::Arc;

use serde_json::Value;

use super::{Entry, MAX_EVENTS, MAX_SEEN, MirrorEvent, Rendered, Seen, State};
use crate::{
    flows::health::Health,
    ports::Object,
    words::{Cluster, ClusterName, Selector, Uid},
};

impl State {
    pub(super) fn mint(&mut self) -> u64 {
        self.version = self.version.saturating_add(1);
        self.version
    }

    /// Whether an event of the watch is newer than what is known.
    pub(super) fn is_news(&mut self, name: &ClusterName, revision: &str) -> bool {
        let seen = self.seen.entry(name.clone()).or_default();
        seen.push(revision);
        match &seen.awaited {
            Some(awaited) if awaited == revision => {
                seen.awaited = None;
                false
            }
            Some(_) => false,
            None => true,
        }
    }

    /// Whether a local write is to be applied: false when its event was here before its answer.
    pub(super) fn await_event(&mut self, name: &ClusterName, revision: &str) -> bool {
        let seen = self.seen.entry(name.clone()).or_default();
        if seen.revisions.iter().any(|r| r == revision) {
            return false;
        }
        let is_present = self
            .entries
            .get(name)
            .is_some_and(|e| e.revision == revision);
        if !is_present {
            seen.awaited = Some(revision.to_owned());
        }
        true
    }

    /// Takes in an object of this uid in its registry.
    pub(super) fn store(&mut self, object: Object, uid: Option<Uid>) {
        let Object { cluster, revision } = object;
        let name = cluster.name().clone();
        let Some(uid) = uid.map(|uid| self.known_as(uid)) else {
            return;
        };
        let before = self.entries.get(&name).cloned();
        if let Some(entry) = before.as_ref().filter(|e| e.uid == uid) {
            if same_but_status(&entry.cluster, &cluster) {
                // The write-back of our own conditions, or nothing at all: no event.
                let mut new = Entry::clone(entry);
                // What says the same stays the same text in memory, which earlier states share.
                if new.cluster != cluster {
                    new.cluster = cluster;
                }
                new.revision = revision;
                self.entries.insert(name, Arc::new(new));
                return;
            }
            let mut new = Entry::clone(entry);
            (new.cluster, new.revision) = (cluster, revision);
            new.object_version = self.version.saturating_add(1);
            self.event(before, Some(new));
            return;
        }
        if before.is_some() {
            self.remove(&name, None);
        }
        let version = self.version.saturating_add(1);
        let (health, rendered) = (Arc::new(Health::default()), Rendered::default());
        let new = Entry {
            cluster,
            uid,
            revision,
            object_version: version,
            version,
            health,
            rendered,
        };
        self.event(None, Some(new));
    }

    /// The uid by which a cluster is known here: its registry's, unless it was moved there.
    pub(super) fn known_as(&self, uid: Uid) -> Uid {
        self.aliases.get(&uid).cloned().unwrap_or(uid)
    }

    /// Puts another registry's object in the place of the one that says the same, `same`, without an event.
    pub(super) fn exchange(&mut self, object: &Object, uid: Option<Uid>, same: &Entry) {
        let uid = uid.map(|uid| self.known_as(uid));
        let before = self.entries.get(object.cluster.name());
        if let Some(entry) = before.filter(|e| Some(&e.uid) == uid.as_ref())
            && entry.cluster == same.cluster
        {
            let mut new = Entry::clone(entry);
            new.cluster = object.cluster.clone();
            new.revision.clone_from(&object.revision);
            let name = object.cluster.name().clone();
            self.entries.insert(name, Arc::new(new));
        }
    }

    pub(super) fn remove(&mut self, name: &ClusterName, last: Option<Cluster>) {
        let Some(before) = self.entries.get(name).cloned() else {
            return;
        };
        let before = match last {
            Some(cluster) => Arc::new(Entry {
                cluster,
                ..Entry::clone(&before)
            }),
            None => before,
        };
        self.event(Some(before), None);
    }

    /// Records a change and applies it.
    pub(super) fn event(&mut self, before: Option<Arc<Entry>>, after: Option<Entry>) {
        let version = self.mint();
        let after = after.map(|entry| Arc::new(Entry { version, ..entry }));
        let shown = match (&after, &before) {
            (Some(after), _) => after.clone(),
            (None, Some(before)) => Arc::new(Entry {
                version,
                ..Entry::clone(before)
            }),
            (None, None) => return,
        };
        let name = shown.cluster.name().clone();
        match &after {
            Some(entry) => self.entries.insert(name, entry.clone()),
            None => self.entries.remove(&name),
        };
        self.events.push_back(Arc::new(MirrorEvent {
            version,
            before,
            after,
            shown,
        }));
        while self.events.len() > MAX_EVENTS {
            if let Some(oldest) = self.events.pop_front() {
                self.floor = oldest.version;
            }
        }
    }
}

impl Entry {
    /// Whether a selector selects it.
    pub fn is_selected_by(&self, selector: &Selector) -> bool {
        selector.is_empty() || selector.picks(|key| self.cluster.labels().get(key))
    }
}

impl Seen {
    pub(super) fn push(&mut self, revision: &str) {
        self.revisions.push_back(revision.to_owned());
        if self.revisions.len() > MAX_SEEN {
            self.revisions.pop_front();
        }
    }
}

/// A cluster's uid in its registry; its name where there is none.
pub(super) fn own_uid(cluster: &Cluster) -> Option<Uid> {
    let uid = cluster.uid();
    uid.or_else(|| cluster.name().as_str().parse().ok())
}

/// With its uid in the registry.
pub(super) type WithUid = (Object, Option<Uid>);

/// To find them means to parse, which nobody is to wait for.
pub(super) fn with_uids(objects: Vec<Object>) -> Vec<WithUid> {
    let objects = objects.into_iter();
    let with = objects.map(|object| {
        let uid = own_uid(&object.cluster);
        (object, uid)
    });
    with.collect()
}

/// Compares what people wrote, whichever registry it is in: not what each registry sets for itself.
pub(super) fn says_the_same(a: &Cluster, b: &Cluster) -> bool {
    // Held, so that each is parsed once.
    let (a_tree, b_tree) = (a.object(), b.object());
    a.labels() == b.labels()
        && a_tree.get("spec") == b_tree.get("spec")
        && a.annotations() == b.annotations()
}

/// Compares what people wrote: not the status, and none of the fields a server keeps for itself.
fn same_but_status(a: &Cluster, b: &Cluster) -> bool {
    fn strip(cluster: &Cluster) -> serde_json::Map<String, Value> {
        let mut object = cluster.clone().into_object();
        object.remove("status");
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        object
    }
    a == b || strip(a) == strip(b)
}

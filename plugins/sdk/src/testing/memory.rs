//! Keys in memory, with the semantics of the real ones.

use std::{cell::RefCell, collections::BTreeMap, collections::VecDeque, rc::Rc};

use crate::{
    Changes, Error, Keys,
    kv::{Change, Entry, Expectation, Page, Version},
};

/// Keys in memory. Clones share what they hold.
#[derive(Debug, Clone, Default)]
pub struct MemoryKeys(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    version: Version,
    entries: BTreeMap<String, Entry>,
    log: Vec<Change>,
    snapshots: BTreeMap<Version, BTreeMap<String, Entry>>,
    /// Changes up to here are forgotten.
    forgotten: Version,
}

impl MemoryKeys {
    /// Forgets all changes and snapshots so far: old page tokens and watches end in `expired`.
    pub fn forget(&self) {
        let mut state = self.0.borrow_mut();
        state.forgotten = state.version;
        state.log.clear();
        state.snapshots.clear();
    }
}

impl State {
    fn check(&self, key: &str, expect: Expectation) -> Result<(), Error> {
        let present = self.entries.get(key).map(|e| e.version);
        let holds = match expect {
            Expectation::Any => true,
            Expectation::Absent => present.is_none(),
            Expectation::At(version) => present == Some(version),
        };
        if holds {
            Ok(())
        } else {
            let present = present.map(|v| v.to_string());
            Err(Error::conflict(
                format!("key \"{key}\" is not as expected"),
                present,
            ))
        }
    }
}

fn version_of(change: &Change) -> Version {
    match change {
        Change::Put(entry) | Change::Deleted(entry) => entry.version,
        Change::Bookmark(version) => *version,
    }
}

fn key_of(change: &Change) -> &str {
    match change {
        Change::Put(entry) | Change::Deleted(entry) => &entry.key,
        Change::Bookmark(_) => "",
    }
}

impl Keys for MemoryKeys {
    type Changes = VecDeque<Result<Change, Error>>;

    async fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        Ok(self.0.borrow().entries.get(key).cloned())
    }

    async fn scan(&self, prefix: &str, limit: u32, next: Option<String>) -> Result<Page, Error> {
        let mut state = self.0.borrow_mut();
        let (version, after) = match &next {
            None => {
                let (version, entries) = (state.version, state.entries.clone());
                state.snapshots.insert(version, entries);
                (version, None)
            }
            Some(token) => {
                let (version, after) = token.split_once(' ').unwrap_or_default();
                let version = version
                    .parse()
                    .map_err(|_| Error::expired("no such page"))?;
                (version, Some(after))
            }
        };
        let snapshot = state.snapshots.get(&version);
        let snapshot = snapshot.ok_or_else(|| Error::expired("the scan is too old"))?;
        let mut all = snapshot
            .values()
            .filter(|e| e.key.starts_with(prefix) && after.is_none_or(|a| e.key.as_str() > a));
        let entries: Vec<Entry> = all.by_ref().take(limit as usize).cloned().collect();
        let has_more = all.next().is_some();
        let next = entries
            .last()
            .filter(|_| has_more)
            .map(|last| format!("{version} {}", last.key));
        Ok(Page {
            entries,
            version,
            next,
        })
    }

    async fn put(&self, key: &str, value: Vec<u8>, expect: Expectation) -> Result<Version, Error> {
        let mut state = self.0.borrow_mut();
        state.check(key, expect)?;
        state.version += 1;
        let entry = Entry {
            key: key.to_owned(),
            value,
            version: state.version,
        };
        state.entries.insert(key.to_owned(), entry.clone());
        state.log.push(Change::Put(entry));
        Ok(state.version)
    }

    async fn delete(&self, key: &str, expect: Expectation) -> Result<Version, Error> {
        let mut state = self.0.borrow_mut();
        if !state.entries.contains_key(key) {
            return Err(Error::not_found(format!("no key \"{key}\"")));
        }
        state.check(key, expect)?;
        state.version += 1;
        let version = state.version;
        if let Some(mut last) = state.entries.remove(key) {
            last.version = version;
            state.log.push(Change::Deleted(last));
        }
        Ok(version)
    }

    /// What there is to deliver now; the end stands for "no change yet".
    async fn watch(&self, prefix: &str, after: Option<Version>) -> Result<Self::Changes, Error> {
        let state = self.0.borrow();
        let Some(after) = after else {
            let present = state.entries.values().filter(|e| e.key.starts_with(prefix));
            let present = present.cloned().map(Change::Put);
            let end = Change::Bookmark(state.version);
            return Ok(present.chain([end]).map(Ok).collect());
        };
        if after < state.forgotten {
            return Err(Error::expired(
                "the changes after that version are forgotten",
            ));
        }
        let later = state.log.iter();
        let later = later.filter(|c| version_of(c) > after && key_of(c).starts_with(prefix));
        Ok(later.cloned().map(Ok).collect())
    }
}

impl Changes for VecDeque<Result<Change, Error>> {
    async fn next(&mut self) -> Option<Result<Change, Error>> {
        self.pop_front()
    }
}

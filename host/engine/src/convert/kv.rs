//! Keys of a slot.

use optikon_core::ports::{Change, Entry, Expectation};

use crate::bindings::host::optikon::host::kv;

pub(crate) fn to_entry(entry: Entry) -> kv::Entry {
    kv::Entry {
        key: entry.key,
        value: entry.value,
        version: entry.version,
    }
}

pub(crate) fn to_change(change: Change) -> kv::Change {
    match change {
        Change::Put(entry) => kv::Change::Put(to_entry(entry)),
        Change::Deleted(entry) => kv::Change::Deleted(to_entry(entry)),
        Change::Bookmark(version) => kv::Change::Bookmark(version),
    }
}

pub(crate) fn from_expectation(expect: kv::Expectation) -> Expectation {
    match expect {
        kv::Expectation::Any => Expectation::Any,
        kv::Expectation::Absent => Expectation::Absent,
        kv::Expectation::At(version) => Expectation::At(version),
    }
}

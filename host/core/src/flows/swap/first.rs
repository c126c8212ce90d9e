//! What was acknowledged since another registry serves: written down beside it, so that it comes along when the old one
//! serves again, whatever the new one still says by then.
//!
//! For the first minute every write is noted before its caller is told; after that only writes to what was noted, so that a
//! note is never older than the last word on its cluster.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    flows::mirror::Entry,
    ports::{Documents, Table},
    words::{Cluster, ClusterName},
};

/// So long every write is noted.
const NOTED: Duration = Duration::from_secs(60);
/// The rows of [`Table::Slots`].
const NOTES: &str = "first/";

/// The notes since the last swap.
#[derive(Debug, Default)]
pub(in crate::flows) struct FirstWrites {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    until_ms: u64,
    /// The mirror's number of the newest note of each cluster.
    noted: BTreeMap<ClusterName, u64>,
}

/// The last word on one cluster.
#[derive(Debug)]
pub(super) struct Note {
    /// The mirror's number then.
    pub(super) version: u64,
    /// None when it was deleted.
    pub(super) cluster: Option<Cluster>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    object: Option<Map<String, Value>>,
}

fn key(name: &ClusterName, version: u64) -> String {
    format!("{NOTES}{name}/{version:020}")
}

fn parsed(key: &str) -> Option<(ClusterName, u64)> {
    let (name, version) = key.strip_prefix(NOTES)?.rsplit_once('/')?;
    Some((name.parse().ok()?, version.parse().ok()?))
}

impl FirstWrites {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another registry serves from `now_ms` on; none when it is one that served before.
    pub(super) fn begin(&self, now_ms: Option<u64>) {
        *self.lock() = State {
            until_ms: now_ms.map_or(0, until),
            noted: BTreeMap::new(),
        };
    }

    /// Goes on after a restart.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn resume(&self, documents: &dyn Documents, since_ms: u64) -> Result<()> {
        let rows = documents
            .scan_documents(Table::Slots, NOTES, None, usize::MAX)
            .await?;
        let mut state = self.lock();
        state.until_ms = until(since_ms);
        for (name, version) in rows.iter().filter_map(|(key, _)| parsed(key)) {
            let noted = state.noted.entry(name).or_default();
            *noted = version.max(*noted);
        }
        Ok(())
    }

    /// Notes what a write left of a cluster; returns when it is durable.
    ///
    /// # Errors
    /// The store's.
    pub(in crate::flows) async fn note(
        &self,
        documents: &dyn Documents,
        now_ms: u64,
        name: &ClusterName,
        version: u64,
        entry: Option<&Entry>,
    ) -> Result<()> {
        let older = {
            let mut state = self.lock();
            let older = state.noted.get(name).copied();
            if (now_ms >= state.until_ms && older.is_none()) || older >= Some(version) {
                return Ok(());
            }
            state.noted.insert(name.clone(), version);
            older
        };
        let row = Row {
            object: entry.map(|entry| entry.cluster.clone().into_object()),
        };
        let bytes = serde_json::to_vec(&row).map_err(|e| Error::Internal(e.to_string()))?;
        let mut rows = vec![(Table::Slots, key(name, version), Some(bytes))];
        rows.extend(older.map(|older| (Table::Slots, key(name, older), None)));
        documents.write(rows).await
    }

    /// Every note, the newest of each cluster.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn read(
        &self,
        documents: &dyn Documents,
    ) -> Result<BTreeMap<ClusterName, Note>> {
        let rows = documents
            .scan_documents(Table::Slots, NOTES, None, usize::MAX)
            .await?;
        let mut notes = BTreeMap::new();
        for (key, bytes) in rows {
            // In the order of names and numbers: the last one stays.
            if let (Some((name, version)), Ok(row)) =
                (parsed(&key), serde_json::from_slice::<Row>(&bytes))
            {
                let cluster = row.object.map(Cluster::from_object).transpose()?;
                notes.insert(name, Note { version, cluster });
            }
        }
        Ok(notes)
    }

    /// The rows that erase them.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn erasing(
        &self,
        documents: &dyn Documents,
    ) -> Result<Vec<(Table, String, Option<Vec<u8>>)>> {
        let rows = documents
            .scan_documents(Table::Slots, NOTES, None, usize::MAX)
            .await?;
        let rows = rows.into_iter();
        Ok(rows.map(|(key, _)| (Table::Slots, key, None)).collect())
    }
}

fn until(since_ms: u64) -> u64 {
    since_ms.saturating_add(u64::try_from(NOTED.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::flows::fakes::MemoryDocuments;

    fn entry(name: &str, n: u64) -> Entry {
        let object = json!({"metadata": {"name": name, "uid": "u"}, "spec": {"n": n}});
        Entry {
            cluster: Cluster::from_json(&object.to_string()).unwrap(),
            uid: "u".parse().unwrap(),
            revision: n.to_string(),
            object_version: n,
            version: n,
            health: Arc::default(),
            rendered: crate::flows::mirror::Rendered::default(),
        }
    }

    #[tokio::test]
    async fn the_last_word_on_each_cluster_is_kept() {
        let documents = MemoryDocuments::default();
        let first = FirstWrites::default();
        let name = |text: &str| text.parse::<ClusterName>().unwrap();
        let note = async |now, cluster: &str, version, is_there: bool| {
            let entry = entry(cluster, version);
            let entry = is_there.then_some(&entry);
            first
                .note(&documents, now, &name(cluster), version, entry)
                .await
                .unwrap();
        };
        note(1, "before", 1, true).await;
        first.begin(Some(1_000));
        note(2_000, "a", 5, true).await;
        // Overtaken by a later one on its way.
        note(2_000, "a", 4, true).await;
        note(2_000, "b", 6, true).await;
        // After the minute only what was noted before.
        note(90_000, "a", 7, true).await;
        note(90_000, "b", 8, false).await;
        note(90_000, "c", 9, true).await;
        let notes = first.read(&documents).await.unwrap();
        let shown: Vec<_> = notes
            .iter()
            .map(|(name, note)| (name.as_str(), note.version, note.cluster.is_some()))
            .collect();
        assert_eq!(shown, [("a", 7, true), ("b", 8, false)]);
        // A restart goes on where it was.
        let again = FirstWrites::default();
        again.resume(&documents, 1_000).await.unwrap();
        assert_eq!(again.lock().noted.len(), 2);
        documents
            .write(again.erasing(&documents).await.unwrap())
            .await
            .unwrap();
        assert!(first.read(&documents).await.unwrap().is_empty());
    }
}

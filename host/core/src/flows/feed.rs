//! Keeps the mirror: lists the registry, follows its watch, lists again when the watch cannot.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    clusters::Clusters,
    health::Health,
    input,
    mirror::{Entry, Rendered},
    swap::{ALIAS, KEPT_CREDENTIALS},
};
use crate::{
    error::{Error, Result},
    ports::{Call, Event, Object, Registry, Table},
    words::{Cluster, ClusterName},
};

/// Objects asked for at once.
const PAGE: u32 = 500;
/// A registry that cannot be watched is listed this often.
const POLL: Duration = Duration::from_secs(10);
/// After a failure: this long, doubled up to the most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Credentials that no cluster refers to are looked for this often, and whenever the registry was listed.
const SWEEP: Duration = Duration::from_secs(3_600);
/// Numbers are reserved in blocks of this size; half of one is left when the next is reserved.
const BLOCK: u64 = 1_000_000;
/// The counter they come from.
const COUNTER: &str = "resource-version";
/// Key in `Table::Meta` of the last time the registry was heard.
const HEARD: &str = "mirror-heard-ms";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    object: Map<String, Value>,
    uid: crate::words::Uid,
    revision: String,
    object_version: u64,
    version: u64,
}

/// Reserves the first numbers of this start.
///
/// # Errors
/// When the store cannot write.
pub async fn first_numbers(documents: &dyn crate::ports::Documents) -> Result<(u64, u64)> {
    Ok((documents.reserve(COUNTER, BLOCK).await?, BLOCK))
}

/// Everything a registry holds, of one snapshot, with its revision.
///
/// # Errors
/// The registry's; a list that expires half-way is begun again up to three times.
pub async fn list_all(registry: &dyn Registry, call: Call) -> Result<(Vec<Object>, String)> {
    let mut tries = 0;
    'again: loop {
        let (mut objects, mut next) = (Vec::new(), None);
        loop {
            match registry.list(call.clone(), "", PAGE, next.take()).await {
                Ok(page) => {
                    objects.extend(page.items);
                    if page.next.is_none() {
                        return Ok((objects, page.revision));
                    }
                    next = page.next;
                }
                Err(Error::Expired(_)) if tries < 3 => {
                    tries += 1;
                    continue 'again;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Clusters {
    /// Takes in what the store kept, so that reads are served while the registry is away.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(&self) -> Result<()> {
        let heard = self.documents.read(Table::Meta, HEARD).await?;
        let heard = heard
            .and_then(|b| String::from_utf8(b).ok()?.parse().ok())
            .unwrap_or(0);
        let rows = self
            .documents
            .scan_documents(Table::Mirror, "", None, usize::MAX)
            .await?;
        let mut entries = Vec::with_capacity(rows.len());
        for (name, bytes) in rows {
            let saved: Saved = match serde_json::from_slice(&bytes) {
                Ok(saved) => saved,
                Err(error) => {
                    tracing::warn!(%name, %error, "a mirrored cluster in the store is not readable; it is listed anew");
                    continue;
                }
            };
            let probe = self
                .documents
                .read(Table::Probes, saved.uid.as_str())
                .await?;
            let health: Health = probe
                .and_then(|b| serde_json::from_slice(&b).ok())
                .unwrap_or_default();
            let Ok(cluster) = Cluster::from_object(saved.object) else {
                continue;
            };
            entries.push(Entry {
                cluster,
                uid: saved.uid,
                revision: saved.revision,
                object_version: saved.object_version,
                version: saved.version,
                health: Arc::new(health),
                rendered: Rendered::default(),
            });
        }
        let aliases = self
            .documents
            .scan_documents(Table::Meta, ALIAS, None, usize::MAX)
            .await?;
        let aliases = aliases.into_iter().filter_map(|(key, bytes)| {
            let there = key.strip_prefix(ALIAS)?.parse().ok()?;
            Some((there, String::from_utf8(bytes).ok()?.parse().ok()?))
        });
        self.mirror.load(entries, aliases.collect(), heard);
        Ok(())
    }

    /// Feeds the mirror until dropped. A change of the registry's plugin (a swap) is told by
    /// `restart`: the list is then read anew and watches from before end with 410.
    pub async fn feed(&self, mut restart: tokio::sync::watch::Receiver<u64>) {
        let mut wait = FIRST_WAIT;
        loop {
            restart.borrow_and_update();
            let ended = tokio::select! {
                ended = self.follow(&mut wait) => ended,
                changed = restart.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                    self.mirror.cut();
                    continue;
                }
            };
            match ended {
                Ok(()) | Err(Error::Expired(_)) => tracing::debug!("listing the registry again"),
                Err(error) => {
                    tracing::warn!(%error, "the registry is away; reads come from the mirror");
                    self.mirror.lost(error.to_string());
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = restart.changed() => self.mirror.cut(),
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn follow(&self, wait: &mut Duration) -> Result<()> {
        let supported = self.registry.supported().await?;
        let (mut epoch, revision) = match self.gate.take_listed() {
            Some(listed) => listed,
            None => self.relist().await?,
        };
        *wait = FIRST_WAIT;
        self.sweep_credentials().await;
        if !supported.watch {
            loop {
                tokio::time::sleep(POLL).await;
                self.check_epoch(epoch)?;
                (epoch, _) = self.relist().await?;
            }
        }
        let mut events = self.registry.watch("", Some(revision)).await?;
        // What a crash left a moment ago was too young for the first look.
        let mut sweep = tokio::time::interval_at(Instant::now() + SWEEP, SWEEP);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.take_event(epoch, event?).await?,
                    None => break,
                },
                _ = sweep.tick() => self.sweep_credentials().await,
            }
        }
        Err(Error::unavailable("the registry ended its watch"))
    }

    /// Lists the registry while changes wait: one that came in between would be undone by the list until the watch brings it
    /// again. What was asked for before is not taken in any more.
    async fn relist(&self) -> Result<(u64, String)> {
        let busy =
            || Error::unavailable("changes are under way; the registry is listed in a moment");
        let hold = self.gate.hold(LONGEST_WAIT).await.ok_or_else(busy)?;
        let (objects, revision) = list_all(self.registry.as_ref(), Call::background()).await?;
        self.mirror.replace(objects, self.world.now_ms());
        self.gate.switched(&hold);
        Ok((self.gate.epoch(), revision))
    }

    async fn take_event(&self, epoch: u64, event: Event) -> Result<()> {
        let _pass = self.gate.pass().await;
        self.check_epoch(epoch)?;
        let now = self.world.now_ms();
        match event {
            Event::Stored(object) => self.mirror.stored(object, now),
            Event::Deleted(object) => {
                let gone = self.mirror.get(object.cluster.name());
                let uid = self.mirror.uid_of(&object.cluster);
                self.mirror.deleted(object, now);
                if let Some(entry) = gone.filter(|e| Some(&e.uid) == uid.as_ref()) {
                    self.forget(&entry).await?;
                }
            }
            Event::Bookmark(_) => self.mirror.heard(now),
        }
        Ok(())
    }

    /// What another registry said, or the same before it was listed again, is no news.
    fn check_epoch(&self, epoch: u64) -> Result<()> {
        if self.gate.epoch() == epoch {
            return Ok(());
        }
        Err(Error::Expired("the registry was listed again".into()))
    }

    async fn sweep_credentials(&self) {
        let (entries, _) = self.mirror.all();
        let mut referenced: HashSet<String> = entries
            .iter()
            .filter_map(|e| input::reference_in(&e.cluster))
            .collect();
        // An earlier registry may serve again, and its clusters need theirs.
        let kept = self
            .documents
            .scan_documents(Table::Slots, KEPT_CREDENTIALS, None, usize::MAX);
        match kept.await {
            Ok(rows) => {
                let ids = rows
                    .iter()
                    .filter_map(|(_, b)| serde_json::from_slice::<Vec<String>>(b).ok());
                referenced.extend(ids.flatten());
            }
            Err(error) => {
                tracing::warn!(%error, "could not look for leftover credentials");
                return;
            }
        }
        match self.custody.sweep(&referenced).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "erased credentials that no cluster refers to"),
            Err(error) => tracing::warn!(%error, "could not look for leftover credentials"),
        }
    }

    /// Writes the mirror's changes behind into the store, until dropped.
    pub async fn save(&self) {
        let Ok(mut cursor) = self.mirror.watch(None) else {
            return;
        };
        self.save_all().await;
        loop {
            match cursor.next().await {
                Ok(events) => {
                    let mut changes: Vec<_> = Vec::new();
                    for event in &events {
                        let is_status_only = event
                            .before
                            .as_ref()
                            .zip(event.after.as_ref())
                            .is_some_and(|(b, a)| b.object_version == a.object_version);
                        if !is_status_only {
                            changes.push(saved(event.shown.cluster.name(), event.after.as_deref()));
                        }
                    }
                    let heard = self.mirror.synced().heard_ms.to_string().into_bytes();
                    changes.push((Table::Meta, HEARD.into(), Some(heard)));
                    if let Err(error) = self.documents.write(changes).await {
                        tracing::warn!(%error, "the mirror could not be saved; a restart would list anew");
                        tokio::time::sleep(LONGEST_WAIT).await;
                        self.save_all().await;
                    }
                }
                Err(_) => {
                    let Ok(anew) = self.mirror.watch(None) else {
                        return;
                    };
                    cursor = anew;
                    self.save_all().await;
                }
            }
            self.keep_numbers().await;
            // Many changes at once are one write.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn keep_numbers(&self) {
        if self.mirror.numbers_left() > BLOCK / 2 {
            return;
        }
        match self.documents.reserve(COUNTER, BLOCK).await {
            Ok(first) => self.mirror.add_numbers(first, BLOCK),
            Err(error) => tracing::warn!(%error, "no further resource versions could be reserved"),
        }
    }

    /// Writes the mirror into the store as it is: what a gateway that ends in order knows when it starts again.
    pub async fn save_all(&self) {
        let (entries, _) = self.mirror.all();
        let present: HashSet<&str> = entries.iter().map(|e| e.cluster.name().as_str()).collect();
        let mut changes: Vec<_> = entries
            .iter()
            .map(|e| saved(e.cluster.name(), Some(e)))
            .collect();
        if self.mirror.synced().is_synced
            && let Ok(rows) = self
                .documents
                .scan_documents(Table::Mirror, "", None, usize::MAX)
                .await
        {
            let gone = rows
                .into_iter()
                .filter(|(k, _)| !present.contains(k.as_str()));
            changes.extend(gone.map(|(k, _)| (Table::Mirror, k, None)));
        }
        let heard = self.mirror.synced().heard_ms;
        if heard > 0 {
            changes.push((Table::Meta, HEARD.into(), Some(heard.to_string().into())));
        }
        if let Err(error) = self.documents.write(changes).await {
            tracing::warn!(%error, "the mirror could not be saved");
        }
    }
}

fn saved(name: &ClusterName, entry: Option<&Entry>) -> (Table, String, Option<Vec<u8>>) {
    let bytes = entry.and_then(|e| {
        serde_json::to_vec(&Saved {
            object: e.cluster.clone().into_object(),
            uid: e.uid.clone(),
            revision: e.revision.clone(),
            object_version: e.object_version,
            version: e.version,
        })
        .ok()
    });
    (Table::Mirror, name.as_str().to_owned(), bytes)
}

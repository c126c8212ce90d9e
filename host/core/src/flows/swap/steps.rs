//! The steps of a swap.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use futures::future::try_join;
use sha2::{Digest, Sha256};

use super::{
    ALIAS, Inner, KEPT_CREDENTIALS, Migrate,
    back::{Misfits, kept},
    copy,
    record::{History, KEPT, Record},
};
use crate::{
    error::{Error, Result},
    flows::{charts::Followed, custody::owner_of, gate::Hold, input},
    ports::{Call, Candidate, Filling, Object, Registry, Supported, Table},
    words::{SlotName, Uid},
};

/// Changes are held for no longer than this and the next.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// … at the switch.
const FINISH_WITHIN: Duration = Duration::from_secs(3);
/// A switch that came too late is tried again.
const SWITCHES: usize = 3;
/// A new registry answers its first question by then.
const CHECK_WITHIN: Duration = Duration::from_secs(30);

/// What the registry held that a plugin at this place left or got from us.
pub(super) fn place_of(filling: &Filling) -> String {
    let mut hash = Sha256::new();
    hash.update(filling.plugin.as_str());
    hash.update([0]);
    hash.update(serde_json::to_vec(&filling.config).unwrap_or_default());
    for endpoint in filling.central.iter().flat_map(|c| &c.endpoints) {
        hash.update([0]);
        hash.update(&endpoint.url);
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().take(12).map(|b| format!("{b:02x}")).collect();
    format!("left/{hex}")
}

/// One swap under way.
pub(super) struct Swap<'a> {
    pub(super) inner: &'a Inner,
    pub(super) slot: &'a SlotName,
    pub(super) filling: &'a Filling,
    pub(super) candidate: &'a dyn Candidate,
    pub(super) migrate: Migrate,
    pub(super) is_rollback: bool,
    pub(super) followed: &'a Followed,
    pub(super) id: &'a str,
    /// Of a rollback, what could not come along.
    pub(super) misfits: Mutex<Misfits>,
    /// What both registries hold.
    pub(super) same: Mutex<copy::Same>,
    /// Whether credentials were brought to where they outlast the registry.
    pub(super) has_gathered: AtomicBool,
}

impl Swap<'_> {
    /// All of them; the message says what came of it.
    ///
    /// # Errors
    /// The first thing that kept it from being done; what served before serves on.
    pub(super) async fn perform(&self) -> Result<String> {
        self.followed.begin().await?;
        self.candidate
            .check(Call::background().within(CHECK_WITHIN))
            .await?;
        self.followed
            .tell("check", "the new plugin can serve")
            .await;
        let Some(new) = self.candidate.registry() else {
            let (_, rows) = self.history(Vec::new()).await?;
            self.inner.deps.documents.write(rows).await?;
            self.candidate.switch();
            self.tidy().await;
            return Ok(format!("{} serves", self.candidate.info().name));
        };
        let supported = new.supported().await?;
        let mut losses = Vec::new();
        let before = self.ours().await?;
        let mut ours = self.ours_back(before.clone()).await?;
        let kept = if ours == before {
            before.clone()
        } else {
            kept(&before, &ours, &copy::list(new.as_ref()).await?)
        };
        let done = async {
            if self.copies() {
                losses = self.copy(new.as_ref(), supported, &mut ours).await?;
            }
            self.gather().await?;
            self.switch(&new, supported, &mut ours).await
        };
        match done.await {
            Ok(count) => {
                let mut message =
                    format!("{} serves {count} cluster(s)", self.candidate.info().name);
                if !losses.is_empty() {
                    let shown = copy::shown(losses.iter().map(String::as_str));
                    message = format!("{message}; not carried: {shown}");
                }
                message.push_str(&self.left_behind());
                Ok(message)
            }
            Err(error) => {
                if self.copies() {
                    let made = ours.difference(&kept).cloned().collect();
                    self.undo(new.as_ref(), &before, &made).await;
                }
                self.scatter().await;
                Err(error)
            }
        }
    }

    /// Holds changes, copies the rest, compares, lets the new registry serve.
    async fn switch(
        &self,
        new: &Arc<dyn Registry>,
        supported: Supported,
        ours: &mut BTreeSet<String>,
    ) -> Result<usize> {
        let gate = self.inner.deps.clusters.gate().clone();
        let mut problem = Error::Timeout("changes that were under way did not end in time".into());
        for _ in 0..SWITCHES {
            let Some(hold) = gate.hold(LEAVE_WITHIN).await else {
                continue;
            };
            let finished = self.finish(new, supported, ours);
            match tokio::time::timeout(FINISH_WITHIN, Box::pin(finished)).await {
                Ok(Ok((there, aliases, rows))) => {
                    return self.take_over(hold, there, aliases, rows).await;
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    problem = Error::Timeout(format!(
                        "the last changes could not be copied within {} s",
                        FINISH_WITHIN.as_secs()
                    ));
                }
            }
        }
        Err(problem)
    }

    async fn finish(
        &self,
        new: &Arc<dyn Registry>,
        supported: Supported,
        ours: &mut BTreeSet<String>,
    ) -> Result<(Listed, BTreeMap<Uid, Uid>, Vec<Row>)> {
        let mut aliases = BTreeMap::new();
        let mut rows = Vec::new();
        let mut there;
        if self.copies() {
            let mut source;
            (there, source) = try_join(
                copy::list_at(new.as_ref()),
                self.source(new.as_ref(), supported),
            )
            .await?;
            let compared = self.compare(&source, &there.0, ours, supported).await?;
            if compared.difference.len() > 0 {
                self.write(new.as_ref(), compared.difference).await?;
                there = copy::list_at(new.as_ref()).await?;
                let misfits = self.misfits();
                source.retain(|object| !misfits.contains_key(object.cluster.name()));
                let again = self.compare(&source, &there.0, ours, supported).await?;
                if again.difference.len() > 0 {
                    return Err(Error::unavailable(format!(
                        "after the copy the two registries still differ in {} cluster(s)",
                        again.difference.len()
                    )));
                }
            }
            let misfits = self.misfits();
            source.retain(|object| !misfits.contains_key(object.cluster.name()));
            aliases = self.aliases(&source, &there.0);
            let names = source.iter().map(|o| o.cluster.name().to_string());
            let left: BTreeSet<String> = names.collect();
            if self.migrate == Migrate::Copy
                && let Some(old) = self.inner.deps.slots.present(self.slot)
            {
                rows.push(left_row(&old, &left)?);
            }
            rows.extend(aliases.iter().map(|(there, here)| {
                let bytes = here.as_str().as_bytes().to_vec();
                (Table::Meta, format!("{ALIAS}{there}"), Some(bytes))
            }));
        } else {
            there = copy::list_at(new.as_ref()).await?;
        }
        if self.migrate == Migrate::None {
            let (entries, _) = self.inner.deps.clusters.mirror().all();
            let kept: Vec<String> = entries
                .iter()
                .filter_map(|e| input::reference_in(&e.cluster))
                .collect();
            let bytes = serde_json::to_vec(&kept).map_err(|e| Error::Internal(e.to_string()))?;
            rows.push((
                Table::Slots,
                format!("{KEPT_CREDENTIALS}{}", self.id),
                Some(bytes),
            ));
        }
        Ok((there, aliases, rows))
    }

    /// By what uid the gateway goes on knowing each cluster, where the registry has another one.
    fn aliases(&self, source: &[Object], there: &[Object]) -> BTreeMap<Uid, Uid> {
        let mirror = self.inner.deps.clusters.mirror();
        let known: BTreeMap<&str, Uid> = source
            .iter()
            .filter_map(|object| {
                let name = object.cluster.name();
                // What the mirror holds in this very state was parsed when it came.
                let entry = mirror.get(name);
                let entry = entry.filter(|entry| entry.cluster == object.cluster);
                let uid = entry.map(|entry| entry.uid.clone());
                Some((
                    name.as_str(),
                    uid.or_else(|| mirror.uid_of(&object.cluster))?,
                ))
            })
            .collect();
        there
            .iter()
            .filter_map(|object| {
                let uid = object.cluster.uid()?;
                let here = known.get(object.cluster.name().as_str())?;
                (uid != *here).then(|| (uid, here.clone()))
            })
            .collect()
    }

    /// Durable first, then the pointer, then the mirror; nobody passes meanwhile.
    async fn take_over(
        &self,
        hold: Hold,
        (there, revision): Listed,
        aliases: BTreeMap<Uid, Uid>,
        rows: Vec<Row>,
    ) -> Result<usize> {
        let deps = &self.inner.deps;
        self.gather().await?;
        let owners: Vec<_> = there
            .iter()
            .filter_map(|object| {
                let id = input::reference_in(&object.cluster)?;
                Some((id, owner_of(&object.cluster)?))
            })
            .collect();
        let (mut history, mut rows) = self.history(rows).await?;
        let first = deps.clusters.first_writes();
        rows.extend(first.erasing(deps.documents.as_ref()).await?);
        deps.documents.write(rows).await?;
        let count = there.len();
        self.candidate.switch();
        first.begin((!self.is_rollback).then(|| deps.world.now_ms()));
        deps.clusters.gate().switched_at(&hold, revision);
        let mirror = deps.clusters.mirror();
        mirror.moved(there, aliases, deps.world.now_ms());
        deps.swapped.send_modify(|count| *count += 1);
        drop(hold);
        // They serve from where they are until then.
        if let Err(error) = deps.vault.spread(&owners).await {
            tracing::warn!(%error, "credentials of clusters stay in the store of this gateway until the next swap, or until they are given anew");
        }
        if let Some(present) = history.fillings.first_mut() {
            present.version = mirror.version();
        }
        // Only a rollback would miss it.
        if let Err(error) = deps.documents.write(vec![history.row(self.slot)?]).await {
            tracing::warn!(%error, "the moment of the swap could not be kept");
        }
        self.tidy().await;
        Ok(count)
    }

    async fn history(&self, mut rows: Vec<Row>) -> Result<(History, Vec<Row>)> {
        let deps = &self.inner.deps;
        let (documents, vault) = (deps.documents.as_ref(), deps.vault.as_ref());
        let mut history = History::read(documents, self.slot).await?;
        let now_ms = deps.world.now_ms();
        if history.fillings.is_empty()
            && let Some(first) = deps.slots.present(self.slot)
        {
            // What the configuration filled the slot with is the first to roll back to.
            let digest = deps
                .slots
                .info(self.slot)
                .and_then(|i| Some(i.plugin?.digest));
            let digest = digest.unwrap_or_default();
            let id = format!("{}-first", self.id);
            let record = Record::seal(vault, id, &first, &digest, Migrate::None, now_ms);
            history.fillings.push(record.await?);
        }
        if self.is_rollback {
            // The one that is left, and the one that comes back.
            let both = history.fillings.len().min(2);
            let left: Vec<Record> = history.fillings.drain(..both).collect();
            if let Some(left) = left.first() {
                rows.push((Table::Slots, format!("{KEPT_CREDENTIALS}{}", left.id), None));
            }
        }
        let (id, digest) = (self.id.to_owned(), &self.candidate.info().digest);
        let record = Record::seal(vault, id, self.filling, digest, self.migrate, now_ms);
        let mut record = record.await?;
        record.is_back = self.is_rollback;
        history.fillings.insert(0, record);
        for gone in history.fillings.iter().skip(KEPT + 1) {
            gone.erase(vault).await?;
            rows.push((Table::Slots, format!("{KEPT_CREDENTIALS}{}", gone.id), None));
        }
        history.fillings.truncate(KEPT + 1);
        rows.push(history.row(self.slot)?);
        Ok((history, rows))
    }

    /// Forgets copies of plugins that nothing goes back to.
    async fn tidy(&self) {
        let deps = &self.inner.deps;
        let kept = async {
            let mut kept = Vec::new();
            let rows = deps
                .documents
                .scan_documents(Table::Slots, "", None, usize::MAX);
            for slot in rows
                .await?
                .iter()
                .filter_map(|(key, _)| key.parse::<SlotName>().ok())
            {
                let history = History::read(deps.documents.as_ref(), &slot).await?;
                for record in &history.fillings {
                    kept.push(record.open(deps.vault.as_ref()).await?);
                }
            }
            Ok::<_, Error>(kept)
        };
        match kept.await {
            Ok(kept) => deps.slots.keep_only(&kept).await,
            Err(error) => {
                tracing::warn!(%error, "copies of plugins that nothing goes back to are kept for now")
            }
        }
    }
}

/// Everything in the new registry, and the revision that it is of.
type Listed = (Vec<Object>, String);
type Row = (Table, String, Option<Vec<u8>>);

pub(super) fn left_row(filling: &Filling, names: &BTreeSet<String>) -> Result<Row> {
    let bytes = serde_json::to_vec(names).map_err(|e| Error::Internal(e.to_string()))?;
    Ok((Table::Slots, place_of(filling), Some(bytes)))
}

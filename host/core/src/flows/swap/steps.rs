//! The steps of a swap.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

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
/// Rounds of copying; each finds less than the one before.
const ROUNDS: usize = 12;
/// So few differences are copied while changes are held.
const FEW: usize = 20;
/// A new registry answers its first question by then.
const CHECK_WITHIN: Duration = Duration::from_secs(30);
/// What the registry held that a plugin at this place left or got from us.
fn place_of(filling: &Filling) -> String {
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
                Err(error)
            }
        }
    }

    /// Whether something is to be written into the registry that takes over.
    fn copies(&self) -> bool {
        self.migrate == Migrate::Copy || self.is_rollback
    }

    /// What the registry that takes over is to hold.
    async fn source(&self, new: &dyn Registry, supported: Supported) -> Result<Vec<Object>> {
        if self.is_rollback {
            return self.wanted_back(new, supported).await;
        }
        let source = copy::list(self.inner.deps.registry.as_ref()).await?;
        copy::check_source(&source, supported)?;
        Ok(source)
    }

    async fn ours(&self) -> Result<BTreeSet<String>> {
        let place = place_of(self.filling);
        let documents = &self.inner.deps.documents;
        let bytes = documents.read(Table::Slots, &place).await?;
        Ok(bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    async fn mark(&self, ours: &BTreeSet<String>) -> Result<()> {
        let row = left_row(self.filling, ours)?;
        self.inner.deps.documents.write(vec![row]).await
    }

    /// Copies while both serve, until only little is left.
    async fn copy(
        &self,
        new: &dyn Registry,
        supported: Supported,
        ours: &mut BTreeSet<String>,
    ) -> Result<Vec<String>> {
        let mut is_first = true;
        for _ in 0..ROUNDS {
            let source = self.source(new, supported).await?;
            let there = copy::list(new).await?;
            let compared = self.compare(&source, &there, ours, supported).await?;
            let left = compared.difference.len();
            if left <= FEW && !is_first {
                return Ok(compared.losses);
            }
            is_first = false;
            let message = format!("{left} of {} to be copied", source.len());
            self.followed.tell("copy", &message).await;
            self.write(new, compared.difference).await?;
        }
        Err(Error::unavailable(format!(
            "after {ROUNDS} rounds there was still more to copy; is the new registry slow, or much being changed?"
        )))
    }

    /// What differs. Names that are absent in the new registry count as ours from now on, also after a crash.
    async fn compare(
        &self,
        source: &[Object],
        there: &[Object],
        ours: &mut BTreeSet<String>,
        supported: Supported,
    ) -> Result<copy::Compared> {
        let present: BTreeSet<&str> = there.iter().map(|o| o.cluster.name().as_str()).collect();
        let names = source.iter().map(|o| o.cluster.name().as_str());
        let absent: Vec<String> = names
            .filter(|name| !present.contains(name) && !ours.contains(*name))
            .map(str::to_owned)
            .collect();
        let mut compared = copy::compare(source, there, ours, supported)?;
        if self.is_rollback {
            // What others keep under that name stays, and what we had does not come along.
            for name in std::mem::take(&mut compared.taken) {
                if source.iter().any(|o| *o.cluster.name() == name) {
                    self.leave_behind(&name, "others keep another one there".into());
                }
            }
        }
        if !compared.taken.is_empty() {
            let names = copy::shown(compared.taken.iter().map(|n| n.as_str()));
            return Err(Error::Conflict {
                message: format!(
                    "the new registry holds clusters that the present one has not, or has otherwise: {names}; remove them \
                     there, or swap without migration"
                ),
                revision: None,
            });
        }
        if !absent.is_empty() {
            ours.extend(absent);
            self.mark(ours).await?;
        }
        Ok(compared)
    }

    /// Writes a difference; what a registry that comes back refuses stays behind.
    async fn write(&self, new: &dyn Registry, difference: copy::Difference) -> Result<()> {
        let refused = copy::write(new, difference).await?;
        for (name, error) in refused {
            match self.is_rollback {
                true => self.leave_behind(&name, error.to_string()),
                false => return Err(copy::named(&name, error)),
            }
        }
        Ok(())
    }

    /// Brings every credential to where it outlasts the registry.
    async fn gather(&self) -> Result<()> {
        let deps = &self.inner.deps;
        let (entries, _) = deps.clusters.mirror().all();
        let ids = entries
            .iter()
            .filter_map(|entry| input::reference_in(&entry.cluster));
        match deps.vault.gather(&ids.collect::<Vec<_>>()).await {
            Err(error) if self.is_rollback => {
                let message = format!("some credentials cannot come along: {error}");
                self.followed.tell("copy", &message).await;
                Ok(())
            }
            gathered => gathered,
        }
    }

    /// Takes back what was copied for a swap that came to nothing.
    async fn undo(&self, new: &dyn Registry, before: &BTreeSet<String>, made: &BTreeSet<String>) {
        if made.is_empty() {
            return;
        }
        let undone = async {
            let there = copy::list(new).await?;
            let there: Vec<Object> = there
                .into_iter()
                .filter(|object| made.contains(object.cluster.name().as_str()))
                .collect();
            let compared = copy::compare(&[], &there, made, Supported::default())?;
            self.write(new, compared.difference).await?;
            self.mark(before).await
        };
        if let Err(error) = undone.await {
            tracing::warn!(%error, "what was copied could not be taken back; the next swap to there goes on with it");
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
    ) -> Result<(Vec<Object>, BTreeMap<Uid, Uid>, Vec<Row>)> {
        let mut there = copy::list(new.as_ref()).await?;
        let mut aliases = BTreeMap::new();
        let mut rows = Vec::new();
        if self.copies() {
            let mut source = self.source(new.as_ref(), supported).await?;
            let compared = self.compare(&source, &there, ours, supported).await?;
            if compared.difference.len() > 0 {
                self.write(new.as_ref(), compared.difference).await?;
                there = copy::list(new.as_ref()).await?;
                let misfits = self.misfits();
                source.retain(|object| !misfits.contains_key(object.cluster.name()));
                let again = self.compare(&source, &there, ours, supported).await?;
                if again.difference.len() > 0 {
                    return Err(Error::unavailable(format!(
                        "after the copy the two registries still differ in {} cluster(s)",
                        again.difference.len()
                    )));
                }
            }
            let misfits = self.misfits();
            source.retain(|object| !misfits.contains_key(object.cluster.name()));
            aliases = self.aliases(&source, &there);
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
            .filter_map(|o| Some((o.cluster.name().as_str(), mirror.uid_of(&o.cluster)?)))
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
        there: Vec<Object>,
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
        deps.clusters.gate().switched(&hold);
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

type Row = (Table, String, Option<Vec<u8>>);

fn left_row(filling: &Filling, names: &BTreeSet<String>) -> Result<Row> {
    let bytes = serde_json::to_vec(names).map_err(|e| Error::Internal(e.to_string()))?;
    Ok((Table::Slots, place_of(filling), Some(bytes)))
}

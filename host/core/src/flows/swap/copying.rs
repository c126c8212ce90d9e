//! The part of a swap that fills the new registry while the old one serves.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, atomic::Ordering},
};

use super::{
    Migrate, copy,
    steps::{Swap, left_row, place_of},
};
use crate::{
    error::{Error, Result},
    flows::input,
    ports::{Object, Registry, Supported, Table},
};

/// Rounds of copying; each finds less than the one before.
const ROUNDS: usize = 12;
/// So few differences are copied while changes are held.
const FEW: usize = 20;

impl Swap<'_> {
    /// Whether something is to be written into the registry that takes over.
    pub(super) fn copies(&self) -> bool {
        self.migrate == Migrate::Copy || self.is_rollback
    }

    /// What the registry that takes over is to hold.
    pub(super) async fn source(
        &self,
        new: &dyn Registry,
        supported: Supported,
    ) -> Result<Vec<Object>> {
        if self.is_rollback {
            return self.wanted_back(new, supported).await;
        }
        let source = copy::list(self.inner.deps.registry.as_ref()).await?;
        copy::check_source(&source, supported)?;
        Ok(source)
    }

    /// The same without a list where the mirror follows the registry: it was listed, and its watch was followed since. The
    /// end compares two lists anyway.
    async fn source_now(&self, new: &dyn Registry, supported: Supported) -> Result<Vec<Object>> {
        let mirror = self.inner.deps.clusters.mirror();
        let synced = mirror.synced();
        if self.is_rollback || !synced.is_synced || synced.problem.is_some() {
            return self.source(new, supported).await;
        }
        let entries = mirror.all().0;
        let source = entries.iter().map(|entry| Object {
            cluster: entry.cluster.clone(),
            revision: entry.revision.clone(),
        });
        let source: Vec<Object> = source.collect();
        copy::check_source(&source, supported)?;
        Ok(source)
    }

    pub(super) async fn ours(&self) -> Result<BTreeSet<String>> {
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
    pub(super) async fn copy(
        &self,
        new: &dyn Registry,
        supported: Supported,
        ours: &mut BTreeSet<String>,
    ) -> Result<Vec<String>> {
        let mut source = self.source_now(new, supported).await?;
        let mut there = Some(copy::list(new).await?);
        for round in 0..ROUNDS {
            let present = match there.take() {
                Some(present) => present,
                None => copy::list(new).await?,
            };
            let compared = self.compare(&source, &present, ours, supported).await?;
            let left = compared.difference.len();
            if left <= FEW && round > 0 {
                return Ok(compared.losses);
            }
            let message = format!("{left} of {} to be copied", source.len());
            self.followed.tell("copy", &message).await;
            let written = self.write(new, compared.difference).await?;
            there = written.after(present);
            source = self.source_now(new, supported).await?;
        }
        Err(Error::unavailable(format!(
            "after {ROUNDS} rounds there was still more to copy; is the new registry slow, or much being changed?"
        )))
    }

    /// What differs. Names that are absent in the new registry count as ours from now on, also after a crash.
    pub(super) async fn compare(
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
        let mut compared = {
            let mut same = self.same.lock().unwrap_or_else(PoisonError::into_inner);
            copy::compare(source, there, ours, supported, &mut same)?
        };
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
    pub(super) async fn write(
        &self,
        new: &dyn Registry,
        difference: copy::Difference,
    ) -> Result<copy::Written> {
        let mut written = copy::write(new, difference).await?;
        let refused = std::mem::take(&mut written.refused);
        for (name, error) in refused {
            match self.is_rollback {
                true => self.leave_behind(&name, error.to_string()),
                false => return Err(copy::named(&name, error)),
            }
        }
        Ok(written)
    }

    /// Brings every credential to where it outlasts the registry.
    pub(super) async fn gather(&self) -> Result<()> {
        let deps = &self.inner.deps;
        let (entries, _) = deps.clusters.mirror().all();
        let left = deps.clusters.adopt_found(&entries).await;
        if !left.is_empty() {
            let names = copy::shown(left.iter().map(String::as_str));
            let message = format!("credentials in these objects do not come along: {names}");
            self.followed.tell("copy", &message).await;
        }
        let ids = entries
            .iter()
            .filter_map(|entry| input::reference_in(&entry.cluster));
        self.has_gathered.store(true, Ordering::Relaxed);
        match deps.vault.gather(&ids.collect::<Vec<_>>()).await {
            Err(error) if self.is_rollback => {
                let message = format!("some credentials cannot come along: {error}");
                self.followed.tell("copy", &message).await;
                Ok(())
            }
            gathered => gathered,
        }
    }

    /// Takes back the copies of credentials that were made for a swap that came to nothing.
    pub(super) async fn scatter(&self) {
        if self.has_gathered.load(Ordering::Relaxed) {
            self.inner.bring_home().await;
        }
    }

    /// Takes back what was copied for a swap that came to nothing.
    pub(super) async fn undo(
        &self,
        new: &dyn Registry,
        before: &BTreeSet<String>,
        made: &BTreeSet<String>,
    ) {
        if made.is_empty() {
            return;
        }
        let undone = async {
            let there = copy::list(new).await?;
            let there: Vec<Object> = there
                .into_iter()
                .filter(|object| made.contains(object.cluster.name().as_str()))
                .collect();
            let mut same = copy::Same::default();
            let compared = copy::compare(&[], &there, made, Supported::default(), &mut same)?;
            self.write(new, compared.difference).await?;
            self.mark(before).await
        };
        if let Err(error) = undone.await {
            tracing::warn!(%error, "what was copied could not be taken back; the next swap to there goes on with it");
        }
    }
}

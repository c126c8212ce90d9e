//! A rollback: what the registry that comes back has to hold, and what it cannot take.
//!
//! It has to succeed whatever the registry that is left still says, so what is not possible for one cluster is noted with its
//! reason, and does not keep the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
};

use super::{Migrate, copy, steps::Swap};
use crate::{
    error::Result,
    ports::{Object, Registry, Supported},
    words::ClusterName,
};

/// Clusters that stay behind, and why.
pub(super) type Misfits = BTreeMap<ClusterName, String>;

impl Swap<'_> {
    /// What the registry that comes back is to hold. After a copy: what the present one holds, or what the gateway remembers
    /// of it. Without: what it held itself, with the writes that were acknowledged first since.
    pub(super) async fn wanted_back(
        &self,
        back: &dyn Registry,
        supported: Supported,
    ) -> Result<Vec<Object>> {
        let deps = &self.inner.deps;
        let listed = match self.migrate {
            Migrate::Copy => copy::list(deps.registry.as_ref()).await,
            Migrate::None => Ok(copy::list(back).await?),
        };
        let notes = deps.clusters.first_writes();
        let notes = notes.read(deps.documents.as_ref()).await?;
        let mut wanted: BTreeMap<ClusterName, Object> = BTreeMap::new();
        let mut versions: BTreeMap<ClusterName, u64> = BTreeMap::new();
        let is_silent = listed.is_err();
        match listed {
            Ok(objects) => {
                wanted.extend(objects.into_iter().map(|o| (o.cluster.name().clone(), o)));
            }
            Err(error) => {
                let message = format!(
                    "the present registry does not answer ({error}); what the gateway knows is copied"
                );
                self.followed.tell("copy", &message).await;
                for entry in deps.clusters.mirror().all().0 {
                    let name = entry.cluster.name().clone();
                    // When it was written: a look after a crash makes it no newer than a note.
                    versions.insert(name.clone(), entry.object_version);
                    let object = Object {
                        cluster: entry.cluster.clone(),
                        revision: entry.revision.clone(),
                    };
                    wanted.insert(name, object);
                }
            }
        }
        if is_silent || self.migrate == Migrate::None {
            for (name, note) in notes {
                if versions.get(&name) >= Some(&note.version) {
                    continue;
                }
                match note.cluster {
                    None => drop(wanted.remove(&name)),
                    Some(cluster) => {
                        let revision = String::new();
                        wanted.insert(name, Object { cluster, revision });
                    }
                }
            }
        }
        let mut kept = Vec::new();
        for object in wanted.into_values() {
            match copy::misfit(&object, supported) {
                Some(why) => self.leave_behind(object.cluster.name(), why),
                None => kept.push(object),
            }
        }
        let misfits = self.misfits();
        kept.retain(|object| !misfits.contains_key(object.cluster.name()));
        Ok(kept)
    }

    /// Names in the registry that comes back which may be overwritten and removed there: the gateway's own, and those that
    /// were written since.
    pub(super) async fn ours_back(&self, mut ours: BTreeSet<String>) -> Result<BTreeSet<String>> {
        if self.is_rollback && self.migrate == Migrate::None {
            let deps = &self.inner.deps;
            let notes = deps.clusters.first_writes();
            let notes = notes.read(deps.documents.as_ref()).await?;
            ours.extend(notes.into_keys().map(|name| name.to_string()));
        }
        Ok(ours)
    }

    pub(super) fn leave_behind(&self, name: &ClusterName, why: String) {
        let misfits = self.misfits.lock();
        let mut misfits = misfits.unwrap_or_else(PoisonError::into_inner);
        misfits.entry(name.clone()).or_insert(why);
    }

    /// So far.
    pub(super) fn misfits(&self) -> Misfits {
        let misfits = self.misfits.lock();
        misfits.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The end of the operation's message; empty where everything fit.
    pub(super) fn left_behind(&self) -> String {
        let misfits = self.misfits();
        if misfits.is_empty() {
            return String::new();
        }
        let lines: Vec<String> = misfits
            .iter()
            .map(|(name, why)| format!("{name} ({why})"))
            .collect();
        let shown = copy::shown(lines.iter().map(String::as_str));
        format!("; stayed behind, as they do not fit: {shown}")
    }
}

/// What is not taken back, whatever comes of the swap: what was ours before, and what the registry held although we may
/// overwrite it there.
pub(super) fn kept(
    before: &BTreeSet<String>,
    ours: &BTreeSet<String>,
    there: &[Object],
) -> BTreeSet<String> {
    let names = there.iter().map(|o| o.cluster.name().to_string());
    let held = names.filter(|name| ours.contains(name));
    before.iter().cloned().chain(held).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::words::Cluster;

    #[test]
    fn what_the_registry_held_already_is_never_taken_back() {
        let names = |names: &[&str]| -> BTreeSet<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let object = |name: &str| Object {
            cluster: Cluster::from_json(&json!({"metadata": {"name": name}}).to_string()).unwrap(),
            revision: "1".into(),
        };
        // Written since the swap: "noted" was there all along, "fresh" was not.
        let (before, ours) = (names(&["copied"]), names(&["copied", "noted", "fresh"]));
        let there = ["copied", "noted", "others"].map(object);
        let kept = kept(&before, &ours, &there);
        let made: BTreeSet<String> = ours.difference(&kept).cloned().collect();
        assert_eq!(made, names(&["fresh"]));
    }
}

//! A place that a plugin fills: an atomic pointer. Calls in flight end on what they began with.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use optikon_core::{
    Error, Result,
    ports::{PluginInfo, SlotInfo, SlotState},
    words::SlotName,
};

use crate::call::{Loaded, Role};

/// A plugin that serves, and who it is.
pub(crate) struct Filled<R: Role> {
    pub(crate) info: PluginInfo,
    pub(crate) grants: Vec<String>,
    pub(crate) loaded: Arc<Loaded<R>>,
}

/// One slot of one role.
pub(crate) struct Slot<R: Role> {
    pub(crate) name: SlotName,
    current: ArcSwapOption<Filled<R>>,
    problem: Mutex<String>,
}

impl<R: Role> Slot<R> {
    pub(crate) fn new(name: SlotName) -> Self {
        Self {
            name,
            current: ArcSwapOption::empty(),
            problem: Mutex::new("no plugin is configured".to_owned()),
        }
    }

    /// What serves now.
    ///
    /// # Errors
    /// `NoPlugin` with the reason.
    pub(crate) fn serving(&self) -> Result<Arc<Filled<R>>> {
        self.current.load_full().ok_or_else(|| Error::NoPlugin {
            slot: self.name.clone(),
            message: self.problem(),
        })
    }

    fn problem(&self) -> String {
        self.problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts a plugin in the place of what was there, which is returned.
    pub(crate) fn switch(&self, filled: Option<Arc<Filled<R>>>) -> Option<Arc<Filled<R>>> {
        self.current.swap(filled)
    }

    /// Why the slot is empty; no effect while a plugin serves.
    pub(crate) fn set_problem(&self, message: String) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = message;
    }

    pub(crate) fn info(&self) -> SlotInfo {
        match self.current.load_full() {
            Some(filled) => SlotInfo {
                slot: self.name.clone(),
                state: SlotState::Serving,
                problem: None,
                plugin: Some(filled.info.clone()),
                grants: filled.grants.clone(),
                limits: filled.loaded.shared.limits.view(),
                calls: filled.loaded.stats.by_function(),
            },
            None => SlotInfo {
                slot: self.name.clone(),
                state: SlotState::Empty,
                problem: Some(self.problem()),
                plugin: None,
                grants: Vec::new(),
                limits: Vec::new(),
                calls: std::collections::BTreeMap::new(),
            },
        }
    }
}

impl<R: Role> std::fmt::Debug for Slot<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

//! A plugin on its way into a slot.

use std::sync::Arc;

use optikon_core::{
    Result,
    ports::{Call, PluginInfo, Registry},
    words::SlotName,
};
use serde_json::Value;

use crate::{
    bindings::{charts, prober, registry},
    roles::{self, RegistrySlot},
    slot::{Filled, Slot},
};

/// A plugin that was loaded and tried, but does not serve yet.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub(super) slot: SlotName,
    pub(super) ready: Ready,
    /// The secret fields of its configuration, for whoever keeps `upstream`'s credentials.
    pub secrets: Value,
}

#[derive(Clone)]
pub(super) enum Ready {
    Registry(Arc<Filled<registry::Registry>>),
    Prober(Arc<Filled<prober::Prober>>),
    Charts(Arc<Filled<charts::Charts>>),
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let info = match self {
            Self::Registry(filled) => &filled.info,
            Self::Prober(filled) => &filled.info,
            Self::Charts(filled) => &filled.info,
        };
        write!(f, "{} {}", info.name, info.digest)
    }
}

impl Candidate {
    /// Who it is.
    pub fn info(&self) -> &PluginInfo {
        match &self.ready {
            Ready::Registry(filled) => &filled.info,
            Ready::Prober(filled) => &filled.info,
            Ready::Charts(filled) => &filled.info,
        }
    }

    /// Whether it can serve now: a registry is asked; the others have nothing to ask.
    ///
    /// # Errors
    /// What the plugin answered, or how it failed.
    pub async fn check(&self, call: Call) -> Result<()> {
        match &self.ready {
            Ready::Registry(filled) => roles::check(&filled.loaded, call).await,
            Ready::Prober(_) | Ready::Charts(_) => Ok(()),
        }
    }

    /// A registry that is asked directly, past the slot: for a migration.
    pub fn registry(&self) -> Option<Arc<dyn Registry>> {
        let Ready::Registry(filled) = &self.ready else {
            return None;
        };
        let aside = Slot::new(self.slot.clone());
        aside.switch(Some(Arc::clone(filled)));
        Some(Arc::new(RegistrySlot(Arc::new(aside))))
    }
}

//! What `/readyz` asks. Nothing here waits.

use std::sync::Arc;

use optikon_api::{Check, ReadyChecks};
use optikon_core::{
    flows::{health::rfc3339, mirror::Mirror},
    ports::{Documents, Plugins, SlotState},
};
use optikon_store::Store;

/// Store, slots, mirror.
#[derive(Debug)]
pub(crate) struct Checks {
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) plugins: Arc<dyn Plugins>,
    pub(crate) mirror: Arc<Mirror>,
    pub(crate) store: Arc<Store>,
}

impl ReadyChecks for Checks {
    fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            Check {
                name: "store".into(),
                problem: self.documents.writable().err(),
                is_fatal: false,
            },
            Check {
                name: "vault".into(),
                problem: self.store.vault_problem(),
                is_fatal: false,
            },
        ];
        for slot in self.plugins.slots() {
            let problem = (slot.state != SlotState::Serving)
                .then(|| slot.problem.unwrap_or_else(|| "no plugin".into()));
            // The prober's absence leaves reads and writes of the registry as they are.
            let is_fatal = slot.slot.as_str() == "registry" && self.mirror.synced().heard_ms == 0;
            checks.push(Check {
                name: format!("plugin-{}", slot.slot),
                problem,
                is_fatal,
            });
        }
        let synced = self.mirror.synced();
        let problem = match (&synced.problem, synced.heard_ms) {
            (None, _) if synced.is_synced => None,
            (why, 0) => Some(
                why.clone()
                    .unwrap_or_else(|| "the registry was not read yet".into()),
            ),
            (why, heard) => Some(format!(
                "reads come from what the registry said at {}{}",
                rfc3339(heard),
                why.as_ref().map(|w| format!(": {w}")).unwrap_or_default()
            )),
        };
        checks.push(Check {
            name: "registry".into(),
            problem,
            is_fatal: synced.heard_ms == 0,
        });
        checks
    }
}

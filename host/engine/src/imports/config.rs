//! `config`: the slot's configuration.

use crate::{bindings::host::optikon::host::config, state::Ctx};

impl config::Host for Ctx {
    fn get(&mut self) -> wasmtime::Result<String> {
        Ok(self.shared.config.clone())
    }
}

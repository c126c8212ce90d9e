//! `call`: how long the host will wait, and for which operation.

use tokio::time::Instant;

use crate::{bindings::host::optikon::host::call, state::Ctx};

impl call::Host for Ctx {
    fn remaining_ms(&mut self) -> wasmtime::Result<Option<u64>> {
        let deadline = self.serving.deadline;
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        Ok(left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))
    }

    fn operation(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.serving.operation.clone())
    }
}

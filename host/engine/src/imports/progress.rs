//! `progress`: how far a call of an operation is.

use optikon_core::ports::Progress;

use crate::{bindings::host::optikon::host::progress, escape, state::Ctx};

const MAX_PHASE_BYTES: usize = 64;
const MAX_MESSAGE_BYTES: usize = 1_024;

impl progress::Host for Ctx {
    fn report(
        &mut self,
        phase: String,
        message: String,
        done: u32,
        total: u32,
    ) -> wasmtime::Result<()> {
        let (Some(sink), Some(noted), Some(operation)) = (
            self.shared.progress.get(),
            &self.serving.noted,
            &self.serving.operation,
        ) else {
            return Ok(());
        };
        let phase = escape::line(&phase, MAX_PHASE_BYTES);
        if noted.is_due(&phase, total > 0 && done >= total) {
            sink.report(Progress {
                operation: operation.clone(),
                cluster: noted.facts.cluster.clone(),
                phase,
                message: escape::line(&message, MAX_MESSAGE_BYTES),
                done,
                total,
            });
        }
        Ok(())
    }
}

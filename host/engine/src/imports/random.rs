//! `random`: dice of the world.

use crate::{bindings::host::optikon::host::random, state::Ctx};

/// More at once is a mistake, and would be charged to the host's memory.
const MAX_BYTES: u32 = 65_536;

impl random::Host for Ctx {
    fn bytes(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        if count > MAX_BYTES {
            return Err(wasmtime::Error::msg(format!(
                "random.bytes({count}): at most {MAX_BYTES} at once"
            )));
        }
        self.serving.note_impure();
        let mut buffer = vec![0; count as usize];
        self.shared.world.random(&mut buffer);
        Ok(buffer)
    }
}

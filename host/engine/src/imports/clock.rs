//! `clock`: time of the world, and waiting.

use std::time::Duration;

use wasmtime::component::{Accessor, HasSelf};

use crate::{bindings::host::optikon::host::clock, state::Ctx};

impl clock::Host for Ctx {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.serving.note_impure();
        Ok(self.shared.world.now_ms())
    }
}

impl<T: Send> clock::HostWithStore<T> for HasSelf<Ctx> {
    async fn sleep(_accessor: &Accessor<T, Self>, ms: u32) -> wasmtime::Result<()> {
        tokio::time::sleep(Duration::from_millis(ms.into())).await;
        Ok(())
    }
}

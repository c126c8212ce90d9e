//! The clock and the dice.

use std::time::{SystemTime, UNIX_EPOCH};

use optikon_core::ports;

/// The system's own.
#[derive(Debug)]
pub(crate) struct World;

impl ports::World for World {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&self, buffer: &mut [u8]) {
        if getrandom::fill(buffer).is_err() {
            // Without randomness no id, nonce or token is safe: going on would be worse than ending.
            tracing::error!("the system gives no random bytes; ending");
            std::process::abort();
        }
    }
}

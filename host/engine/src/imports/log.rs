//! `log`: a bounded number of escaped lines a call.

use std::sync::Arc;

use crate::{
    bindings::host::optikon::host::log::{self, Level},
    escape,
    state::{Ctx, Shared, Window},
};

/// Fields of one line; more are dropped without a word, as they are one line all the same.
const MAX_FIELDS: usize = 32;

/// What a call may still write, and what it could not.
pub(crate) struct Lines {
    shared: Arc<Shared>,
    function: &'static str,
    used: Window<Used>,
}

#[derive(Debug, Default)]
struct Used {
    lines: u64,
    bytes: u64,
    dropped: u64,
}

impl Lines {
    pub(crate) fn new(shared: Arc<Shared>, function: &'static str, renews: bool) -> Self {
        Self {
            shared,
            function,
            used: Window::new(renews),
        }
    }

    /// Writes one line, or counts it as dropped.
    pub(crate) fn write(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let limits = &self.shared.limits;
        let size = fields.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() + message.len();
        let size = size as u64;
        let renewed = |used: Used| self.say_dropped(&used);
        let is_within = self.used.with(renewed, |used| {
            let fits = used.lines < limits.log_lines
                && used.bytes.saturating_add(size) <= limits.log_bytes;
            if fits {
                used.lines += 1;
                used.bytes += size;
            } else {
                used.dropped += 1;
            }
            fits
        });
        if !is_within {
            return;
        }
        let mut text = escape::line(message, usize::MAX);
        for (key, value) in fields.iter().take(MAX_FIELDS) {
            text.push_str(&format!(" {}={:?}", escape::line(key, 64), value));
        }
        let (slot, plugin, function) = (&self.shared.slot, &self.shared.plugin, self.function);
        macro_rules! emit {
            ($level:ident) => {
                tracing::event!(target: "optikon::plugin", tracing::Level::$level, %slot, %plugin, function, "{text}")
            };
        }
        match level {
            Level::Trace => emit!(TRACE),
            Level::Debug => emit!(DEBUG),
            Level::Info => emit!(INFO),
            Level::Warn => emit!(WARN),
            Level::Error => emit!(ERROR),
        }
    }

    fn say_dropped(&self, used: &Used) {
        if used.dropped > 0 {
            let (slot, plugin, function) = (&self.shared.slot, &self.shared.plugin, self.function);
            let dropped = used.dropped;
            tracing::warn!(target: "optikon::plugin", %slot, %plugin, function, dropped, "{dropped} log lines of this call were dropped");
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.used.with(drop, |used| {
            let used = std::mem::take(used);
            self.say_dropped(&used);
        });
    }
}

impl log::Host for Ctx {
    fn write(
        &mut self,
        level: Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        self.serving.lines.write(level, &message, &fields);
        Ok(())
    }
}

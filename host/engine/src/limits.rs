//! What one plugin call may consume. Enforced by the engine, not advice.

use std::{collections::BTreeMap, time::Duration};

use optikon_core::ports::LimitView;
use serde::{Deserialize, Serialize};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

macro_rules! limits {
    ($($(#[$doc:meta])* $field:ident = $default:expr, $key:literal;)*) => {
        /// The limits of one slot. In configuration each is a key with `-` (or `_`) between its words, and an absent one has
        /// its default.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "BTreeMap<String, u64>")]
        pub struct Limits {
            $($(#[$doc])* #[serde(rename = $key)] pub $field: u64,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        impl TryFrom<BTreeMap<String, u64>> for Limits {
            type Error = String;

            fn try_from(given: BTreeMap<String, u64>) -> Result<Self, String> {
                Self::default().with(given)
            }
        }

        impl Limits {
            /// The same with some keys set.
            ///
            /// # Errors
            /// A key that does not exist.
            pub fn with(mut self, given: BTreeMap<String, u64>) -> Result<Self, String> {
                for (name, value) in given {
                    match name.replace('_', "-").as_str() {
                        $($key => self.$field = value,)*
                        _ => return Err(format!("there is no limit \"{name}\"; there are: {}", [$($key),*].join(", "))),
                    }
                }
                Ok(self)
            }
        }

        /// Configuration keys, also named by errors.
        #[allow(dead_code, reason = "some limits end in no error that names them")]
        pub(crate) mod key {
            $(#[allow(non_upper_case_globals, reason = "named as the field")] pub(crate) const $field: &str = $key;)*
        }

        impl Limits {
            /// Every key with its value in force.
            pub fn view(&self) -> Vec<LimitView> {
                vec![$(LimitView { key: $key.to_owned(), value: self.$field }),*]
            }

            /// The value of a key.
            pub(crate) fn value_of(&self, wanted: &str) -> Option<u64> {
                match wanted {
                    $($key => Some(self.$field),)*
                    _ => None,
                }
            }
        }
    };
}

limits! {
    /// CPU time of a call: thread time summed over its polls; of a watch: per second, beyond which it is held back.
    /// 2,000 ms: parsing 5,000 clusters takes a tenth of it.
    cpu_ms = 2_000, "cpu-ms";
    /// Wall time of a call, waiting included; the caller's own deadline applies as well. Not for a watch once it began.
    wall_ms = 10_000, "wall-ms";
    /// All linear memories of one instance together.
    memory_bytes = 64 * MIB, "memory-bytes";
    /// Elements of all tables of one instance together.
    table_elements = 10_000, "table-elements";
    /// Core instances within one component instance.
    instances = 50, "instances";
    /// Connections and other host resources held at once by one call.
    resources = 4_096, "resources";
    /// Component handles (tasks, streams, resources) of one instance at once.
    handles = 4_096, "handles";
    /// Bytes from guest to host in one host call, stream item or result.
    hostcall_bytes = 16 * MIB, "hostcall-bytes";
    /// Bytes of one answer from host to guest: a response's body, a line, a page of keys.
    response_bytes = 16 * MIB, "response-bytes";
    /// Host requests (kv, kube, central, upstream) of one call that are under way at once; more wait.
    requests_at_once = 64, "requests-at-once";
    /// Host requests of one call; of a watch: per minute.
    requests_per_call = 10_000, "requests-per-call";
    /// Bytes that the host holds for one call at once: answers beyond it wait; bodies of requests beyond it end the call, as
    /// they are on the host before it can say no.
    held_bytes = 64 * MIB, "held-bytes";
    /// Log lines of one call; of a watch: per minute.
    log_lines = 200, "log-lines";
    /// Log bytes of one call; of a watch: per minute.
    log_bytes = 64 * KIB, "log-bytes";
    /// Calls of clients served at once by the slot.
    client_calls = 256, "client-calls";
    /// Calls of clients that may wait for their turn.
    client_queue = 1_024, "client-queue";
    /// How long a call of a client waits for its turn.
    client_wait_ms = 1_000, "client-wait-ms";
    /// Calls of the host's own fan-outs served at once by the slot; more wait within their own deadline.
    background_calls = 1_024, "background-calls";
    /// Instances kept for reuse; 0 = a fresh instance for each call.
    warm_instances = 0, "warm-instances";
}

impl Limits {
    /// The defaults of a slot: a charts backend renders whole charts, holds whole releases, and has the time of its
    /// operation; every other role has [`Limits::default`].
    pub fn of_slot(slot: &str) -> Self {
        let limits = Self::default();
        if !slot.starts_with("charts") {
            return limits;
        }
        Self {
            cpu_ms: 10_000,
            // The longest that an operation may give one target, and its slack.
            wall_ms: 90_000_000,
            memory_bytes: 256 * MIB,
            hostcall_bytes: 32 * MIB,
            response_bytes: 32 * MIB,
            requests_per_call: 100_000,
            held_bytes: 128 * MIB,
            ..limits
        }
    }

    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_millis(self.cpu_ms)
    }

    pub(crate) fn wall(&self) -> Duration {
        Duration::from_millis(self.wall_ms)
    }

    /// Which of the least values that a plugin says it needs are not met, as lines for people.
    pub(crate) fn unmet(&self, needs: &BTreeMap<String, u64>) -> Vec<String> {
        needs
            .iter()
            .filter_map(|(key, least)| match self.value_of(key) {
                None => Some(format!("plugin.toml names a limit \"{key}\" that does not exist")),
                Some(value) if value < *least => Some(format!(
                    "the plugin needs {key} = {least}, the slot has {value}: set `{key} = {least}` under the slot's limits"
                )),
                Some(_) => None,
            })
            .collect()
    }
}

/// A limit was crossed: carried by the trap that ends the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({limit} = {value})")]
pub(crate) struct Crossed {
    /// Its key.
    pub(crate) limit: &'static str,
    /// Its value.
    pub(crate) value: u64,
    /// What went over it.
    pub(crate) message: String,
}

impl Crossed {
    pub(crate) fn new(limit: &'static str, value: u64, message: impl Into<String>) -> Self {
        Self {
            limit,
            value,
            message: message.into(),
        }
    }
}

/// A count in the type that wasmtime wants; larger than the address space is no limit.
pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_both_spellings_and_others_are_refused() {
        let limits: Limits = serde_json::from_str(r#"{"cpu-ms":5,"memory_bytes":7}"#).unwrap();
        assert_eq!((limits.cpu_ms, limits.memory_bytes), (5, 7));
        assert_eq!(limits.wall_ms, Limits::default().wall_ms);
        assert!(serde_json::from_str::<Limits>(r#"{"cpu":5}"#).is_err());
        assert!(
            limits
                .view()
                .iter()
                .any(|v| v.key == "cpu-ms" && v.value == 5)
        );
    }

    #[test]
    fn needs_beyond_the_limits_are_named() {
        let needs = [("memory-bytes".to_owned(), u64::MAX), ("odd".to_owned(), 1)].into();
        let unmet = Limits::default().unmet(&needs);
        assert_eq!(unmet.len(), 2);
        assert!(unmet[0].contains("set `memory-bytes"));
    }
}

//! The `[outbound]` part of the configuration.

use std::time::Duration;

use optikon_core::{FieldError, words::Rules};

use crate::address::Range;

/// What the operator may set. Every field has a default, so `OutboundConfig::default()` serves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboundConfig {
    /// Each of name resolution, TCP connect and TLS handshake, per address. Default 5,000 ms: a
    /// member that is slower to shake hands is not usable either.
    pub connect_timeout_ms: u64,
    /// One request with its whole answer, connecting included, where the caller gives no less.
    /// Default 30,000 ms.
    pub request_timeout_ms: u64,
    /// Between two pieces of a body. Default 10,000 ms.
    pub body_idle_ms: u64,
    /// Between two pieces of a stream of lines; a quiet watch is no fault, but it ends. Default 600 s.
    pub lines_idle_seconds: u64,
    /// HTTP/2 pings on pooled connections, also idle ones. Default 30 s.
    pub keep_alive_seconds: u64,
    /// Requests to one member at the same time, streams included. Default 64: below the 100 streams
    /// that older API servers grant one connection.
    pub requests_in_flight: usize,
    /// Requests to one member over time; more wait within their deadline. Default 200 a second.
    pub requests_per_second: u32,
    /// Requests to one member that need not wait. Default 400.
    pub requests_burst: u32,
    /// Requests of the background's probes to one member over time, within the above. Default 10 a
    /// second: nobody waits for them, and a member has better to do.
    pub background_requests_per_second: u32,
    /// Those that need not wait. Default 10.
    pub background_requests_burst: u32,
    /// The registry plugin's requests to the central cluster over time. Default 2,000 a second: a change of registry
    /// carries every cluster there.
    pub central_requests_per_second: u32,
    /// Those that need not wait. Default 4,000.
    pub central_requests_burst: u32,
    /// Failures in a row that open a member's breaker. Default 5.
    pub breaker_failures: u32,
    /// The first pause of an open breaker; doubled with every failed attempt. Default 1,000 ms.
    pub breaker_first_ms: u64,
    /// The longest pause of an open breaker. Default 30 s.
    pub breaker_max_seconds: u64,
    /// Largest body, on the wire and decompressed. Default 16 MiB.
    pub body_bytes: u64,
    /// The same for charts connections, which read whole releases. Default 32 MiB.
    pub charts_body_bytes: u64,
    /// Largest response head. Default 64 KiB.
    pub header_bytes: usize,
    /// Longest line of a stream. Default 4 MiB: above the 1.5 MiB that etcd allows an object.
    pub line_bytes: usize,
    /// Largest gRPC message, either way. Default 20 MiB, which is Tiller's own bound.
    pub grpc_message_bytes: usize,
    /// Tunnels to pods of one member at the same time; more wait. Default 16.
    pub tunnels_in_flight: usize,
    /// Ranges that Tillers may be reached in directly, at the address that a cluster's annotation `Tiller` says, instead of
    /// through the API server. Default none: never. The destination policy counts beside it.
    pub direct_tillers: Vec<String>,
    /// How long discovery is believed. Default 600 s.
    pub discovery_seconds: u64,
    /// `http://host:port` of a proxy for members without one of their own. Default none.
    pub proxy: Option<String>,
    /// Hosts that go without that proxy: names (with their subdomains), addresses, ranges, `*`.
    pub no_proxy: Vec<String>,
    /// Whether `HTTPS_PROXY` and `NO_PROXY` of the environment count where `proxy` is not set.
    /// Default false.
    pub proxy_from_environment: bool,
    /// Development mode: members may be on the loopback. Default false.
    pub allow_loopback: bool,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            request_timeout_ms: 30_000,
            body_idle_ms: 10_000,
            lines_idle_seconds: 600,
            keep_alive_seconds: 30,
            requests_in_flight: 64,
            requests_per_second: 200,
            requests_burst: 400,
            background_requests_per_second: 10,
            background_requests_burst: 10,
            central_requests_per_second: 2_000,
            central_requests_burst: 4_000,
            breaker_failures: 5,
            breaker_first_ms: 1_000,
            breaker_max_seconds: 30,
            body_bytes: 16 << 20,
            charts_body_bytes: 32 << 20,
            header_bytes: 64 << 10,
            line_bytes: 4 << 20,
            grpc_message_bytes: 20 << 20,
            tunnels_in_flight: 16,
            direct_tillers: Vec::new(),
            discovery_seconds: 600,
            proxy: None,
            no_proxy: Vec::new(),
            proxy_from_environment: false,
            allow_loopback: false,
        }
    }
}

impl OutboundConfig {
    /// Everything that is wrong, each with its field below `outbound`; empty when it can be used.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut wants = |is_ok: bool, field: &str, message: &str| {
            if !is_ok {
                errors.push(FieldError::new(format!("outbound.{field}"), message));
            }
        };
        for (field, value) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("body_idle_ms", self.body_idle_ms),
            ("lines_idle_seconds", self.lines_idle_seconds),
            ("keep_alive_seconds", self.keep_alive_seconds),
            ("requests_per_second", self.requests_per_second.into()),
            ("requests_burst", self.requests_burst.into()),
            (
                "background_requests_per_second",
                self.background_requests_per_second.into(),
            ),
            (
                "background_requests_burst",
                self.background_requests_burst.into(),
            ),
            (
                "central_requests_per_second",
                self.central_requests_per_second.into(),
            ),
            ("central_requests_burst", self.central_requests_burst.into()),
            ("breaker_failures", self.breaker_failures.into()),
            ("breaker_first_ms", self.breaker_first_ms),
            ("breaker_max_seconds", self.breaker_max_seconds),
            ("body_bytes", self.body_bytes),
            ("charts_body_bytes", self.charts_body_bytes),
        ] {
            // The upper bound keeps sums of times far from overflow.
            wants(
                (1..=u64::from(u32::MAX)).contains(&value),
                field,
                "must be from 1 to 4294967295",
            );
        }
        wants(
            (1..=10_000).contains(&self.requests_in_flight),
            "requests_in_flight",
            "must be from 1 to 10000",
        );
        wants(
            (8 << 10..=1 << 20).contains(&self.header_bytes),
            "header_bytes",
            "must be from 8192 to 1048576",
        );
        wants(
            (1 << 10..=64 << 20).contains(&self.line_bytes),
            "line_bytes",
            "must be from 1024 to 67108864",
        );
        wants(
            (1 << 10..=256 << 20).contains(&self.grpc_message_bytes),
            "grpc_message_bytes",
            "must be from 1024 to 268435456",
        );
        wants(
            (1..=1_000).contains(&self.tunnels_in_flight),
            "tunnels_in_flight",
            "must be from 1 to 1000",
        );
        for (i, range) in self.direct_tillers.iter().enumerate() {
            if Range::parse(range) == Range::Unknown {
                let field = format!("outbound.direct_tillers[{i}]");
                errors.push(FieldError::new(field, "must be a range as in 10.0.0.0/8"));
            }
        }
        if let Some(proxy) = &self.proxy
            && let Err(message) = crate::address::parse_proxy(proxy)
        {
            errors.push(FieldError::new("outbound.proxy", message));
        }
        errors
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) fn body_idle(&self) -> Duration {
        Duration::from_millis(self.body_idle_ms)
    }

    pub(crate) fn lines_idle(&self) -> Duration {
        Duration::from_secs(self.lines_idle_seconds)
    }

    pub(crate) fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive_seconds)
    }

    pub(crate) fn body_cap(&self, rules: &Rules) -> u64 {
        match rules {
            Rules::Charts { .. } => self.charts_body_bytes,
            Rules::Prober | Rules::Central { .. } | Rules::Upstream { .. } | Rules::Host => {
                self.body_bytes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_named() {
        assert!(OutboundConfig::default().check().is_empty());
        let config = OutboundConfig {
            connect_timeout_ms: 0,
            header_bytes: 1,
            direct_tillers: vec!["10.0.0.0/8".into(), "everywhere".into()],
            proxy: Some("https://user:pw@proxy".into()),
            ..OutboundConfig::default()
        };
        let fields: Vec<_> = config.check().into_iter().map(|e| e.field).collect();
        assert_eq!(
            fields,
            [
                "outbound.connect_timeout_ms",
                "outbound.header_bytes",
                "outbound.direct_tillers[1]",
                "outbound.proxy"
            ]
        );
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<OutboundConfig>(r#"{"body_bytes":1}"#).is_ok());
        assert!(serde_json::from_str::<OutboundConfig>(r#"{"body_byte":1}"#).is_err());
    }
}

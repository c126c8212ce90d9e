//! What is said over a tunnel.

use std::time::Duration;

use bytes::Bytes;
use optikon_core::words::{Fault, FaultReason, GrpcCall, GrpcFailure, PodTarget, PodTls, Secret};
use serde_json::Value;

use super::kube::to_fault;
use crate::{bindings::host::optikon::host::grpc, state::Shared};

/// Longer than any selector needs to be.
const MAX_SELECTOR_BYTES: usize = 1024;

/// A target, with the TLS of the slot's configuration where the guest wants TLS.
pub(crate) fn from_target(target: grpc::PodTarget, shared: &Shared) -> Result<PodTarget, Fault> {
    if target.label_selector.len() > MAX_SELECTOR_BYTES || target.port == 0 {
        let message = "the label selector is too long, or the port is 0";
        return Err(Fault::new(FaultReason::Denied, message));
    }
    let tls = target
        .tls_server_name
        .map(|name| tls(name, shared))
        .transpose()?;
    Ok(PodTarget {
        namespace: target.namespace,
        label_selector: target.label_selector,
        port: target.port,
        is_only_one: target.only_one,
        tls,
    })
}

fn tls(server_name: String, shared: &Shared) -> Result<PodTls, Fault> {
    let config: Value = serde_json::from_str(&shared.config).unwrap_or_default();
    let text = |of: &Value, field: &str| {
        let found = of.pointer(&format!("/tls/{field}")).and_then(Value::as_str);
        found.map(str::to_owned)
    };
    let key = text(shared.secrets.expose(), "key").map(Secret::new);
    let client = match (text(&config, "certificate"), key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let message = "tls.certificate and tls.key are given together, or not at all";
            return Err(Fault::new(FaultReason::BadConfig, message));
        }
    };
    Ok(PodTls {
        server_name,
        ca: text(&config, "ca"),
        client,
    })
}

pub(crate) fn from_call(call: grpc::Call) -> GrpcCall {
    GrpcCall {
        method: call.method,
        metadata: call.metadata,
        message: Bytes::from(call.message),
        timeout: call.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
    }
}

pub(crate) fn to_failure(failure: GrpcFailure) -> grpc::Failure {
    match failure {
        GrpcFailure::Status { code, message } => {
            grpc::Failure::Status(grpc::Status { code, message })
        }
        GrpcFailure::Fault(fault) => grpc::Failure::Fault(to_fault(fault)),
    }
}

//! WIT types to core types and back. Nothing else names both.

pub(crate) mod charts;
pub(crate) mod cluster;
pub(crate) mod error;
pub(crate) mod grpc;
pub(crate) mod kube;
pub(crate) mod kv;
pub(crate) mod probe;

//! The types that everybody speaks. The same words stand in WIT, JSON, the command line and the docs.

mod access;
mod cluster;
mod connection;
mod credential;
mod durations;
mod grpc;
mod hex;
mod link;
mod name;
mod operation;
mod probe;
mod secret;
mod selector;

pub use access::{Caller, Role};
pub use cluster::{Cluster, Condition, Endpoint, GROUP_VERSION, KIND, Labels};
pub use connection::{
    Fault, FaultReason, LineStream, Mapping, Method, Phases, Refusal, Request, ResourceGrant,
    Response, Rules, Writes,
};
pub use credential::{Credential, Member};
pub use durations::{BUCKETS_SECONDS, Durations};
pub use grpc::{GrpcCall, GrpcFailure, MessageStream, PodTarget, PodTls};
pub use hex::{hex, sha256};
pub use link::Link;
pub use name::{ClusterName, InvalidName, PluginName, SlotName, Uid};
pub use operation::{Operation, OperationId, OperationKind, OperationState, Target, TargetState};
pub use probe::{Depth, Observation, Status, Verdict};
pub use secret::Secret;
pub use selector::Selector;
pub(crate) use selector::{is_label_key, is_label_value};

//! Core's ports, served by plugins.

mod prober;
mod registry;
mod watch;

pub(crate) use prober::ProberSlot;
pub(crate) use registry::{RegistrySlot, check, supported};

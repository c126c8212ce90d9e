//! Core's ports, served by plugins.

mod charts;
mod prober;
mod registry;
mod watch;

pub(crate) use charts::ChartsSlot;
pub(crate) use prober::ProberSlot;
pub(crate) use registry::{RegistrySlot, check, supported};

//! The use-cases, on ports only.

pub mod address;
pub mod input;
pub mod kubeconfig;

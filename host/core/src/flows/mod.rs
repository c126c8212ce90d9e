//! The use-cases, on ports only.

pub mod address;

//! The world of a plugin that looks at members: implement [`Guest`], then `export_prober!(YourType);`.

pub use crate::bindings::prober::exports::optikon::prober::probes::{
    Depth, Guest, Observation, Verdict,
};

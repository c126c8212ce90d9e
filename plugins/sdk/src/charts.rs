//! The world of a plugin that keeps releases of charts: implement [`Guest`], then `export_charts!(YourType);`.

pub use crate::bindings::{
    charts::exports::optikon::charts::releases::{Change, Content, Guest, Outcome, Plan, Release},
    imports::optikon::host::facts::Target,
};

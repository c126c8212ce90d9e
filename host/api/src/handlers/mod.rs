//! A file per noun. A handler extracts, calls one use-case and renders.

pub(crate) mod archives;
pub(crate) mod audit;
pub(crate) mod charts;
pub(crate) mod clusters;
pub(crate) mod docs;
pub(crate) mod health;
pub(crate) mod operations;
pub(crate) mod plugins;
mod query;
pub(crate) mod repositories;
pub(crate) mod tokens;
mod upload;
pub(crate) mod v0;
pub(crate) mod watch;

//! What people type: a file per noun.

pub(crate) mod chart;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod import;
pub(crate) mod kubeconfig;
pub(crate) mod output;
pub(crate) mod plugin;
pub(crate) mod store;
pub(crate) mod token;

//! What people type: a file per noun.

pub(crate) mod archive;
pub(crate) mod bootstrap;
pub(crate) mod chart;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod exec;
pub(crate) mod export;
pub(crate) mod follow;
pub(crate) mod forget;
pub(crate) mod import;
pub(crate) mod kubeconfig;
pub(crate) mod operation;
pub(crate) mod output;
pub(crate) mod peer;
pub(crate) mod plugin;
pub(crate) mod registry;
pub(crate) mod repo;
pub(crate) mod store;
pub(crate) mod token;

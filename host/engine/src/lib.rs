//! Runs plugins: loads, limits and calls WebAssembly components.
//!
//! The only crate that names wasmtime. It serves core's ports [`Registry`](optikon_core::ports::Registry),
//! [`Prober`](optikon_core::ports::Prober), [`Charts`](optikon_core::ports::Charts) and
//! [`Plugins`](optikon_core::ports::Plugins) by calling components of the worlds in `wit/`, and gives them what their slot was granted. A trap, a crossed limit or a broken contract ends one call
//! with a typed error; nothing else notices.

mod bindings;
mod cache;
mod call;
mod check;
mod convert;
mod engine;
mod escape;
mod gate;
mod grants;
mod imports;
mod inspect;
mod limits;
mod load;
mod meter;
mod noted;
mod peers;
mod pool;
mod roles;
mod slot;
mod state;
mod stats;
#[cfg(test)]
mod tests;

pub use engine::{Candidate, Deps, Engine, EngineConfig, Filling, check_filling};
pub use grants::{Grants, INTERFACES, WASI};
pub use inspect::inspect_file;
pub use limits::Limits;
pub use load::config::split_secrets;
pub use peers::{NoPeers, Peers};

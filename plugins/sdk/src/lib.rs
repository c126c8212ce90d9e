//! What the author of a plugin depends on.
//!
//! A plugin is a crate with `crate-type = ["cdylib", "rlib"]`, a type that implements [`registry::Guest`],
//! [`prober::Guest`] or [`charts::Guest`], and one line that exports it. Everything else here saves lines: errors, log macros, selectors,
//! pages, the rules of the registry contract, JSON over a connection, clusters that are objects of an API server ([`collection`]).
//!
//! The host's functions exist only inside a component. Logic that is to be tested natively takes [`Keys`] or
//! [`Requester`] as a parameter; the feature `testing` has stand-ins for both.
#![allow(
    async_fn_in_trait,
    reason = "a guest has one thread, so nothing needs to be `Send`"
)]

pub mod api;
pub mod bindings;
#[cfg(feature = "charts")]
pub mod charts;
#[cfg(feature = "registry")]
pub mod collection;
mod document;
mod error;
mod export;
mod keys;
pub mod log;
pub mod paging;
#[cfg(feature = "prober")]
pub mod prober;
#[cfg(feature = "registry")]
pub mod registry;
mod requester;
#[cfg(all(target_arch = "wasm32", feature = "seeds"))]
mod seeds;
mod selector;
#[cfg(feature = "testing")]
pub mod testing;
mod text;

pub use bindings::imports::optikon::{
    common::types::{Error, ErrorCode},
    host::{
        call, central, clock, config, grpc, keys as private_keys,
        kube::{self, Connection, Fault, Mapping, Method, Refusal, Request, Response},
        kv, progress, random, upstream,
    },
};
pub use document::{Document, check_expected};
pub use keys::{Changes, HostKeys, Keys};
pub use requester::{Lines, Requester};
pub use selector::Selector;
pub use text::{rfc3339, uuid};

/// The slot's configuration as the author's own type.
///
/// # Errors
/// `invalid` when the configuration does not fit the type, which the schema should have prevented.
pub fn configuration<T: serde::de::DeserializeOwned>() -> Result<T, Error> {
    serde_json::from_str(&config::get())
        .map_err(|e| Error::invalid("config", format!("the configuration does not fit: {e}")))
}

#[doc(hidden)]
pub use export::start as __start;

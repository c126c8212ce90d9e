//! Words, rules and use-cases of Optikon.
//!
//! This crate says *what* the gateway does. It opens no socket, reads no file, asks no clock and
//! rolls no dice: all of that reaches it through [`ports`], which the other host crates implement
//! and the binary joins. So every rule here can be tested without a network or an engine.
//!
//! - [`words`]: the types that everybody speaks: names, clusters, credentials, probes, operations.
//! - [`ports`]: what the use-cases need from outside.
//! - [`flows`]: the use-cases themselves.
//! - [`error`]: why something failed; one case per reaction.
//! - [`trace`]: spans for traces.

pub mod error;
pub mod flows;
pub mod ports;
pub mod trace;
pub mod words;

pub use error::{Error, FieldError, PluginFailure, Result};

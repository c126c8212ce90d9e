//! The use-cases, on ports only.
//!
//! `input` → `clusters` → registry; `feed` keeps `mirror`; `looks` and `probing` see members and
//! turn what they saw into `health`; `view` is what people get. Credentials live in `custody`.

pub mod access;
pub mod address;
pub mod charts;
pub mod clusters;
pub mod custody;
#[cfg(test)]
pub(crate) mod fakes;
pub mod feed;
pub mod found;
pub mod gate;
pub mod health;
pub mod input;
pub mod kubeconfig;
pub mod looks;
pub mod mirror;
pub mod probing;
pub mod renewal;
pub mod secrets;
pub mod swap;
mod together;
pub mod v0;
pub mod view;

/// What a dry run shows where a registry would give a uid.
fn unknown_uid() -> crate::words::Uid {
    #[expect(clippy::expect_used, reason = "a constant that a test parses")]
    "not-registered".parse().expect("a constant uid")
}

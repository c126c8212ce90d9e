//! House rules as tests: each says which rule was broken, where, and why there is one.
//!
//! Nothing is built or started here, and nothing but the standard library is needed: the rules read the tree.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod arrows;
mod documents;
mod owners;
mod plugins;
mod source;
mod tree;
mod wit;

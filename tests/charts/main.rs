//! Charts rendered by our engine against what the real Helm made of them.
//!
//! `sample` walks the public sample beside the project, where it exists; `fixtures` the charts under
//! `tests/fixtures/charts`, whose goldens are committed; `component` repeats both inside
//! the sandbox; `facts` shows what a rendering asks of its surroundings.
#![allow(clippy::print_stdout, reason = "the summaries say how many cases ran")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what panics here ends one test"
)]

mod cases;
mod component;
mod facts;
mod fixtures;
mod hostile;
mod sample;

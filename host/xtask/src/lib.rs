//! The project's own tool, as a library: how plugins are built and where the test bed's binaries come from. The
//! binary `optikon-xtask` is its command line, and `optikon-tests` uses the same functions, so that a test run by
//! hand and one run by `cargo xtask test` find the same files.
//!
//! It starts no server itself: what needs the gateway or a cluster is a binary of `optikon-tests`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for the terminal says what it does"
)]

pub mod bench;
pub mod commands;
pub mod component;
pub mod folders;
pub mod plugins;
pub mod shell;
pub mod testbed;
pub mod timing;
pub mod wasm;

/// Prints one line that says what is about to happen. Whoever read it may be gone (`| head`), which
/// is no reason to end.
pub fn say(text: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "==> {text}");
}

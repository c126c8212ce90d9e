//! `cargo +nightly fuzz run template`
#![no_main]

#[allow(dead_code, reason = "a fuzzer for each of them")]
#[path = "../../engine/tests/mutations/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::template(bytes));

//! How the component is linked. A thousand looks run at once, each with a memory of its own, and all memories together are
//! bounded (`plugins.total_memory_bytes`): the stack of 1 MiB that the linker sets aside would keep some of them waiting.

/// An answer nested as deep as the parser allows takes between 32 and 64 KiB of it.
const STACK_BYTES: u32 = 256 * 1024;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").as_deref() == Ok("wasm") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK_BYTES}");
    }
}

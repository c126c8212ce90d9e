//! Bounds that keep a hostile template from hanging or overflowing the host.

/// What one run may use, nested `include` and `tpl` included.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes evaluated, loop rounds and what functions charge.
    pub steps: u64,
    /// Nested evaluations of any sort: blocks, pipelines in parentheses, templates. An `include` takes
    /// two, and one for each block or parenthesis around it.
    pub depth: u32,
    /// Stack below the place where the run began. Where the stack cannot be seen (WebAssembly keeps
    /// most of it apart) `depth` alone protects it: an optimised build takes at most 1.2 KiB for one.
    pub stack_bytes: usize,
    /// Text written, to all outputs together, and what functions make.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 50_000_000,      // the largest public charts take about a hundredth
            depth: 4_000,           // far beyond what public charts nest
            stack_bytes: 1 << 20,   // half of what a thread of Rust's gets
            output_bytes: 64 << 20, // copies included, half of what a rendering may hold
        }
    }
}

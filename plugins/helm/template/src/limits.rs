//! Bounds that keep a hostile template from hanging or overflowing the host.

/// What one run may use, nested `include` and `tpl` included.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nodes evaluated, loop rounds and what functions charge.
    pub steps: u64,
    /// Nested evaluations of any sort: blocks, pipelines in parentheses, templates. Bounds the
    /// stack: one takes at most about 600 bytes of it in an optimised build.
    pub depth: u32,
    /// Bytes written, to all outputs together.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 50_000_000,       // the largest public charts take about a hundredth
            depth: 100_000,          // hosts with a small stack lower it
            output_bytes: 128 << 20, // half of what a rendering may hold
        }
    }
}

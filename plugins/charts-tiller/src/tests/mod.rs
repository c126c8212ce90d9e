//! Sequences over a Tiller in memory.

mod packing;
mod sequences;
mod tiller;

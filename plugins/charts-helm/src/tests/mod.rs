//! Sequences of releases over an API server in memory.

mod render;
mod sequences;
mod server;
mod wire;

//! Sequences of releases over an API server in memory.

mod bed;
mod ready;
mod render;
mod rules;
mod sequences;
mod server;
mod wait;
mod wire;

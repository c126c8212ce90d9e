//! The whole crate against TLS servers in this process; nothing leaves the loopback.

mod behaviour;
mod discovery;
mod faults;
mod limits;
mod server;

//! What `cargo xtask` can do, a module per command.

pub mod bench;
pub mod check;
pub mod demo;
pub mod parity;
pub mod plugins;
pub mod run;
pub mod test;
pub mod testbed;

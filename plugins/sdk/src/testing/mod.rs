//! Stand-ins for the host, for native tests of a plugin's logic.

mod member;
mod memory;

pub use member::FakeApi;
pub use memory::MemoryKeys;

//! JSON as Go's `encoding/json` reads and writes it.

mod read;
mod write;

pub use read::{Json, from_json, from_json_any, from_json_array, from_json_partly, read_json};
pub(crate) use write::number_text;
pub use write::{to_json, to_pretty_json, to_raw_json};

//! What a template finds under the dot, beside its values.
//!
//! Release and capabilities are host objects that ask [`crate::Facts`] only when a field is read;
//! everything else is known with the chart and plain data.

mod capabilities;
mod chart;
mod files;
mod release;
mod values;

pub(crate) use capabilities::Capabilities;
pub(crate) use chart::chart_map;
pub(crate) use files::files_map;
pub(crate) use release::Release;
pub(crate) use values::VALUES;

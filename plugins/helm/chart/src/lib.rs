//! Helm charts from archive bytes to values.
//!
//! Loading ([`Chart`]), the user's values ([`ValueSources`]), what both together turn on
//! ([`Resolved`]) and whether they fit the schemas ([`check_schemas`]). Pure: bytes in, data out; no
//! file, clock or network. Rules and texts are Helm 4.3's.

mod archive;
mod coalesce;
mod convert;
mod decode;
mod error;
mod file;
mod glob;
mod gotext;
pub mod ignore;
mod load;
mod metadata;
mod resolve;
mod schema;
pub mod strvals;
mod values;

pub use archive::{ArchiveLimits, is_gzip, unpack};
pub use convert::{map_to_json, map_to_template, to_json, to_template};
pub use decode::{Shape, Struct, floats, unmarshal, unmarshal_map};
pub use error::{Error, ErrorKind};
pub use file::File;
pub use glob::Pattern;
pub use gotext::log_line;
pub use load::{Chart, Content};
pub use metadata::{Dependency, Maintainer, Metadata};
pub use resolve::{Resolved, ResolvedChart, is_compatible};
pub use schema::check_schemas;
pub use values::{ValueSources, load_values, merge_maps};

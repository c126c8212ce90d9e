//! Go's text/template as Helm uses it: same output, same error texts, bounded.
//!
//! Leaves out what no chart can reach: complex numbers, channels, function values, custom delimiters.
//! Rules and texts are those of Go 1.26.

mod builtins;
mod collections;
pub mod compare;
mod duration;
mod error;
mod escape;
mod exec;
pub mod fmt;
mod function;
mod limits;
pub mod strconv;
mod syntax;
mod templates;
mod text;
mod value;

pub use collections::{List, ListType, Map, MapType, NamedType};
pub use duration::{format_duration, round_duration, truncate_duration};
pub use error::{Error, ErrorKind};
pub use function::{Body, Context, Function, Functions, Signature, Type};
pub use limits::Limits;
pub use templates::{Budget, MissingKey, Template, Templates};
pub use text::Str;
pub use value::{Kind, Method, Object, Value};

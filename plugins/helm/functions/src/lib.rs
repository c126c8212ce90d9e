//! Every function Helm gives to templates besides Go's own: sprig's 209 and Helm's.
//!
//! Pure: clock, randomness, keys and the cluster come in through [`Environment`]. Names, results and
//! error texts are those of sprig 3.3.0 and Helm 4.3.1; results that would take the memory are refused.

#![allow(
    clippy::type_complexity,
    reason = "tables of names and function pointers say more in place"
)]

mod args;
mod codes;
mod crypto;
pub mod dates;
mod durations;
mod environment;
mod go;
mod helm;
mod lists;
mod logic;
mod maps;
mod merge;
#[cfg(feature = "native-environment")]
mod native;
mod numbers;
mod paths;
mod regexes;
mod text;
mod time;
mod time_methods;
mod urls;
mod version_values;
pub mod versions;

use std::rc::Rc;

use helm_template::Functions;

pub use crypto::CertificateValue;
pub use environment::{Environment, EnvironmentError, KeyAlgorithm, SignatureScheme};
pub use helm::{MESSAGE_END, MESSAGE_START};
#[cfg(feature = "native-environment")]
pub use native::NativeEnvironment;
pub use regexes::Pattern;
pub use time::TimeValue;
pub use urls::Url;
pub use version_values::VersionValue;

/// All functions, for one rendering: `include` counts in it how deep names are nested.
pub fn functions(environment: &Rc<dyn Environment>) -> Functions {
    let mut functions = Functions::new();
    codes::register(&mut functions);
    crypto::register(&mut functions, environment);
    durations::register(&mut functions);
    helm::register(&mut functions, environment);
    lists::register(&mut functions);
    logic::register(&mut functions);
    maps::register(&mut functions);
    numbers::register(&mut functions, environment);
    paths::register(&mut functions);
    regexes::register(&mut functions);
    text::register(&mut functions);
    time::register(&mut functions, environment);
    urls::register(&mut functions);
    version_values::register(&mut functions);
    functions
}

//! The plugin's voice in the gateway's log: `log::info!("kept {n} rows"; "cluster" = name)`.
//!
//! Natively nothing is written, so logic that logs can be tested.

pub use crate::bindings::imports::optikon::host::log::Level;

/// Writes one line; the macros call it.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::imports::optikon::host::log::write(level, message, fields);
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (level, message, fields);
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $format:literal $(, $argument:expr)* $(; $($key:literal = $value:expr),+)?) => {
        $crate::log::write(
            $crate::log::Level::$level,
            &format!($format $(, $argument)*),
            &[$($(($key.to_owned(), ($value).to_string())),+)?],
        )
    };
}

/// For the author, step by step.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug { ($($all:tt)*) => { $crate::__log!(Debug, $($all)*) }; }
/// What an operator may want to know.
#[doc(hidden)]
#[macro_export]
macro_rules! __info { ($($all:tt)*) => { $crate::__log!(Info, $($all)*) }; }
/// What an operator should look at.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn { ($($all:tt)*) => { $crate::__log!(Warn, $($all)*) }; }
/// What an operator must look at.
#[doc(hidden)]
#[macro_export]
macro_rules! __error { ($($all:tt)*) => { $crate::__log!(Error, $($all)*) }; }

pub use crate::{__debug as debug, __error as error, __info as info, __warn as warn};

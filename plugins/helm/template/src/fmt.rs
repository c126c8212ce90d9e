//! Go's `fmt` for template values.

use crate::error::Error;
use crate::text::Str;
use crate::value::Value;

/// Go's `fmt.Sprintf`, mistakes of the format included (`%!d(string=x)`, `%!s(MISSING)`).
///
/// # Errors
/// When a value is nested too deeply to print, which in Go ends the process.
pub fn sprintf(format: &[u8], args: &[Value]) -> Result<Str, Error> {
    let _ = (format, args);
    Err(Error::new("not there yet"))
}

/// Go's `fmt.Sprint`: `%v` of each, blanks between two that are not strings.
///
/// # Errors
/// When a value is nested too deeply to print.
pub fn sprint(args: &[Value]) -> Result<Str, Error> {
    sprintf(b"%v", args)
}

/// Go's `fmt.Sprintln`: `%v` of each, blanks between all, a line feed at the end.
///
/// # Errors
/// When a value is nested too deeply to print.
pub fn sprintln(args: &[Value]) -> Result<Str, Error> {
    sprintf(b"%v", args)
}

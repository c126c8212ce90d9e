//! Go's `fmt` for template values: `%v` and its relatives, flags, mistakes and all.

mod directive;
mod layout;
mod printer;

use crate::error::Error;
use crate::text::Str;
use crate::value::Value;
use printer::Printer;

/// Go's `fmt.Sprintf`, mistakes of the format included (`%!d(string=x)`, `%!s(MISSING)`).
/// `%p` of a map or list, an address in Go, is reported as a mistake.
///
/// # Errors
/// When a value is nested too deeply or is too large to print, which in Go ends the process.
pub fn sprintf(format: &[u8], args: &[Value]) -> Result<Str, Error> {
    let mut out = Vec::with_capacity(format.len() + 16 * args.len());
    directive::run(&mut Printer::new(&mut out), format, args)?;
    Ok(Str::from(out))
}

/// Go's `fmt.Sprint`: `%v` of each, blanks between two that are not strings.
///
/// # Errors
/// When a value is nested too deeply or is too large to print.
pub fn sprint(args: &[Value]) -> Result<Str, Error> {
    if let [Value::Str(text)] = args {
        return Ok(text.clone());
    }
    let mut out = Vec::new();
    let mut after_string = true;
    for (at, arg) in args.iter().enumerate() {
        let is_string = matches!(arg, Value::Str(_));
        if at > 0 && !is_string && !after_string {
            out.push(b' ');
        }
        write_value(&mut out, arg)?;
        after_string = is_string;
    }
    Ok(Str::from(out))
}

/// Go's `fmt.Sprintln`: `%v` of each, blanks between all, a line feed at the end.
///
/// # Errors
/// When a value is nested too deeply or is too large to print.
pub fn sprintln(args: &[Value]) -> Result<Str, Error> {
    let mut out = Vec::new();
    for (at, arg) in args.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        write_value(&mut out, arg)?;
    }
    out.push(b'\n');
    Ok(Str::from(out))
}

/// `%v` at the end of `out`.
///
/// # Errors
/// When the value is nested too deeply or is too large to print.
pub fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<(), Error> {
    match value {
        Value::Str(text) => out.extend_from_slice(text.as_bytes()),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        _ => return Printer::new(out).print_arg(value, 'v'),
    }
    Ok(())
}

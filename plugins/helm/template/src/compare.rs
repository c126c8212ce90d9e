//! Go's comparison functions for templates: `eq`, `ne`, `lt`, `le`, `gt`, `ge`.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::error::Error;
use crate::fmt;
use crate::value::{Kind, Value};

/// The kinds that can be compared at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basic {
    None,
    Bool,
    Int,
    Uint,
    Float,
    Str,
}

fn basic(value: &Value) -> Basic {
    match value.kind() {
        Kind::Bool => Basic::Bool,
        Kind::Int | Kind::Int32 | Kind::Int64 => Basic::Int,
        Kind::Uint8 | Kind::Uint32 | Kind::Uint64 => Basic::Uint,
        Kind::Float64 => Basic::Float,
        Kind::Str => Basic::Str,
        Kind::Invalid | Kind::Slice | Kind::Map | Kind::Struct | Kind::Ptr | Kind::Func => {
            Basic::None
        }
    }
}

fn incompatible(a: &Value, b: &Value) -> Error {
    let (a, b) = (a.type_name(), b.type_name());
    Error::new(format!("incompatible types for comparison: {a} and {b}"))
}

/// `int` against `uint`, whatever the sign.
fn compare_integers(a: &Value, b: &Value) -> Option<Ordering> {
    let wide = |value: &Value| {
        let signed = value.as_signed().map(i128::from);
        signed.or_else(|| value.as_unsigned().map(i128::from))
    };
    Some(wide(a)?.cmp(&wide(b)?))
}

/// `==` of two values: kinds must agree, except that integers compare whatever their type.
///
/// # Errors
/// In Go's words for types that cannot be compared.
pub fn equal(a: &Value, b: &Value) -> Result<bool, Error> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => return Ok(a == b),
        (Value::Bool(a), Value::Bool(b)) => return Ok(a == b),
        (Value::Float(a), Value::Float(b)) => return Ok(a == b),
        _ => {}
    }
    match (basic(a), basic(b)) {
        (Basic::Int | Basic::Uint, Basic::Int | Basic::Uint) => {
            Ok(compare_integers(a, b) == Some(Ordering::Equal))
        }
        (Basic::None, Basic::None) => equal_composite(a, b),
        _ if matches!(a, Value::Nil) || matches!(b, Value::Nil) => Ok(false),
        _ => Err(incompatible(a, b)),
    }
}

/// Lists, maps, structs and nil: they compare with nil, and structs with structs.
fn equal_composite(a: &Value, b: &Value) -> Result<bool, Error> {
    let (ka, kb) = (a.kind(), b.kind());
    if ka != kb && ka != Kind::Invalid && kb != Kind::Invalid {
        let (ta, tb) = (a.type_name(), b.type_name());
        let (sa, sb) = (reflect_text(a), fmt::sprint(std::slice::from_ref(b))?);
        return Err(Error::new(format!(
            "non-comparable types {sa}: {ta}, {tb}: {sb}"
        )));
    }
    if a.is_nil() || b.is_nil() {
        return Ok(a.is_nil() == b.is_nil());
    }
    match (a, b) {
        (Value::Object(a), Value::Object(b)) if ka != Kind::Map => {
            Ok(Rc::ptr_eq(a, b) || (a.type_name() == b.type_name() && a.equals(b.as_ref())))
        }
        _ => {
            let (text, ty) = (reflect_text(b), b.type_name());
            Err(Error::new(format!("non-comparable type {text}: {ty}")))
        }
    }
}

/// What `%s` of Go's `reflect.Value` gives: fmt looks inside it.
fn reflect_text(value: &Value) -> String {
    fmt::sprintf(b"%s", std::slice::from_ref(value))
        .map_or_else(|_| value.type_name().into_owned(), |text| text.to_string())
}

/// Whether the first argument equals any of the others.
///
/// # Errors
/// In Go's words for types that cannot be compared, or nothing to compare with.
pub fn equal_any(args: &[Value]) -> Result<bool, Error> {
    let (first, others) = match args {
        [first, others @ ..] if !others.is_empty() => (first, others),
        _ => return Err(Error::new("missing argument for comparison")),
    };
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `<` of two values of one kind.
///
/// # Errors
/// In Go's words for types that have no order.
pub fn less(a: &Value, b: &Value) -> Result<bool, Error> {
    let unordered = || Error::new("invalid type for comparison");
    let (ka, kb) = (basic(a), basic(b));
    if ka == Basic::None || kb == Basic::None {
        return Err(unordered());
    }
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => return Ok(a < b),
        (Value::Float(a), Value::Float(b)) => return Ok(a < b),
        _ => {}
    }
    match (ka, kb) {
        (Basic::Int | Basic::Uint, Basic::Int | Basic::Uint) => {
            Ok(compare_integers(a, b) == Some(Ordering::Less))
        }
        (Basic::Bool, Basic::Bool) => Err(unordered()),
        _ => Err(incompatible(a, b)),
    }
}

/// `<=` of two values of one kind.
///
/// # Errors
/// In Go's words for types that have no order.
pub fn less_or_equal(a: &Value, b: &Value) -> Result<bool, Error> {
    Ok(less(a, b)? || equal(a, b)?)
}

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

const MAX_DEEP_DEPTH: u32 = 200;
const MAX_DEEP_STEPS: u32 = 10_000_000;

/// See [`Value::deep_equal`].
pub(crate) fn deep_equal(a: &Value, b: &Value) -> bool {
    let mut steps = MAX_DEEP_STEPS;
    deep(a, b, MAX_DEEP_DEPTH, &mut steps)
}

fn deep(a: &Value, b: &Value, depth: u32, steps: &mut u32) -> bool {
    let (Some(depth), Some(left)) = (depth.checked_sub(1), steps.checked_sub(1)) else {
        return false;
    };
    *steps = left;
    let mut same = |a: &Value, b: &Value| deep(a, b, depth, steps);
    match (a, b) {
        (Value::List(la), Value::List(lb)) => {
            let shape = a.type_name() == b.type_name()
                && la.is_nil() == lb.is_nil()
                && la.len() == lb.len();
            shape && (la.same(lb) || la.items().iter().zip(lb.items()).all(|(a, b)| same(a, b)))
        }
        (Value::Map(ma), Value::Map(mb)) => {
            let shape = a.type_name() == b.type_name()
                && ma.is_nil() == mb.is_nil()
                && ma.len() == mb.len();
            shape
                && (ma.same(mb) || {
                    let (ma, mb) = (ma.entries(), mb.entries());
                    let mut pairs = ma.iter().zip(mb.iter());
                    pairs.all(|((ka, va), (kb, vb))| ka == kb && same(va, vb))
                })
        }
        (Value::Object(oa), Value::Object(ob)) => {
            Rc::ptr_eq(oa, ob) || (oa.type_name() == ob.type_name() && oa.equals(ob.as_ref()))
        }
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b))
        | (Value::Int64(a), Value::Int64(b))
        | (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Int32(a), Value::Int32(b)) => a == b,
        (Value::Uint8(a), Value::Uint8(b)) => a == b,
        (Value::Uint32(a), Value::Uint32(b)) => a == b,
        (Value::Uint64(a), Value::Uint64(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        _ => false,
    }
}

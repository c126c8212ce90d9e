//! Reads arguments whose types the executor has checked against the signature.

use helm_template::{Error, List, ListType, Map, Str, Value};

use crate::go::NIL_DEREFERENCE;

fn mismatch(index: usize) -> Error {
    Error::new(format!(
        "argument {index} is missing or of another type than declared"
    ))
}

pub(crate) fn any(args: &[Value], index: usize) -> Result<&Value, Error> {
    args.get(index).ok_or_else(|| mismatch(index))
}

pub(crate) fn text(args: &[Value], index: usize) -> Result<&Str, Error> {
    args.get(index)
        .and_then(Value::as_text)
        .ok_or_else(|| mismatch(index))
}

pub(crate) fn int(args: &[Value], index: usize) -> Result<i64, Error> {
    match args.get(index) {
        Some(Value::Int(number)) => Ok(*number),
        _ => Err(mismatch(index)),
    }
}

pub(crate) fn boolean(args: &[Value], index: usize) -> Result<bool, Error> {
    match args.get(index) {
        Some(Value::Bool(value)) => Ok(*value),
        _ => Err(mismatch(index)),
    }
}

pub(crate) fn float(args: &[Value], index: usize) -> Result<f64, Error> {
    match args.get(index) {
        Some(Value::Float(value)) => Ok(*value),
        _ => Err(mismatch(index)),
    }
}

pub(crate) fn map(args: &[Value], index: usize) -> Result<&Map, Error> {
    args.get(index)
        .and_then(Value::as_map)
        .ok_or_else(|| mismatch(index))
}

pub(crate) fn list(args: &[Value], index: usize) -> Result<&List, Error> {
    args.get(index)
        .and_then(Value::as_list)
        .ok_or_else(|| mismatch(index))
}

/// The arguments from `index` on.
pub(crate) fn rest(args: &[Value], index: usize) -> &[Value] {
    args.get(index..).unwrap_or_default()
}

/// The elements of anything of kind slice; `None` for other kinds.
pub(crate) fn items(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::List(list) => Some(list.items().to_vec()),
        Value::Bytes(bytes) => Some(bytes.iter().map(|b| Value::Uint8(*b)).collect()),
        Value::Object(_) => items(&value.behind()?),
        _ => None,
    }
}

/// The elements, or sprig's complaint `WHAT KIND` about a value of another kind.
pub(crate) fn items_or(value: &Value, what: &str) -> Result<Vec<Value>, Error> {
    match value {
        Value::Nil => Err(Error::new(NIL_DEREFERENCE)),
        other => items(other).ok_or_else(|| Error::new(format!("{what} {}", other.kind().name()))),
    }
}

/// A `[]string`.
pub(crate) fn strings(items: Vec<Str>) -> Value {
    Value::List(List::new(
        ListType::Str,
        items.into_iter().map(Value::Str).collect(),
    ))
}

/// Takes texts of a `...string`.
pub(crate) fn texts(args: &[Value], index: usize) -> Result<Vec<&Str>, Error> {
    (index..args.len()).map(|at| text(args, at)).collect()
}

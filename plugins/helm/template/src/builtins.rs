//! The functions every Go template has.

use std::rc::Rc;

use crate::compare;
use crate::error::Error;
use crate::escape;
use crate::exec::zero_element;
use crate::fmt;
use crate::function::{Context, Functions, Signature, Type};
use crate::text::Str;
use crate::value::{Kind, Value};

const ANY_NUMBER: Signature = Signature::variadic(&[Type::Any]);
const ONE: Signature = Signature::fixed(&[Type::Reflect]);
const TWO: Signature = Signature::fixed(&[Type::Reflect, Type::Reflect]);
const ONE_OR_MORE: Signature = Signature::variadic(&[Type::Reflect, Type::Reflect]);

/// Go's builtins. `and`, `or` and `call` are done by the executor, which only needs to know them.
pub(crate) fn functions() -> Functions {
    let mut all = Functions::new();
    for name in ["and", "or", "call"] {
        all.add(name, ONE_OR_MORE, |_, args| {
            Ok(args.first().cloned().unwrap_or_default())
        });
    }
    all.add("not", ONE, |_, args| {
        Ok(Value::Bool(!arg(args, 0).is_true()))
    });
    all.add("len", ONE, |_, args| length(&arg(args, 0)));
    all.add("index", ONE_OR_MORE, |_, args| index(args));
    all.add("slice", ONE_OR_MORE, |_, args| slice(args));

    all.add("eq", ONE_OR_MORE, |_, args| {
        compare::equal_any(args).map(Value::Bool)
    });
    compare_function(&mut all, "ne", |a, b| {
        compare::equal(a, b).map(|equal| !equal)
    });
    compare_function(&mut all, "lt", compare::less);
    compare_function(&mut all, "le", compare::less_or_equal);
    compare_function(&mut all, "gt", |a, b| {
        compare::less_or_equal(a, b).map(|below| !below)
    });
    compare_function(&mut all, "ge", |a, b| {
        compare::less(a, b).map(|below| !below)
    });

    all.add("print", ANY_NUMBER, |context, args| {
        charged(context, fmt::sprint(args)?)
    });
    all.add("println", ANY_NUMBER, |context, args| {
        charged(context, fmt::sprintln(args)?)
    });
    let format = Signature::variadic(&[Type::Str, Type::Any]);
    all.add("printf", format, |context, args| match args {
        [Value::Str(format), values @ ..] => {
            charged(context, fmt::sprintf(format.as_bytes(), values)?)
        }
        _ => Err(Error::new("the format of printf is no string")),
    });
    all.add("html", ANY_NUMBER, |context, args| {
        charged(context, escape::html(&printed(args)?))
    });
    all.add("js", ANY_NUMBER, |context, args| {
        charged(context, escape::js(&printed(args)?))
    });
    all.add("urlquery", ANY_NUMBER, |context, args| {
        charged(context, escape::url_query(&printed(args)?))
    });
    all
}

fn compare_function(
    all: &mut Functions,
    name: &'static str,
    test: fn(&Value, &Value) -> Result<bool, Error>,
) {
    all.add(name, TWO, move |_, args| {
        test(&arg(args, 0), &arg(args, 1)).map(Value::Bool)
    });
}

fn arg(args: &[Value], at: usize) -> Value {
    args.get(at).cloned().unwrap_or_default()
}

/// Text costs steps by its length, so that printing large values in a loop comes to an end.
fn charged(context: &mut dyn Context, text: Str) -> Result<Value, Error> {
    context.charge(u64::try_from(text.len() / 64).unwrap_or(0))?;
    Ok(Value::Str(text))
}

/// The arguments as a template prints them: no value is `<no value>`, not `<nil>`.
fn printed(args: &[Value]) -> Result<Str, Error> {
    let args: Vec<Value> = args
        .iter()
        .map(|arg| match arg {
            Value::Nil => Value::str("<no value>"),
            other => other.clone(),
        })
        .collect();
    fmt::sprint(&args)
}

/// Go's `len`.
pub(crate) fn length(item: &Value) -> Result<Value, Error> {
    if let Some(plain) = item.behind() {
        return length(&plain);
    }
    let length = match item {
        Value::Nil => return Err(Error::new("len of nil pointer")),
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Object(object) if object.kind() == Kind::Map => object.entries().len(),
        other => return Err(Error::new(format!("len of type {}", other.type_name()))),
    };
    Ok(int(length))
}

fn int(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// An index up to and including `end`.
fn index_number(index: &Value, end: usize) -> Result<usize, Error> {
    if let Value::Nil = index {
        return Err(Error::new("cannot index slice/array with nil"));
    }
    let unsigned = || index.as_unsigned().map(u64::cast_signed);
    let Some(number) = index.as_signed().or_else(unsigned) else {
        let ty = index.type_name();
        return Err(Error::new(format!(
            "cannot index slice/array with type {ty}"
        )));
    };
    usize::try_from(number)
        .ok()
        .filter(|number| *number <= end)
        .ok_or_else(|| Error::new(format!("index out of range: {number}")))
}

/// What Go's runtime says when the index is the length itself, which the check before lets pass.
fn past_the_end(item: &str) -> Error {
    Error::new(format!("reflect: {item} index out of range"))
}

fn index(args: &[Value]) -> Result<Value, Error> {
    let (first, indexes) = args
        .split_first()
        .ok_or_else(|| Error::new("index of untyped nil"))?;
    if let Value::Nil = first {
        return Err(Error::new("index of untyped nil"));
    }
    let mut item = first.behind().unwrap_or_else(|| first.clone());
    for index in indexes {
        item = match &item {
            Value::Nil => return Err(Error::new("index of nil pointer")),
            Value::List(list) => {
                let at = index_number(index, list.len())?;
                list.items()
                    .get(at)
                    .cloned()
                    .ok_or_else(|| past_the_end("slice"))?
            }
            Value::Str(text) => {
                let at = index_number(index, text.len())?;
                let byte = text.as_bytes().get(at).copied();
                Value::Uint8(byte.ok_or_else(|| past_the_end("string"))?)
            }
            Value::Bytes(bytes) => {
                let at = index_number(index, bytes.len())?;
                Value::Uint8(
                    bytes
                        .get(at)
                        .copied()
                        .ok_or_else(|| past_the_end("slice"))?,
                )
            }
            Value::Map(map) => map
                .get(map_key(index)?)
                .unwrap_or_else(|| zero_element(&item)),
            Value::Object(object) if object.kind() == Kind::Map => {
                let entry = object.entry(map_key(index)?.as_bytes());
                entry.unwrap_or_else(|| zero_element(&item))
            }
            other => {
                return Err(Error::new(format!(
                    "can't index item of type {}",
                    other.type_name()
                )));
            }
        };
    }
    Ok(item)
}

fn map_key(index: &Value) -> Result<Str, Error> {
    match index {
        Value::Str(text) => Ok(text.clone()),
        Value::Nil => Err(Error::new("value is nil; should be of type string")),
        other => {
            let ty = other.type_name();
            Err(Error::new(format!("value has type {ty}; should be string")))
        }
    }
}

fn slice(args: &[Value]) -> Result<Value, Error> {
    let (item, indexes) = args
        .split_first()
        .ok_or_else(|| Error::new("slice of untyped nil"))?;
    if let Value::Nil = item {
        return Err(Error::new("slice of untyped nil"));
    }
    if indexes.len() > 3 {
        return Err(Error::new(format!(
            "too many slice indexes: {}",
            indexes.len()
        )));
    }
    let length = match item {
        Value::Str(_) if indexes.len() == 3 => {
            return Err(Error::new("cannot 3-index slice a string"));
        }
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        other => {
            return Err(Error::new(format!(
                "can't slice item of type {}",
                other.type_name()
            )));
        }
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = index_number(index, length)?;
    }
    let [start, end, capacity] = bounds;
    for (low, high) in [(start, end), (end, capacity)] {
        if low > high {
            return Err(Error::new(format!("invalid slice index: {low} > {high}")));
        }
    }
    Ok(match item {
        Value::Str(text) => Value::Str(text.slice(start..end)),
        Value::Bytes(bytes) => Value::Bytes(Rc::from(bytes.get(start..end).unwrap_or_default())),
        Value::List(list) => {
            let items = list.items().get(start..end).unwrap_or_default();
            Value::List(crate::List::new(list.ty(), items.to_vec()))
        }
        other => other.clone(),
    })
}

/// Why `call` cannot call the value.
pub(crate) fn refuse_call(name: &str, function: Option<&Value>) -> Error {
    match function {
        None | Some(Value::Nil) => Error::new("call of nil"),
        Some(value) => Error::new(format!("non-function {name} of type {}", value.type_name())),
    }
}

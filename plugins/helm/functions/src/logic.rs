//! Emptiness, choice and Go's types: `default`, `empty`, `ternary`, `typeOf`.

use helm_template::{Error, Functions, Kind, Signature, Type, Value};

use crate::args::{any, boolean, text};

pub(crate) fn register(functions: &mut Functions) {
    let one = Signature::fixed(&[Type::Any]);
    let many = Signature::variadic(&[Type::Any]);
    let named = Signature::fixed(&[Type::Str, Type::Any]);
    functions.add(
        "default",
        Signature::variadic(&[Type::Any, Type::Any]),
        |_, args| {
            let given = args.get(1).filter(|given| !is_empty(given));
            Ok(given.or(args.first()).cloned().unwrap_or_default())
        },
    );
    functions.add("empty", one, |_, args| Ok(is_empty(any(args, 0)?).into()));
    functions.add("coalesce", many, |_, args| {
        Ok(args
            .iter()
            .find(|value| !is_empty(value))
            .cloned()
            .unwrap_or_default())
    });
    functions.add("all", many, |_, args| {
        Ok(args.iter().all(|value| !is_empty(value)).into())
    });
    functions.add("any", many, |_, args| {
        Ok(args.iter().any(|value| !is_empty(value)).into())
    });
    functions.add(
        "ternary",
        Signature::fixed(&[Type::Any, Type::Any, Type::Bool]),
        |_, args| Ok(any(args, if boolean(args, 2)? { 0 } else { 1 })?.clone()),
    );
    functions.add("typeOf", one, |_, args| {
        Ok(Value::str(any(args, 0)?.type_name().into_owned()))
    });
    functions.add("kindOf", one, |_, args| {
        Ok(any(args, 0)?.kind().name().into())
    });
    functions.add("typeIs", named, |_, args| {
        Ok((*text(args, 0)? == *any(args, 1)?.type_name()).into())
    });
    functions.add("typeIsLike", named, |_, args| {
        let (wanted, found) = (text(args, 0)?, any(args, 1)?.type_name());
        let pointed = found.strip_prefix('*');
        Ok((*wanted == *found || pointed.is_some_and(|found| *wanted == *found)).into())
    });
    functions.add("kindIs", named, |_, args| {
        Ok((*text(args, 0)? == *any(args, 1)?.kind().name()).into())
    });
    functions.add(
        "deepEqual",
        Signature::fixed(&[Type::Any, Type::Any]),
        |_, args| Ok(any(args, 0)?.deep_equal(any(args, 1)?).into()),
    );
    functions.add("fail", Signature::fixed(&[Type::Str]), |_, args| {
        Err(Error::new(crate::helm::marked(&text(args, 0)?.to_text())))
    });
}

/// Sprig's emptiness: nil, false, zero, and whatever has no length; a struct never.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(object) => match (object.number(), object.kind()) {
            (Some(number), _) => number == 0,
            (None, Kind::Map) => object.entries().is_empty(),
            (None, _) => false,
        },
        other => !other.is_true(),
    }
}

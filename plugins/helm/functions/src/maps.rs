//! Functions on maps with string keys. Maps are shared: `set` shows wherever the map is held.

use helm_template::{Context, Error, Functions, Map, MapType, Signature, Str, Type, Value};

use crate::args::{any, map, rest, text, texts};
use crate::go::to_text;
use crate::merge;

const DICT: Signature = Signature::fixed(&[Type::Dict]);
const KEYED: Signature = Signature::fixed(&[Type::Dict, Type::Str]);

pub(crate) fn register(functions: &mut Functions) {
    functions.add("dict", Signature::variadic(&[Type::Any]), |_, args| {
        dict(args)
    });
    functions.add("get", KEYED, |_, args| {
        Ok(map(args, 0)?
            .get(text(args, 1)?)
            .unwrap_or_else(|| "".into()))
    });
    functions.add(
        "set",
        Signature::fixed(&[Type::Dict, Type::Str, Type::Any]),
        |_, args| {
            let target = map(args, 0)?;
            if target.is_nil() {
                return Err(Error::new("assignment to entry in nil map"));
            }
            target.insert(text(args, 1)?.clone(), any(args, 2)?.clone());
            Ok(plain(target))
        },
    );
    functions.add("unset", KEYED, |_, args| {
        map(args, 0)?.remove(text(args, 1)?);
        Ok(plain(map(args, 0)?))
    });
    functions.add("hasKey", KEYED, |_, args| {
        Ok(map(args, 0)?.contains(text(args, 1)?).into())
    });
    functions.add(
        "pluck",
        Signature::variadic(&[Type::Str, Type::Dict]),
        |_, args| {
            let key = text(args, 0)?;
            let found = rest(args, 1)
                .iter()
                .filter_map(|value| value.as_map()?.get(key));
            Ok(Value::list(found.collect()))
        },
    );
    functions.add("keys", Signature::variadic(&[Type::Dict]), |_, args| {
        let mut keys = Vec::new();
        for at in 0..args.len() {
            keys.extend(map(args, at)?.entries().keys().cloned());
        }
        Ok(crate::args::strings(keys))
    });
    functions.add("values", DICT, |_, args| {
        Ok(Value::list(
            map(args, 0)?.entries().values().cloned().collect(),
        ))
    });
    let keyed_many = Signature::variadic(&[Type::Dict, Type::Str]);
    functions.add("pick", keyed_many, |_, args| {
        let source = map(args, 0)?;
        let keys = texts(args, 1)?.into_iter();
        Ok(Value::map(
            keys.filter_map(|key| Some((key.clone(), source.get(key)?))),
        ))
    });
    functions.add("omit", keyed_many, |_, args| {
        let unwanted = texts(args, 1)?;
        let kept = map(args, 0)?.to_vec();
        Ok(Value::map(
            kept.into_iter().filter(|(key, _)| !unwanted.contains(&key)),
        ))
    });
    functions.add("dig", Signature::variadic(&[Type::Any]), |_, args| {
        dig(args)
    });
    let merged = Signature::variadic(&[Type::Dict, Type::Dict]);
    for name in ["merge", "mustMerge"] {
        functions.add(name, merged, |context, args| {
            merge_all(context, args, false)
        });
    }
    for name in ["mergeOverwrite", "mustMergeOverwrite"] {
        functions.add(name, merged, |context, args| merge_all(context, args, true));
    }
    for name in ["deepCopy", "mustDeepCopy"] {
        functions.add(name, Signature::fixed(&[Type::Any]), |context, args| {
            merge::deep_copy(context, any(args, 0)?)
        });
    }
}

fn dict(args: &[Value]) -> Result<Value, Error> {
    let entries = Map::default();
    for pair in args.chunks(2) {
        let (Some(key), value) = (pair.first(), pair.get(1)) else {
            continue;
        };
        let value = value.cloned().unwrap_or_else(|| "".into());
        entries.insert(to_text(key)?, value);
    }
    Ok(Value::Map(entries))
}

/// Merges each source in turn into the first map, which is also the result.
fn merge_all(context: &mut dyn Context, args: &[Value], overwrite: bool) -> Result<Value, Error> {
    let target = map(args, 0)?;
    let target = if target.is_nil() {
        Map::new(target.ty())
    } else {
        target.clone()
    };
    for at in 1..args.len() {
        merge::merge(context, &target, map(args, at)?, overwrite)?;
    }
    Ok(plain(&target))
}

/// The map as a function gives it back: its parameter had no named type, so the result has none.
fn plain(map: &Map) -> Value {
    match map.ty() {
        MapType::Named(_) => Value::Map(map.retyped(MapType::Any)),
        _ => Value::Map(map.clone()),
    }
}

/// What Go says of a failed type assertion.
fn not_a(value: &Value, wanted: &str) -> Error {
    let found = match value {
        Value::Nil => "nil".into(),
        other => other.type_name(),
    };
    Error::new(format!(
        "interface conversion: interface {{}} is {found}, not {wanted}"
    ))
}

/// Exactly `map[string]interface {}`: an assertion, unlike an argument, takes no named type.
fn plain_map(value: &Value) -> Result<&Map, Error> {
    let wanted = "map[string]interface {}";
    match value {
        Value::Map(map) if value.type_name() == wanted => Ok(map),
        other => Err(not_a(other, wanted)),
    }
}

fn dig(args: &[Value]) -> Result<Value, Error> {
    let ([keys @ .., fallback, source], true) = (args, args.len() >= 3) else {
        return Err(Error::new("dig needs at least three arguments"));
    };
    let mut current = plain_map(source)?.clone();
    let keys = keys
        .iter()
        .map(|key| key.as_text().ok_or_else(|| not_a(key, "string")))
        .collect::<Result<Vec<&Str>, _>>()?;
    let Some((last, path)) = keys.split_last() else {
        return Ok(fallback.clone());
    };
    for key in path {
        let Some(step) = current.get(key) else {
            return Ok(fallback.clone());
        };
        current = plain_map(&step)?.clone();
    }
    Ok(current.get(last).unwrap_or_else(|| fallback.clone()))
}

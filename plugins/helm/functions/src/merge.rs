//! Merging as the mergo library does it, and copying as copystructure does.

use helm_template::{Context, Error, List, Map, Value};

use crate::go::MAX_DEPTH;
use crate::logic::is_empty;

fn too_deep(what: &str) -> Error {
    Error::new(format!(
        "{what}: values are nested more than {MAX_DEPTH} deep"
    ))
}

/// Merges `source` into `target`. Without `overwrite` only what is missing or empty is filled; with
/// it everything that is given wins, nil included. Maps merge key by key, lists replace. Maps of the source
/// are shared, not copied, as in Go.
///
/// # Errors
/// When maps are nested beyond the limit, as only a map that holds itself is.
pub(crate) fn merge(
    context: &mut dyn Context,
    target: &Map,
    source: &Map,
    overwrite: bool,
) -> Result<(), Error> {
    merge_at(context, target, source, overwrite, 0)
}

fn merge_at(
    context: &mut dyn Context,
    target: &Map,
    source: &Map,
    overwrite: bool,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep("merge"));
    }
    if target.same(source) {
        return Ok(());
    }
    let entries = source.to_vec();
    context.charge(u64::try_from(entries.len() / 4).unwrap_or(u64::MAX))?;
    for (key, value) in entries {
        let old = target.get(&key);
        if matches!(value, Value::Nil) {
            // Without `overwrite` a nil is skipped, even where the key is missing.
            if overwrite {
                target.insert(key, value);
            }
            continue;
        }
        if let (Value::Map(from), Some(Value::Map(into))) = (&value, &old)
            && !into.is_nil()
        {
            merge_at(context, into, from, overwrite, depth + 1)?;
            // What is still empty is replaced by the map of the source itself.
            if !into.is_empty() {
                continue;
            }
        }
        if overwrite || old.as_ref().is_none_or(is_empty) {
            target.insert(key, value);
        }
    }
    Ok(())
}

/// A copy that shares no map or list with the original.
///
/// # Errors
/// For nil, as in Go, and when values are nested beyond the limit, as only a map that holds itself is.
pub(crate) fn deep_copy(context: &mut dyn Context, value: &Value) -> Result<Value, Error> {
    if matches!(value, Value::Nil) {
        return Err(Error::new(
            "reflect: call of reflect.Value.Type on zero Value",
        ));
    }
    copy_at(context, value, 0)
}

fn copy_at(context: &mut dyn Context, value: &Value, depth: usize) -> Result<Value, Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep("deepCopy error"));
    }
    match value {
        Value::List(list) if !list.is_nil() => {
            context.charge(u64::try_from(list.len() / 4).unwrap_or(u64::MAX))?;
            let items = list
                .items()
                .iter()
                .map(|item| copy_at(context, item, depth + 1));
            Ok(Value::List(List::new(
                list.ty(),
                items.collect::<Result<_, _>>()?,
            )))
        }
        Value::Map(map) if !map.is_nil() => {
            context.charge(u64::try_from(map.len() / 4).unwrap_or(u64::MAX))?;
            let mut entries = std::collections::BTreeMap::new();
            for (key, item) in map.to_vec() {
                entries.insert(key, copy_at(context, &item, depth + 1)?);
            }
            Ok(Value::Map(Map::from_entries(map.ty(), entries)))
        }
        other => Ok(other.clone()),
    }
}

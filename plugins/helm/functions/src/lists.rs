//! Functions on lists. What takes "a list" takes any Go slice, bytes included.

use helm_template::{Context, Error, Functions, List, ListType, Signature, Str, Type, Value};

use crate::args::{any, int, items, items_or, rest, strings, text};
use crate::go::{check_items, to_text};
use crate::logic::is_empty;
use crate::numbers::to_int;

const ANY: Signature = Signature::fixed(&[Type::Any]);
const TWO: Signature = Signature::fixed(&[Type::Any, Type::Any]);

type Body = fn(&mut dyn Context, &[Value]) -> Result<Value, Error>;

/// A function and its must twin, which differ only in how Go raises the same error.
fn twins(functions: &mut Functions, names: [&'static str; 2], signature: Signature, body: Body) {
    for name in names {
        functions.add(name, signature, body);
    }
}

pub(crate) fn register(functions: &mut Functions) {
    let many = Signature::variadic(&[Type::Any]);
    functions.add("list", many, |_, args| Ok(Value::list(args.to_vec())));
    functions.alias("tuple", "list");
    functions.add("toStrings", ANY, |_, args| {
        Ok(Value::List(to_strings(any(args, 0)?)?))
    });
    functions.add(
        "join",
        Signature::fixed(&[Type::Str, Type::Any]),
        |_, args| join(text(args, 0)?.as_bytes(), any(args, 1)?),
    );
    functions.add("sortAlpha", ANY, |_, args| sort_alpha(any(args, 0)?));
    functions.add("concat", many, |_, args| concat(args));

    for names in [["append", "mustAppend"], ["push", "mustPush"]] {
        twins(functions, names, TWO, |_, args| {
            let mut list = items_or(any(args, 0)?, "Cannot push on type")?;
            check_items("append", list.len() + 1)?;
            list.push(any(args, 1)?.clone());
            Ok(Value::list(list))
        });
    }
    twins(functions, ["prepend", "mustPrepend"], TWO, |_, args| {
        let list = items_or(any(args, 0)?, "Cannot prepend on type")?;
        check_items("prepend", list.len() + 1)?;
        Ok(Value::list(
            std::iter::once(any(args, 1)?.clone()).chain(list).collect(),
        ))
    });
    twins(functions, ["first", "mustFirst"], ANY, |_, args| {
        let list = items_or(any(args, 0)?, "Cannot find first on type")?;
        Ok(list.into_iter().next().unwrap_or_default())
    });
    twins(functions, ["last", "mustLast"], ANY, |_, args| {
        let list = items_or(any(args, 0)?, "Cannot find last on type")?;
        Ok(list.into_iter().next_back().unwrap_or_default())
    });
    twins(functions, ["rest", "mustRest"], ANY, |_, args| {
        let list = items_or(any(args, 0)?, "Cannot find rest on type")?;
        Ok(list
            .split_first()
            .map_or_else(nil_list, |(_, tail)| Value::list(tail.to_vec())))
    });
    twins(functions, ["initial", "mustInitial"], ANY, |_, args| {
        let list = items_or(any(args, 0)?, "Cannot find initial on type")?;
        Ok(list
            .split_last()
            .map_or_else(nil_list, |(_, head)| Value::list(head.to_vec())))
    });
    twins(functions, ["reverse", "mustReverse"], ANY, |_, args| {
        let mut list = items_or(any(args, 0)?, "Cannot find reverse on type")?;
        list.reverse();
        Ok(Value::list(list))
    });
    twins(functions, ["compact", "mustCompact"], ANY, |_, args| {
        let list = items_or(any(args, 0)?, "Cannot compact on type")?;
        Ok(Value::list(
            list.into_iter().filter(|item| !is_empty(item)).collect(),
        ))
    });
    twins(functions, ["uniq", "mustUniq"], ANY, |context, args| {
        let list = items_or(any(args, 0)?, "Cannot find uniq on type")?;
        let mut kept: Vec<Value> = Vec::new();
        for item in list {
            context.charge(work(kept.len()))?;
            if !contains(&kept, &item) {
                kept.push(item);
            }
        }
        Ok(Value::list(kept))
    });
    let with_rest = Signature::variadic(&[Type::Any, Type::Any]);
    twins(
        functions,
        ["without", "mustWithout"],
        with_rest,
        |context, args| {
            let list = items_or(any(args, 0)?, "Cannot find without on type")?;
            let unwanted = rest(args, 1);
            context.charge(work(list.len().saturating_mul(unwanted.len())))?;
            Ok(Value::list(
                list.into_iter()
                    .filter(|item| !contains(unwanted, item))
                    .collect(),
            ))
        },
    );
    twins(functions, ["has", "mustHas"], TWO, |context, args| {
        let haystack = any(args, 1)?;
        if matches!(haystack, Value::Nil) {
            return Ok(false.into());
        }
        let list = items_or(haystack, "Cannot find has on type")?;
        context.charge(work(list.len()))?;
        Ok(contains(&list, any(args, 0)?).into())
    });
    twins(functions, ["slice", "mustSlice"], with_rest, |_, args| {
        slice(args)
    });
    let chunked = Signature::fixed(&[Type::Int, Type::Any]);
    twins(functions, ["chunk", "mustChunk"], chunked, |_, args| {
        chunk(int(args, 0)?, any(args, 1)?)
    });
}

/// Comparisons as steps: a step is roughly one action of a template.
fn work(comparisons: usize) -> u64 {
    u64::try_from(comparisons / 8).unwrap_or(u64::MAX)
}

fn nil_list() -> Value {
    Value::List(List::nil(ListType::Any))
}

fn contains(haystack: &[Value], needle: &Value) -> bool {
    haystack.iter().any(|item| needle.deep_equal(item))
}

/// Sprig's `toStrings`: elements that are not nil as text; one value becomes a list of one.
pub(crate) fn to_strings(value: &Value) -> Result<List, Error> {
    if let Value::List(list) = value
        && matches!(list.ty(), ListType::Str)
    {
        return Ok(list.clone());
    }
    let list = match (items(value), value) {
        (Some(list), _) => list,
        (None, Value::Nil) => Vec::new(),
        (None, single) => vec![single.clone()],
    };
    let texts = list
        .iter()
        .filter(|item| !matches!(item, Value::Nil))
        .map(to_text);
    Ok(List::of_strings(texts.collect::<Result<Vec<Str>, _>>()?))
}

fn join(separator: &[u8], value: &Value) -> Result<Value, Error> {
    let list = to_strings(value)?;
    let mut out = Vec::new();
    for (item, at) in list.items().iter().zip(0..) {
        if at > 0 {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(item.as_text().map_or(&[][..], Str::as_bytes));
        crate::go::check_bytes("join", out.len())?;
    }
    Ok(Value::Str(out.into()))
}

fn sort_alpha(value: &Value) -> Result<Value, Error> {
    if items(value).is_none() {
        return Ok(strings(vec![to_text(value)?]));
    }
    let list = to_strings(value)?;
    let mut texts: Vec<Str> = list
        .items()
        .iter()
        .filter_map(|item| item.as_text().cloned())
        .collect();
    texts.sort();
    Ok(strings(texts))
}

fn concat(lists: &[Value]) -> Result<Value, Error> {
    let mut all = Vec::new();
    for list in lists {
        match list {
            Value::Nil => return Err(Error::new(crate::go::NIL_DEREFERENCE)),
            other => all.extend(items(other).ok_or_else(|| {
                Error::new(format!(
                    "Cannot concat type {} as list",
                    other.kind().name()
                ))
            })?),
        }
        check_items("concat", all.len())?;
    }
    Ok(if all.is_empty() {
        nil_list()
    } else {
        Value::list(all)
    })
}

fn slice(args: &[Value]) -> Result<Value, Error> {
    let value = any(args, 0)?;
    let list = items_or(value, "list should be type of slice or array but")?;
    if list.is_empty() {
        return Ok(Value::Nil);
    }
    let start = args.get(1).map_or(0, to_int);
    let end = args
        .get(2)
        .map_or_else(|| i64::try_from(list.len()).unwrap_or(i64::MAX), to_int);
    let place = |at: i64| usize::try_from(at).ok();
    let part = match (place(start), place(end)) {
        (Some(start), Some(end)) => list.get(start..end),
        _ => None,
    };
    let part = part
        .ok_or_else(|| Error::new("reflect.Value.Slice: slice index out of bounds"))?
        .to_vec();
    Ok(match value {
        Value::List(whole) => Value::List(List::new(whole.ty(), part)),
        _ => Value::Bytes(
            part.iter()
                .filter_map(Value::as_unsigned)
                .map(|b| b as u8)
                .collect(),
        ),
    })
}

/// Lists of `size` elements, the last one shorter. Sizes below 1 give what Go's float arithmetic
/// makes of them, mostly its panic.
fn chunk(size: i64, value: &Value) -> Result<Value, Error> {
    let list = items_or(value, "Cannot chunk type")?;
    let out_of_range = Error::new("runtime error: makeslice: len out of range");
    let backwards = usize::try_from(size.unsigned_abs()).unwrap_or(usize::MAX);
    let chunks: Vec<Value> = match (usize::try_from(size), list.len()) {
        (Ok(0), _) => return Err(out_of_range),
        (Ok(size), _) => list
            .chunks(size)
            .map(|chunk| Value::list(chunk.to_vec()))
            .collect(),
        (Err(_), 1) if backwards > 1 => vec![Value::list(list)],
        (Err(_), length @ 2..) if length - 1 <= backwards => Vec::new(),
        (Err(_), _) => return Err(out_of_range),
    };
    Ok(Value::List(List::new(
        ListType::Of("[]interface {}"),
        chunks,
    )))
}

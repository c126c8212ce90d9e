//! Functions that cut text at byte positions: `trunc`, `substr`, `abbrev`, `split`.

use helm_template::{Error, Functions, Map, MapType, Signature, Str, Type, Value};

use super::{COUNTED, TWO, split};
use crate::args::{int, strings, text};
use crate::go::check_items;

pub(super) fn register(functions: &mut Functions) {
    functions.add("trunc", COUNTED, |_, args| {
        Ok(trunc(int(args, 0)?, text(args, 1)?).into())
    });
    functions.add(
        "substr",
        Signature::fixed(&[Type::Int, Type::Int, Type::Str]),
        |_, args| Ok(substring(int(args, 0)?, int(args, 1)?, text(args, 2)?)?.into()),
    );
    functions.add("abbrev", COUNTED, |_, args| {
        Ok(abbreviate(text(args, 1)?, 0, int(args, 0)?).into())
    });
    functions.add(
        "abbrevboth",
        Signature::fixed(&[Type::Int, Type::Int, Type::Str]),
        |_, args| {
            let (left, right, whole) = (int(args, 0)?, int(args, 1)?, text(args, 2)?);
            if right < 4 || left > 0 && right < 7 {
                return Ok(whole.clone().into());
            }
            Ok(abbreviate(whole, left, right).into())
        },
    );
    functions.add("splitList", TWO, |_, args| {
        let whole = text(args, 1)?;
        check_items("splitList", whole.len())?;
        Ok(strings(split(whole, text(args, 0)?.as_bytes(), None)))
    });
    functions.add("split", TWO, |_, args| {
        let whole = text(args, 1)?;
        check_items("split", whole.len())?;
        Ok(numbered(split(whole, text(args, 0)?.as_bytes(), None)))
    });
    functions.add(
        "splitn",
        Signature::fixed(&[Type::Str, Type::Int, Type::Str]),
        |_, args| {
            let whole = text(args, 2)?;
            check_items("splitn", whole.len())?;
            // A negative limit is none.
            let limit = usize::try_from(int(args, 1)?).ok();
            Ok(numbered(split(whole, text(args, 0)?.as_bytes(), limit)))
        },
    );
}

/// A `map[string]string` under `_0`, `_1` and so on.
fn numbered(parts: Vec<Str>) -> Value {
    let entries = parts.into_iter().zip(0..);
    let entries = entries.map(|(part, at)| (Str::from(format!("_{at}")), Value::Str(part)));
    Value::Map(Map::from_entries(MapType::Str, entries.collect()))
}

fn trunc(count: i64, whole: &Str) -> Str {
    let length = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    let place = |at: i64| usize::try_from(at).unwrap_or(0);
    if count < 0 && length + count > 0 {
        return whole.slice(place(length + count)..whole.len());
    }
    if count >= 0 && length > count {
        return whole.slice(0..place(count));
    }
    whole.clone()
}

fn substring(start: i64, end: i64, whole: &Str) -> Result<Str, Error> {
    let length = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    let out_of_range =
        |range: String| Error::new(format!("runtime error: slice bounds out of range {range}"));
    let place = |at: i64| usize::try_from(at).unwrap_or(0);
    if start < 0 {
        return match end {
            ..0 => Err(out_of_range(format!("[:{end}]"))),
            _ if end > length => Err(out_of_range(format!("[:{end}] with length {length}"))),
            _ => Ok(whole.slice(0..place(end))),
        };
    }
    let end = if end < 0 || end > length { length } else { end };
    if start > end {
        return Err(out_of_range(format!("[{start}:{end}]")));
    }
    Ok(whole.slice(place(start)..place(end)))
}

/// At most `width` bytes with `...` where something was cut, `offset` being the left edge to show.
fn abbreviate(whole: &Str, offset: i64, width: i64) -> Str {
    let length = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    if width < 4 || length <= width {
        return whole.clone();
    }
    let kept = width - 3;
    let offset = offset.min(length);
    let offset = if length - offset < kept {
        length - kept
    } else {
        offset
    };
    let slice = |start: i64, end: i64| {
        let place = |at: i64| usize::try_from(at.max(0)).unwrap_or(0);
        whole.slice(place(start)..place(end))
    };
    if offset <= 4 {
        return [slice(0, kept).as_bytes(), b"..."].concat().into();
    }
    if width < 7 {
        return Str::default();
    }
    if offset + kept < length {
        // The inner call sees a text longer than its own width, with nothing to skip.
        let middle = abbreviate(&slice(offset, length), 0, kept);
        return [b"...", middle.as_bytes()].concat().into();
    }
    [b"...", slice(length - kept, length).as_bytes()]
        .concat()
        .into()
}

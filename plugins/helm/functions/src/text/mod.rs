//! Functions on text. Positions and lengths are bytes, as everywhere in Go.

mod cut;
mod words;
mod wrap;

use helm_template::{Error, Functions, Signature, Str, Type, Value};

use crate::args::{any, int, rest, text};
use crate::go::{
    check_bytes, is_space, next_rune, print, quote, runes, to_lower, to_text, to_title, to_upper,
};

const ONE: Signature = Signature::fixed(&[Type::Str]);
const TWO: Signature = Signature::fixed(&[Type::Str, Type::Str]);
const COUNTED: Signature = Signature::fixed(&[Type::Int, Type::Str]);
const MANY: Signature = Signature::variadic(&[Type::Any]);

/// Adds a function from one text to another.
fn mapped(functions: &mut Functions, name: &'static str, body: fn(&Str) -> Str) {
    functions.add(name, ONE, move |_, args| {
        Ok(Value::Str(body(text(args, 0)?)))
    });
}

pub(crate) fn register(functions: &mut Functions) {
    mapped(functions, "trim", trim_space);
    mapped(functions, "upper", |text| map_runes(text, to_upper));
    mapped(functions, "lower", |text| map_runes(text, to_lower));
    mapped(functions, "title", title);
    mapped(functions, "untitle", untitle);
    mapped(functions, "nospace", nospace);
    mapped(functions, "initials", initials);
    mapped(functions, "swapcase", swap_case);
    mapped(functions, "camelcase", |text| {
        words::pascal_case(text.as_bytes()).into()
    });
    mapped(functions, "snakecase", |text| {
        words::lower_case(text.as_bytes(), '_').into()
    });
    mapped(functions, "kebabcase", |text| {
        words::lower_case(text.as_bytes(), '-').into()
    });

    functions.add("hello", Signature::fixed(&[]), |_, _| Ok("Hello!".into()));
    functions.add("toString", Signature::fixed(&[Type::Any]), |_, args| {
        Ok(to_text(any(args, 0)?)?.into())
    });
    functions.add("contains", TWO, |_, args| {
        Ok(find(text(args, 1)?.as_bytes(), text(args, 0)?.as_bytes())
            .is_some()
            .into())
    });
    functions.add("hasPrefix", TWO, |_, args| {
        Ok(text(args, 1)?
            .as_bytes()
            .starts_with(text(args, 0)?.as_bytes())
            .into())
    });
    functions.add("hasSuffix", TWO, |_, args| {
        Ok(text(args, 1)?
            .as_bytes()
            .ends_with(text(args, 0)?.as_bytes())
            .into())
    });
    functions.add("trimAll", TWO, |_, args| {
        Ok(trim_set(text(args, 1)?, text(args, 0)?).into())
    });
    functions.alias("trimall", "trimAll");
    functions.add("trimPrefix", TWO, |_, args| {
        let (prefix, whole) = (text(args, 0)?, text(args, 1)?);
        let start = if whole.as_bytes().starts_with(prefix.as_bytes()) {
            prefix.len()
        } else {
            0
        };
        Ok(whole.slice(start..whole.len()).into())
    });
    functions.add("trimSuffix", TWO, |_, args| {
        let (suffix, whole) = (text(args, 0)?, text(args, 1)?);
        let cut = if whole.as_bytes().ends_with(suffix.as_bytes()) {
            suffix.len()
        } else {
            0
        };
        Ok(whole.slice(0..whole.len() - cut).into())
    });
    functions.add(
        "replace",
        Signature::fixed(&[Type::Str, Type::Str, Type::Str]),
        |_, args| {
            replace(
                text(args, 2)?,
                text(args, 0)?.as_bytes(),
                text(args, 1)?.as_bytes(),
            )
        },
    );
    functions.add("repeat", COUNTED, |_, args| {
        Ok(repeat(text(args, 1)?, int(args, 0)?)?.into())
    });
    functions.add("indent", COUNTED, |_, args| {
        Ok(indent(int(args, 0)?, text(args, 1)?, false)?.into())
    });
    functions.add("nindent", COUNTED, |_, args| {
        Ok(indent(int(args, 0)?, text(args, 1)?, true)?.into())
    });
    functions.add(
        "plural",
        Signature::fixed(&[Type::Str, Type::Str, Type::Int]),
        |_, args| {
            let chosen = if int(args, 2)? == 1 { 0 } else { 1 };
            Ok(text(args, chosen)?.clone().into())
        },
    );
    functions.add("quote", MANY, |_, args| {
        joined(args, |value| {
            Ok(quote(to_text(value)?.as_bytes()).into_bytes())
        })
    });
    functions.add("squote", MANY, |_, args| {
        joined(args, |value| {
            Ok([b"'", print(value)?.as_bytes(), b"'"].concat())
        })
    });
    functions.add("cat", MANY, |_, args| {
        joined(args, |value| Ok(print(value)?.as_bytes().to_vec()))
    });
    cut::register(functions);
    wrap::register(functions);
}

/// Every argument that is not nil, printed, one blank between two.
fn joined(
    args: &[Value],
    printed: impl Fn(&Value) -> Result<Vec<u8>, Error>,
) -> Result<Value, Error> {
    let parts = rest(args, 0)
        .iter()
        .filter(|value| !matches!(value, Value::Nil))
        .map(printed)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Str(parts.join(&b' ').into()))
}

/// First place of a needle, 0 for an empty one.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    if let (Ok(haystack), Ok(needle)) = (std::str::from_utf8(haystack), std::str::from_utf8(needle))
    {
        return haystack.find(needle);
    }
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// `strings.SplitN`: at most `limit` parts; an empty separator splits into runes.
pub(crate) fn split(whole: &Str, separator: &[u8], limit: Option<usize>) -> Vec<Str> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut start = 0;
    if limit == 0 {
        return parts;
    }
    let bytes = whole.as_bytes();
    if separator.is_empty() {
        while let Some((_, width)) = next_rune(bytes.get(start..).unwrap_or_default()) {
            if parts.len() + 1 == limit {
                parts.push(whole.slice(start..whole.len()));
                return parts;
            }
            parts.push(whole.slice(start..start + width));
            start += width;
        }
        return parts;
    }
    while parts.len() + 1 < limit {
        let Some(at) = find(bytes.get(start..).unwrap_or_default(), separator) else {
            break;
        };
        parts.push(whole.slice(start..start + at));
        start += at + separator.len();
    }
    parts.push(whole.slice(start..whole.len()));
    parts
}

/// The text without Unicode blanks at both ends.
fn trim_space(whole: &Str) -> Str {
    trim_runes(whole, is_space)
}

/// The text without runes of the set at both ends.
fn trim_set(whole: &Str, set: &Str) -> Str {
    let set: Vec<char> = runes(set.as_bytes()).collect();
    trim_runes(whole, |rune| set.contains(&rune))
}

fn trim_runes(whole: &Str, unwanted: impl Fn(char) -> bool) -> Str {
    let bytes = whole.as_bytes();
    let (mut at, mut start, mut end) = (0, None, 0);
    while let Some((rune, width)) = next_rune(bytes.get(at..).unwrap_or_default()) {
        at += width;
        if !unwanted(rune) {
            start.get_or_insert(at - width);
            end = at;
        }
    }
    whole.slice(start.unwrap_or(0)..end)
}

/// `strings.Map` over the runes; text that does not change is not copied.
fn map_runes(whole: &Str, map: fn(char) -> char) -> Str {
    if runes(whole.as_bytes()).all(|rune| map(rune) == rune) {
        return whole.clone();
    }
    runes(whole.as_bytes()).map(map).collect::<String>().into()
}

/// Go's deprecated `strings.Title`: every rune after a separator in title case.
fn title(whole: &Str) -> Str {
    let mut previous = ' ';
    let separator = |rune: char| match rune {
        '_' => false,
        _ if rune.is_ascii() => !rune.is_ascii_alphanumeric(),
        _ => !rune.is_alphanumeric() && is_space(rune),
    };
    let mapped = runes(whole.as_bytes()).map(|rune| {
        let mapped = if separator(previous) {
            to_title(rune)
        } else {
            rune
        };
        previous = rune;
        mapped
    });
    mapped.collect::<String>().into()
}

/// The first rune of every word in lower case.
fn untitle(whole: &Str) -> Str {
    let mut at_start = true;
    let mapped = runes(whole.as_bytes()).map(|rune| {
        if is_space(rune) {
            at_start = true;
            return rune;
        }
        if std::mem::take(&mut at_start) {
            to_lower(rune)
        } else {
            rune
        }
    });
    mapped.collect::<String>().into()
}

/// Turns cases around; a lower case letter at the start of a word gets title case.
fn swap_case(whole: &Str) -> Str {
    let mut after_blank = true;
    let is_title =
        |rune: char| to_title(rune) == rune && to_lower(rune) != rune && to_upper(rune) != rune;
    let mapped = runes(whole.as_bytes()).map(|rune| {
        if rune.is_uppercase() || is_title(rune) {
            after_blank = false;
            to_lower(rune)
        } else if rune.is_lowercase() {
            if std::mem::take(&mut after_blank) {
                to_title(rune)
            } else {
                to_upper(rune)
            }
        } else {
            after_blank = is_space(rune);
            rune
        }
    });
    mapped.collect::<String>().into()
}

/// Drops blanks. The library looks at bytes, and writes each as a rune once it has dropped one.
fn nospace(whole: &Str) -> Str {
    let blank = |b: &u8| is_space(char::from(*b));
    if !whole.as_bytes().iter().any(blank) {
        return whole.clone();
    }
    let kept = whole
        .as_bytes()
        .iter()
        .filter(|b| !blank(b))
        .map(|b| char::from(*b));
    kept.collect::<String>().into()
}

/// The first byte of every word, written as a rune.
fn initials(whole: &Str) -> Str {
    let mut at_start = true;
    let mut out = String::new();
    for byte in whole.as_bytes() {
        let rune = char::from(*byte);
        if is_space(rune) {
            at_start = true;
        } else if std::mem::take(&mut at_start) {
            out.push(rune);
        }
    }
    out.into()
}

fn replace(whole: &Str, old: &[u8], new: &[u8]) -> Result<Value, Error> {
    if old == new {
        return Ok(whole.clone().into());
    }
    let bytes = whole.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut start = 0;
    if old.is_empty() {
        while let Some((_, width)) = next_rune(bytes.get(start..).unwrap_or_default()) {
            out.extend_from_slice(new);
            out.extend_from_slice(bytes.get(start..start + width).unwrap_or_default());
            start += width;
            check_bytes("replace", out.len())?;
        }
        out.extend_from_slice(new);
        return Ok(Value::Str(out.into()));
    }
    while let Some(at) = find(bytes.get(start..).unwrap_or_default(), old) {
        out.extend_from_slice(bytes.get(start..start + at).unwrap_or_default());
        out.extend_from_slice(new);
        start += at + old.len();
        check_bytes("replace", out.len())?;
    }
    if start == 0 {
        return Ok(whole.clone().into());
    }
    out.extend_from_slice(bytes.get(start..).unwrap_or_default());
    Ok(Value::Str(out.into()))
}

fn repeat(whole: &Str, count: i64) -> Result<Str, Error> {
    let count = usize::try_from(count).map_err(|_| Error::new("strings: negative Repeat count"))?;
    check_bytes("repeat", whole.len().saturating_mul(count))?;
    if whole.is_empty() {
        return Ok(whole.clone());
    }
    Ok(whole.as_bytes().repeat(count).into())
}

fn indent(spaces: i64, whole: &Str, line_first: bool) -> Result<Str, Error> {
    let spaces =
        usize::try_from(spaces).map_err(|_| Error::new("strings: negative Repeat count"))?;
    let lines = whole.as_bytes().iter().filter(|b| **b == b'\n').count() + 1;
    let size = spaces.saturating_mul(lines).saturating_add(whole.len() + 1);
    check_bytes("indent", size)?;
    let pad = " ".repeat(spaces);
    if let Some(text) = whole.as_str() {
        let mut out = String::with_capacity(size);
        if line_first {
            out.push('\n');
        }
        for (line, number) in text.split('\n').zip(0..) {
            if number > 0 {
                out.push('\n');
            }
            out.push_str(&pad);
            out.push_str(line);
        }
        return Ok(out.into());
    }
    let mut out = Vec::with_capacity(size);
    if line_first {
        out.push(b'\n');
    }
    out.extend_from_slice(pad.as_bytes());
    for byte in whole.as_bytes() {
        out.push(*byte);
        if *byte == b'\n' {
            out.extend_from_slice(pad.as_bytes());
        }
    }
    Ok(out.into())
}

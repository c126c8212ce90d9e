//! Small pieces of Go's standard library that several families need.

use helm_template::{Error, Str, Value, fmt};

/// No function of a template may make more than this at once; in Go it would take the memory.
pub(crate) const MAX_RESULT_BYTES: usize = 32 << 20;

/// The same for lists, whose elements are larger than bytes.
pub(crate) const MAX_RESULT_ITEMS: usize = 1 << 20;

/// How deeply nested values may be that a function walks through; maps can hold themselves.
pub(crate) const MAX_DEPTH: usize = 1_000;

/// Go's message for a dereferenced nil, which sprig's reflection runs into.
pub(crate) const NIL_DEREFERENCE: &str =
    "runtime error: invalid memory address or nil pointer dereference";

/// Refuses results beyond [`MAX_RESULT_BYTES`].
pub(crate) fn check_bytes(function: &str, bytes: usize) -> Result<(), Error> {
    if bytes > MAX_RESULT_BYTES {
        return Err(Error::new(format!(
            "{function}: result of {bytes} bytes is too large"
        )));
    }
    Ok(())
}

/// Refuses lists beyond [`MAX_RESULT_ITEMS`].
pub(crate) fn check_items(function: &str, items: usize) -> Result<(), Error> {
    if items > MAX_RESULT_ITEMS {
        return Err(Error::new(format!(
            "{function}: result of {items} items is too large"
        )));
    }
    Ok(())
}

/// `strconv.Quote`.
pub(crate) fn quote(text: &[u8]) -> String {
    let plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'"' && *b != b'\\';
    if text.iter().all(plain) {
        return format!("\"{}\"", String::from_utf8_lossy(text));
    }
    fmt::sprintf(b"%q", &[Value::Str(Str::from(text))])
        .map_or_else(|error| error.to_string(), |quoted| quoted.to_string())
}

/// `%v`.
pub(crate) fn print(value: &Value) -> Result<Str, Error> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        Value::Int(number) | Value::Int64(number) => Ok(number.to_string().into()),
        Value::Bool(true) => Ok("true".into()),
        Value::Bool(false) => Ok("false".into()),
        other => fmt::sprintf(b"%v", std::slice::from_ref(other)),
    }
}

/// Sprig's `toString`: like `%v`, but bytes are text.
pub(crate) fn to_text(value: &Value) -> Result<Str, Error> {
    match value {
        Value::Bytes(bytes) => Ok(Str::from(bytes.as_ref())),
        Value::Object(object) => match object.text() {
            Some(text) => Ok(text),
            None => print(value),
        },
        other => print(other),
    }
}

/// `int64(f)` on amd64: what does not fit is the smallest number.
pub(crate) fn float_to_int(value: f64) -> i64 {
    // 2^63 is a float, 2^63 - 1 is not.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// Decodes the next rune: value and width; an invalid byte is U+FFFD of width 1.
pub(crate) fn next_rune(text: &[u8]) -> Option<(char, usize)> {
    let first = *text.first()?;
    if first < 0x80 {
        return Some((char::from(first), 1));
    }
    let width = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some((char::REPLACEMENT_CHARACTER, 1)),
    };
    let rune = text
        .get(..width)
        .and_then(|part| std::str::from_utf8(part).ok());
    match rune.and_then(|part| part.chars().next()) {
        Some(rune) => Some((rune, width)),
        None => Some((char::REPLACEMENT_CHARACTER, 1)),
    }
}

/// The runes of a text.
pub(crate) fn runes(mut text: &[u8]) -> impl Iterator<Item = char> {
    std::iter::from_fn(move || {
        let (rune, width) = next_rune(text)?;
        text = text.get(width..).unwrap_or_default();
        Some(rune)
    })
}

/// `unicode.IsSpace`.
pub(crate) fn is_space(rune: char) -> bool {
    matches!(
        rune,
        '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Go's one-rune `ToUpper`: a rune whose upper case is several runes stays.
pub(crate) fn to_upper(rune: char) -> char {
    single(rune, rune.to_uppercase())
}

/// Go's one-rune `ToLower`.
pub(crate) fn to_lower(rune: char) -> char {
    // The one rune whose full lower case has two runes and whose simple one is `i`.
    if rune == '\u{130}' {
        'i'
    } else {
        single(rune, rune.to_lowercase())
    }
}

/// Go's one-rune `ToTitle`: upper case, but for the four digraphs and Georgian.
pub(crate) fn to_title(rune: char) -> char {
    match rune {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => rune,
        _ => to_upper(rune),
    }
}

fn single(rune: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => rune,
    }
}

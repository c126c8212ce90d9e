//! Go string and character literals back to text.

use crate::text::Str;

/// Go's `strconv.Unquote` for a literal with its quotes; `None` is Go's `invalid syntax`.
#[must_use]
pub fn unquote(literal: &str) -> Option<Str> {
    let mut chars = literal.chars();
    let mark = chars.next()?;
    let body = chars.as_str();
    if mark == '`' {
        let body = body.strip_suffix('`')?;
        return (!body.contains('`')).then(|| {
            if body.contains('\r') {
                Str::from(body.replace('\r', ""))
            } else {
                Str::from(body)
            }
        });
    }
    if mark != '"' && mark != '\'' {
        return None;
    }
    if !body.contains(['\\', '\n']) && mark == '"' {
        let text = body.strip_suffix('"')?;
        return (!text.contains('"')).then(|| Str::from(text));
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.starts_with(mark) {
        if rest.starts_with('\n') {
            return None;
        }
        let (unit, after) = unquote_char(rest, mark)?;
        rest = after;
        match unit {
            Unit::Byte(byte) => out.push(byte),
            Unit::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        if mark == '\'' {
            break;
        }
    }
    (rest.len() == mark.len_utf8() && rest.starts_with(mark)).then(|| Str::from(out))
}

/// One character of a literal: most are characters, `\x..` and octal escapes are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A byte of its own.
    Byte(u8),
    /// A character.
    Char(char),
}

impl Unit {
    /// The number of the character.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Byte(byte) => u32::from(byte),
            Self::Char(c) => u32::from(c),
        }
    }
}

/// Go's `strconv.UnquoteChar`: the first character of the inside of a literal, and what follows it.
#[must_use]
pub fn unquote_char(text: &str, mark: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let c = chars.next()?;
    if c == mark {
        return None;
    }
    if c != '\\' {
        return Some((Unit::Char(c), chars.as_str()));
    }
    let escape = chars.next()?;
    let rest = chars.as_str();
    let simple = |c| Some((Unit::Char(c), rest));
    match escape {
        'a' => simple('\u{7}'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\u{b}'),
        '\\' => simple('\\'),
        '\'' | '"' if escape == mark => simple(escape),
        'x' => {
            let (number, rest) = digits(rest, 2, 16)?;
            Some((Unit::Byte(u8::try_from(number).ok()?), rest))
        }
        'u' | 'U' => {
            let (number, rest) = digits(rest, if escape == 'u' { 4 } else { 8 }, 16)?;
            Some((Unit::Char(char::from_u32(number)?), rest))
        }
        '0'..='7' => {
            let (number, rest) = digits(text.get(1..)?, 3, 8)?;
            Some((Unit::Byte(u8::try_from(number).ok()?), rest))
        }
        _ => None,
    }
}

fn digits(text: &str, count: usize, radix: u32) -> Option<(u32, &str)> {
    let digits = text.get(..count)?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = u32::from_str_radix(digits, radix).ok()?;
    Some((number, text.get(count..)?))
}

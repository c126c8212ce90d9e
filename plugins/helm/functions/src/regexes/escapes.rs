//! What an escape stands for, in and out of classes.

use regex::Regex;

use super::syntax::{BAD_ESCAPE, BAD_RANGE, Refusal, before, first};

pub(super) fn class_rune<'p>(text: &'p str, class: &'p str) -> Result<(u32, &'p str), Refusal<'p>> {
    match first(text) {
        None => Err(("missing closing ]", class)),
        Some(('\\', _)) => escaped(text),
        Some((rune, rest)) => Ok((u32::from(rune), rest)),
    }
}

/// `\pL`, `\p{Greek}`, `\p{^Greek}`.
pub(super) fn unicode_class(text: &str) -> Result<(String, &str), Refusal<'_>> {
    let tail = text.get(2..).unwrap_or("");
    let (name, rest) = match tail.strip_prefix('{') {
        Some(inner) => inner.split_once('}').ok_or((BAD_RANGE, text))?,
        None => {
            let rest = first(tail).map_or("", |(_, rest)| rest);
            (before(tail, rest), rest)
        }
    };
    let bare = name.strip_prefix('^').unwrap_or(name);
    let negative = text.starts_with("\\P") != (bare.len() != name.len());
    let class = format!("\\{}{{{bare}}}", if negative { 'P' } else { 'p' });
    let known = bare.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if bare.is_empty() || !known || Regex::new(&class).is_err() {
        return Err((BAD_RANGE, before(text, rest)));
    }
    Ok((class, rest))
}

/// The rune an escape stands for.
pub(super) fn escaped(text: &str) -> Result<(u32, &str), Refusal<'_>> {
    let tail = text.get(1..).unwrap_or("");
    let Some((letter, rest)) = first(tail) else {
        return Err(("trailing backslash at end of expression", ""));
    };
    let octal = |text: &str| text.starts_with(|c: char| matches!(c, '0'..='7'));
    Ok(match letter {
        'a' => (7, rest),
        'f' => (12, rest),
        'n' => (10, rest),
        'r' => (13, rest),
        't' => (9, rest),
        'v' => (11, rest),
        '0'..='7' if letter == '0' || octal(rest) => {
            let more = rest
                .chars()
                .take(2)
                .take_while(|c| matches!(c, '0'..='7'))
                .count();
            let (digits, rest) = rest.split_at(more);
            let code = letter.to_digit(8).unwrap_or(0);
            let digits = digits.chars().filter_map(|c| c.to_digit(8));
            (digits.fold(code, |code, digit| code * 8 + digit), rest)
        }
        'x' => return hexadecimal(text, rest),
        _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => (u32::from(letter), rest),
        _ => return Err((BAD_ESCAPE, before(text, rest))),
    })
}

pub(super) fn hexadecimal<'p>(text: &'p str, tail: &'p str) -> Result<(u32, &'p str), Refusal<'p>> {
    let mut rest = tail;
    let mut next = || {
        let (rune, after) = first(rest)?;
        rest = after;
        Some(rune)
    };
    let mut code = None;
    let mut done = false;
    match next() {
        Some('{') => {
            while let Some(rune) = next() {
                if rune == '}' {
                    done = true;
                    break;
                }
                let Some(digit) = rune.to_digit(16) else {
                    break;
                };
                let value = code.unwrap_or(0u32) * 16 + digit;
                if value > 0x10_ffff {
                    break;
                }
                code = Some(value);
            }
        }
        Some(high) => {
            // Go reads the second rune before it looks at either.
            let low = next().and_then(|rune| rune.to_digit(16));
            code = high
                .to_digit(16)
                .zip(low)
                .map(|(high, low)| high * 16 + low);
            done = true;
        }
        None => {}
    }
    match code {
        Some(code) if done => Ok((code, rest)),
        _ => Err((BAD_ESCAPE, before(text, rest))),
    }
}

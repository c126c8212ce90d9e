//! Small pieces of a date: digits, names, fractions, offsets.

use super::layout::{Offset, OffsetParts};
use super::parse::{Bad, Step};

pub(super) fn is_digit(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(u8::is_ascii_digit)
}

pub(super) fn split(text: &[u8], at: usize) -> Step<'_, &[u8]> {
    text.split_at_checked(at).ok_or(Bad::Text)
}

pub(super) fn digits(text: &[u8]) -> i64 {
    text.iter()
        .fold(0, |value, b| value * 10 + i64::from(b.wrapping_sub(b'0')))
}

/// One or two digits; two when `fixed`.
pub(super) fn two_digits(text: &[u8], fixed: bool) -> Step<'_, i64> {
    if !is_digit(text, 0) || (fixed && !is_digit(text, 1)) {
        return Err(Bad::Text);
    }
    let (taken, rest) = split(text, if is_digit(text, 1) { 2 } else { 1 })?;
    Ok((digits(taken), rest))
}

pub(super) fn three_digits(text: &[u8], fixed: bool) -> Step<'_, i64> {
    let count = text
        .iter()
        .take(3)
        .take_while(|b| b.is_ascii_digit())
        .count();
    if count == 0 || (fixed && count != 3) {
        return Err(Bad::Text);
    }
    let (taken, rest) = split(text, count)?;
    Ok((digits(taken), rest))
}

/// Digits with an optional sign, all of them.
pub(super) fn signed(text: &[u8]) -> Result<i64, Bad> {
    let (negative, number) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if number.len() > 18 || !number.iter().all(u8::is_ascii_digit) {
        return Err(Bad::Text);
    }
    let value = digits(number);
    Ok(if negative { -value } else { value })
}

/// Finds a name, ASCII case aside.
pub(super) fn lookup<'v>(names: &[&str], limit: usize, text: &'v [u8]) -> Step<'v, i64> {
    for (name, index) in names.iter().zip(0..) {
        let name = name.as_bytes();
        let name = name.get(..limit).unwrap_or(name);
        if let Some((head, rest)) = text.split_at_checked(name.len())
            && head.eq_ignore_ascii_case(name)
        {
            return Ok((index, rest));
        }
    }
    Err(Bad::Text)
}

/// Skips literal text; a blank stands for any number of blanks. The error is what was left.
pub(super) fn skip<'v>(mut value: &'v [u8], mut prefix: &[u8]) -> Result<&'v [u8], &'v [u8]> {
    while let Some((first, rest)) = prefix.split_first() {
        if *first == b' ' {
            if value.first().is_some_and(|b| *b != b' ') {
                return Err(value);
            }
            prefix = trim_blanks(prefix);
            value = trim_blanks(value);
            continue;
        }
        match value.split_first() {
            Some((head, tail)) if head == first => value = tail,
            _ => return Err(value),
        }
        prefix = rest;
    }
    Ok(value)
}

pub(super) fn trim_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| **b == b' ').count();
    text.get(blanks..).unwrap_or_default()
}

/// Separator and digits to nanoseconds; digits beyond nine do not count.
pub(super) fn nanoseconds(text: &[u8]) -> Result<u32, Bad> {
    if !matches!(text.first(), Some(b'.' | b',')) {
        return Err(Bad::Text);
    }
    let number = text.get(1..text.len().min(10)).unwrap_or_default();
    let value = signed(number)?;
    if value < 0 {
        return Err(Bad::Range("fractional second"));
    }
    let missing = u32::try_from(9usize.saturating_sub(number.len())).unwrap_or(0);
    u32::try_from(value * 10i64.pow(missing)).map_err(|_| Bad::Text)
}

/// Length of a zone abbreviation at the start of the text.
pub(super) fn zone_length(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(tail) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_offset(tail));
    }
    if matches!(text.first(), Some(b'+' | b'-')) {
        return Some(signed_offset(text)).filter(|length| *length > 0);
    }
    let upper = text
        .iter()
        .take(6)
        .take_while(|b| b.is_ascii_uppercase())
        .count();
    let ends_in_t = |at: usize| text.get(at) == Some(&b'T');
    match upper {
        5 if ends_in_t(4) => Some(5),
        4 if ends_in_t(3) || text.starts_with(b"WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// Length of `+N` or `-N` with N up to 23, 0 when there is none.
pub(super) fn signed_offset(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'+' | b'-')) {
        return 0;
    }
    let number = text.get(1..).unwrap_or_default();
    let count = number.iter().take_while(|b| b.is_ascii_digit()).count();
    let value = number.iter().take(count).fold(0u64, |value, b| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(b.wrapping_sub(b'0')))
    });
    if count == 0 || value > 23 {
        0
    } else {
        1 + count
    }
}

pub(super) fn numeric_offset(kind: Offset, text: &[u8]) -> Step<'_, i32> {
    let length = match (kind.parts, kind.colons) {
        (OffsetParts::Hours, _) => 3,
        (OffsetParts::Minutes, false) => 5,
        (OffsetParts::Minutes, true) => 6,
        (OffsetParts::Seconds, false) => 7,
        (OffsetParts::Seconds, true) => 9,
    };
    let (taken, rest) = split(text, length)?;
    let gap = usize::from(kind.colons);
    if kind.colons {
        let colon = |at: usize| taken.get(at) == Some(&b':');
        if !colon(3) || (kind.parts == OffsetParts::Seconds && !colon(6)) {
            return Err(Bad::Text);
        }
    }
    let part = |at: usize| two_digits(taken.get(at..at + 2).unwrap_or_default(), true);
    let hours = part(1)?.0;
    let minutes = if kind.parts == OffsetParts::Hours {
        0
    } else {
        part(3 + gap)?.0
    };
    let seconds = if kind.parts == OffsetParts::Seconds {
        part(5 + 2 * gap)?.0
    } else {
        0
    };
    // Go admits 24 hours and 60 minutes, as some people write them.
    for (value, limit, name) in [
        (hours, 24, "time zone offset hour"),
        (minutes, 60, "time zone offset minute"),
        (seconds, 60, "time zone offset second"),
    ] {
        if value > limit {
            return Err(Bad::Range(name));
        }
    }
    let offset = i32::try_from((hours * 60 + minutes) * 60 + seconds).map_err(|_| Bad::Text)?;
    match taken.first() {
        Some(b'+') => Ok((offset, rest)),
        Some(b'-') => Ok((-offset, rest)),
        _ => Err(Bad::Text),
    }
}

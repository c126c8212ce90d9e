//! Durations: nanoseconds in 64 bits, read from `1h2m3.5s`; printing is the template crate's.

use super::parse::quote;

/// One second in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// Longest fraction that still counts; more digits are skipped.
const FRACTION_LIMIT: u64 = (1 << 63) - 1;

fn unit_nanos(unit: &[u8]) -> Option<u64> {
    Some(match unit {
        b"ns" => 1,
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Leading digits as a number, or `None` beyond 2^63.
fn leading_int(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let mut value = 0u64;
    for digit in digits {
        if value > (1 << 63) / 10 {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
        if value > 1 << 63 {
            return None;
        }
    }
    Some((value, rest))
}

fn leading_fraction(text: &[u8]) -> (u64, f64, &[u8]) {
    let end = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let (mut value, mut scale) = (0u64, 1f64);
    for digit in digits {
        if value > FRACTION_LIMIT / 10 {
            break;
        }
        let next = value * 10 + u64::from(digit - b'0');
        if next > 1 << 63 {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    (value, scale, rest)
}

/// Reads a Go duration such as `-1h15m0.5s`; bytes, as a template's text need not be UTF-8.
///
/// # Errors
/// `time: invalid duration "…"`, `missing unit`, `unknown unit`.
pub fn parse(text: &[u8]) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u64;
    while let Some(first) = rest.first() {
        if *first != b'.' && !first.is_ascii_digit() {
            return Err(invalid());
        }
        let before = rest.len();
        let (whole, tail) = leading_int(rest).ok_or_else(invalid)?;
        rest = tail;
        let has_whole = before != rest.len();
        let (mut fraction, mut scale, mut has_fraction) = (0, 1.0, false);
        if let Some((b'.', tail)) = rest.split_first() {
            let before = tail.len();
            (fraction, scale, rest) = leading_fraction(tail);
            has_fraction = before != rest.len();
        }
        if !has_whole && !has_fraction {
            return Err(invalid());
        }
        let end = rest
            .iter()
            .position(|b| *b == b'.' || b.is_ascii_digit())
            .unwrap_or(rest.len());
        let (unit, tail) = rest.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        rest = tail;
        let Some(nanos) = unit_nanos(unit) else {
            return Err(format!(
                "time: unknown unit {} in duration {}",
                quote(unit),
                quote(text)
            ));
        };
        if whole > (1 << 63) / nanos {
            return Err(invalid());
        }
        let mut part = whole * nanos;
        if fraction > 0 {
            // Below one unit, so far inside 64 bits.
            part = part.saturating_add((fraction as f64 * (nanos as f64 / scale)) as u64);
            if part > 1 << 63 {
                return Err(invalid());
            }
        }
        total = total.saturating_add(part);
        if total > 1 << 63 {
            return Err(invalid());
        }
    }
    if negative {
        return Ok(0i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// The largest whole unit above which a duration lies: `3d`, `2mo`, `0s`.
pub fn largest_unit(nanos: i64) -> String {
    const HOUR: u64 = 3_600_000_000_000;
    const UNITS: [(u64, &str); 6] = [
        (HOUR * 24 * 365, "y"),
        (HOUR * 24 * 30, "mo"),
        (HOUR * 24, "d"),
        (HOUR, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
    ];
    let value = nanos.unsigned_abs();
    UNITS.iter().find(|(unit, _)| value > *unit).map_or_else(
        || "0s".to_owned(),
        |(unit, name)| format!("{}{name}", value / unit),
    )
}

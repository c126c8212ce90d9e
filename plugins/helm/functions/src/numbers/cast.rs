//! Any value to a number, as the cast library does: 0 for whatever is not one.

use helm_template::Value;

use crate::go::float_to_int;

/// To an integer; texts may have a base prefix (`0x`, `0b`, `0o`, `0`) and underscores.
pub(crate) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Int32(number) => i64::from(*number),
        Value::Uint8(number) => i64::from(*number),
        Value::Uint32(number) => i64::from(*number),
        Value::Uint64(number) => i64::from_ne_bytes(number.to_ne_bytes()),
        Value::Float(number) => float_to_int(*number),
        Value::Bool(value) => i64::from(*value),
        Value::Str(text) => checked_int(trim_zero_decimal(text.as_bytes())).unwrap_or(0),
        Value::Object(object) => object.number().unwrap_or(0),
        Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Duration(_) => 0,
    }
}

/// To a float; texts as Go's `ParseFloat`.
pub(crate) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::Str(text) => parse_float(text.as_str().unwrap_or("")).unwrap_or(0.0),
        Value::Uint64(number) => *number as f64,
        other => to_int(other) as f64,
    }
}

/// Cuts `.0`, `.00` and so on.
fn trim_zero_decimal(text: &[u8]) -> &[u8] {
    let zeros = text.iter().rev().take_while(|b| **b == b'0').count();
    match text.split_at(text.len() - zeros) {
        ([whole @ .., b'.'], zeros) if !zeros.is_empty() => whole,
        _ => text,
    }
}

/// Sign, base and digits of a text whose base is in its prefix.
fn checked_int(text: &[u8]) -> Option<i64> {
    let (negative, number) = sign(text);
    let lower = |at: usize| number.get(at).map(u8::to_ascii_lowercase);
    let (base, digits) = match (lower(0), lower(1)) {
        (Some(b'0'), Some(b'x')) => (16, number.get(2..)?),
        (Some(b'0'), Some(b'b')) => (2, number.get(2..)?),
        (Some(b'0'), Some(b'o')) => (8, number.get(2..)?),
        (Some(b'0'), Some(_)) => (8, number.get(1..)?),
        _ => (10, number),
    };
    if digits.contains(&b'_') && !underscores_fit(digits, number.len() > digits.len()) {
        return None;
    }
    let digits: Vec<u8> = digits.iter().copied().filter(|b| *b != b'_').collect();
    exact(negative, &digits, base)
}

/// Each underscore stands between two digits, or between the prefix and a digit.
fn underscores_fit(digits: &[u8], prefixed: bool) -> bool {
    let mut after_digit = prefixed;
    for byte in digits {
        if *byte == b'_' && !after_digit {
            return false;
        }
        after_digit = *byte != b'_';
    }
    after_digit
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

fn exact(negative: bool, digits: &[u8], base: u32) -> Option<i64> {
    let digits = std::str::from_utf8(digits).ok()?;
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, base).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

/// `strconv.ParseInt` whose error was thrown away: 0 for no number, the end of the range beyond it.
pub(crate) fn parse_int(text: &[u8], base: u32) -> i64 {
    let (negative, digits) = sign(text);
    let valid = !digits.is_empty() && digits.iter().all(|b| char::from(*b).is_digit(base));
    match exact(negative, digits, base) {
        Some(value) => value,
        None if !valid => 0,
        None if negative => i64::MIN,
        None => i64::MAX,
    }
}

/// `strconv.ParseFloat`; `None` for no number and for numbers out of range.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned
        .get(..2)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"))
    {
        return hexadecimal(text.starts_with('-'), unsigned.get(2..)?);
    }
    if text.contains('_') {
        let digits = unsigned.split(['.', 'e', 'E', '+', '-']);
        let fit = digits
            .into_iter()
            .all(|part| !part.contains('_') || underscores_fit(part.as_bytes(), false));
        return if fit {
            parse_float(&text.replace('_', ""))
        } else {
            None
        };
    }
    let value: f64 = text.parse().ok()?;
    let spelled = unsigned.starts_with(|c: char| c.is_ascii_alphabetic());
    (value.is_finite() || spelled).then_some(value)
}

/// `0x1.8p3`: the exponent is required, underscores may stand between digits.
fn hexadecimal(negative: bool, text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    if !underscores_fit(mantissa.replace('.', "").as_bytes(), true) {
        return None;
    }
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mantissa = mantissa.replace('_', "");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0');
    // Thirteen digits are exact; what is beyond only decides ties, which texts do not reach.
    let kept = significant.get(..significant.len().min(15))?;
    let dropped = i64::try_from(significant.len() - kept.len()).ok()?;
    let bits = if kept.is_empty() {
        0
    } else {
        u64::from_str_radix(kept, 16).ok()?
    };
    let shift = exponent.parse::<i64>().ok()?.clamp(-100_000, 100_000)
        + 4 * (dropped - i64::try_from(fraction.len()).ok()?);
    let value = super::scale(bits as f64, shift);
    value
        .is_finite()
        .then_some(if negative { -value } else { value })
}

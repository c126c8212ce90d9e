//! Numbers from text by Go's rules.

/// Why a text is not the number asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a number of this form at all.
    #[error("invalid syntax")]
    Syntax,
    /// A number, but too large for the type.
    #[error("value out of range")]
    Range,
}

/// Go's `strconv.ParseUint` for 64 bits. Base 0 reads `0x`, `0o`, `0b`, a leading `0` (octal) and `_`.
///
/// # Errors
/// As Go: syntax or range.
pub fn parse_uint(text: &str, base: u32) -> Result<u64, NumberError> {
    let mut digits = text;
    let mut radix = base;
    if base == 0 {
        radix = 10;
        if let Some(rest) = text.strip_prefix('0') {
            let (prefixed, other) = match rest.as_bytes().first().map(u8::to_ascii_lowercase) {
                Some(b'b') if text.len() >= 3 => (2, rest.get(1..)),
                Some(b'o') if text.len() >= 3 => (8, rest.get(1..)),
                Some(b'x') if text.len() >= 3 => (16, rest.get(1..)),
                _ => (8, Some(rest)),
            };
            radix = prefixed;
            digits = other.unwrap_or_default();
            if rest.is_empty() {
                return Ok(0);
            }
        }
    }
    if digits.is_empty() || !(2..=36).contains(&radix) {
        return Err(NumberError::Syntax);
    }
    let mut value = Some(0_u64);
    let mut underscores = false;
    for c in digits.chars() {
        if c == '_' && base == 0 {
            underscores = true;
            continue;
        }
        let digit = c.to_digit(radix).ok_or(NumberError::Syntax)?;
        value = value
            .and_then(|value| value.checked_mul(u64::from(radix)))
            .and_then(|value| value.checked_add(u64::from(digit)));
    }
    if underscores && !underscores_separate_digits(text) {
        return Err(NumberError::Syntax);
    }
    value.ok_or(NumberError::Range)
}

/// Go's `strconv.ParseInt` for 64 bits; bases as in [`parse_uint`].
///
/// # Errors
/// As Go: syntax or range.
pub fn parse_int(text: &str, base: u32) -> Result<i64, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Syntax);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let size = parse_uint(digits, base)?;
    if negative {
        0_i64.checked_sub_unsigned(size)
    } else {
        i64::try_from(size).ok()
    }
    .ok_or(NumberError::Range)
}

/// Go's `strconv.ParseFloat` for 64 bits: decimal, hexadecimal (`0x1p-2`), `inf`, `nan`.
///
/// # Errors
/// As Go: syntax or range.
pub fn parse_float(text: &str) -> Result<f64, NumberError> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let signed = |value: f64| if negative { -value } else { value };
    let lower = body.to_ascii_lowercase();
    if matches!(lower.as_str(), "inf" | "infinity") {
        return Ok(signed(f64::INFINITY));
    }
    if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::NAN);
    }
    let hex = lower.strip_prefix("0x");
    let digits = hex.unwrap_or(&lower);
    let mark = if hex.is_some() { 'p' } else { 'e' };
    let (mantissa, exponent) = match digits.split_once(mark) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let radix = if hex.is_some() { 16 } else { 10 };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str, radix| text.chars().all(|c| c == '_' || c.is_digit(radix));
    let has_digit = |text: &str| text.chars().any(|c| c != '_');
    if !is_digits(whole, radix)
        || !is_digits(fraction, radix)
        || !(has_digit(whole) || has_digit(fraction))
        || (hex.is_some() && exponent.is_none())
    {
        return Err(NumberError::Syntax);
    }
    let power = exponent.map(parse_exponent).transpose()?.unwrap_or(0);
    if lower.contains('_') && !underscores_separate_digits(body) {
        return Err(NumberError::Syntax);
    }
    let value = if hex.is_some() {
        hex_float(whole, fraction, power)
    } else {
        let plain: String = lower.chars().filter(|c| *c != '_').collect();
        plain.parse().map_err(|_| NumberError::Syntax)?
    };
    if value.is_infinite() {
        return Err(NumberError::Range);
    }
    Ok(signed(value))
}

/// Huge exponents need not be exact: they are infinity or zero anyway.
fn parse_exponent(text: &str) -> Result<i32, NumberError> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit())
        || !digits.chars().all(|c| c == '_' || c.is_ascii_digit())
    {
        return Err(NumberError::Syntax);
    }
    let mut power = 0_i32;
    for digit in digits.chars().filter_map(|c| c.to_digit(10)) {
        if power < 10_000 {
            power = power * 10 + i32::try_from(digit).unwrap_or(0);
        }
    }
    Ok(sign * power)
}

/// The value of hexadecimal digits times a power of two, rounded to the nearest, ties to even.
fn hex_float(whole: &str, fraction: &str, power: i32) -> f64 {
    let mut mantissa = 0_u64;
    let mut exponent = i64::from(power);
    let mut sticky = false;
    let digits = |text: &str| {
        text.chars()
            .filter_map(|c| c.to_digit(16))
            .collect::<Vec<_>>()
    };
    let whole = digits(whole);
    let fraction = digits(fraction);
    exponent -= 4 * i64::try_from(fraction.len()).unwrap_or(i64::MAX / 8);
    for digit in whole.into_iter().chain(fraction) {
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
        } else {
            exponent += 4;
            sticky |= digit != 0;
        }
    }
    if mantissa == 0 {
        return 0.0;
    }
    let shift = i64::from(mantissa.leading_zeros());
    mantissa <<= shift;
    exponent -= shift;
    // The value is mantissa * 2^exponent with the top bit of 64 set; keep 53 bits, fewer for subnormals.
    let highest = exponent + 63;
    let kept = if highest < -1022 {
        53 - (-1022 - highest)
    } else {
        53
    };
    if kept < 0 {
        return 0.0;
    }
    let dropped = 64 - kept;
    let (mut top, rest) = if dropped >= 64 {
        (0, mantissa)
    } else {
        (mantissa >> dropped, mantissa << (64 - dropped))
    };
    let half = 1_u64 << 63;
    if rest > half || (rest == half && (sticky || top & 1 == 1)) {
        top += 1;
    }
    #[allow(
        clippy::cast_precision_loss,
        reason = "at most 54 bits, the lowest of them zero if there are 54"
    )]
    let top = top as f64;
    let scale = exponent + dropped;
    if scale > 1023 {
        return f64::INFINITY;
    }
    // Two steps, as 2^scale alone may be below the smallest number.
    let first = i32::try_from(scale / 2).unwrap_or(0);
    let second = i32::try_from(scale - scale / 2).unwrap_or(0);
    top * 2_f64.powi(first) * 2_f64.powi(second)
}

/// Go allows `_` only between digits, or between a base prefix and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let text = text
        .strip_prefix(['-', '+'])
        .unwrap_or(text)
        .to_ascii_lowercase();
    let prefixed = ["0b", "0o", "0x"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix));
    let hex = text.starts_with("0x");
    let mut last = if prefixed.is_some() { '0' } else { '^' };
    for c in prefixed.unwrap_or(&text).chars() {
        let is_digit = c.is_ascii_digit() || (hex && c.is_ascii_hexdigit());
        match (is_digit, c, last) {
            (true, _, _) => last = '0',
            (false, '_', '0') => last = '_',
            (false, '_', _) | (false, _, '_') => return false,
            _ => last = '!',
        }
    }
    last != '_'
}

//! Floating-point numbers as text by Go's rules.

/// No float64 has more decimal digits than this behind the point, so the rest are zeros.
const MAX_EXACT_DIGITS: usize = 1100;

/// Go's `strconv.FormatFloat` for 64 bits: `verb` is one of `bgGeEfFxX`, `precision` `None` asks for
/// the fewest digits that read back as the same number.
#[must_use]
pub fn format_float(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match verb {
        'e' | 'E' => scientific(value, verb, precision),
        'f' | 'F' => fixed(value, precision),
        'b' => binary(value),
        'x' | 'X' => hexadecimal(value, verb, precision),
        _ => general(value, verb, precision),
    }
}

fn sign(value: f64) -> &'static str {
    if value.is_sign_negative() { "-" } else { "" }
}

/// Decimal digits without point, and the exponent of the first; `digits` 0 means shortest.
fn decimal(value: f64, digits: usize) -> (String, i32) {
    let size = value.abs();
    let text = if digits == 0 {
        shortest(size)
    } else {
        format!("{size:.*e}", (digits - 1).min(MAX_EXACT_DIGITS))
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.replace('.', "");
    (mantissa, exponent.parse().unwrap_or(0))
}

/// The fewest digits that read back as the same number. Of two that are equally near, Go takes the
/// even one, which is what rounding to that many digits gives.
fn shortest(size: f64) -> String {
    let text = format!("{size:e}");
    let digits = text.find('e').map_or(0, |end| end.saturating_sub(1));
    if digits < 15 {
        return text; // too few for two to be equally near
    }
    let rounded = format!("{size:.*e}", digits - 1);
    if rounded.parse() == Ok(size) {
        rounded
    } else {
        text
    }
}

fn scientific(value: f64, verb: char, precision: Option<usize>) -> String {
    let (digits, exponent) = decimal(value, precision.map_or(0, |precision| precision + 1));
    let wanted = precision.map_or(digits.len(), |precision| precision + 1);
    write_scientific(value, verb, &digits, exponent, wanted)
}

fn write_scientific(value: f64, verb: char, digits: &str, exponent: i32, wanted: usize) -> String {
    let mut out = String::with_capacity(wanted + 8);
    out.push_str(sign(value));
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    out.push_str(first);
    if wanted > 1 {
        out.push('.');
        out.push_str(rest);
        out.extend(std::iter::repeat_n(
            '0',
            (wanted - 1).saturating_sub(rest.len()),
        ));
    }
    out.push(verb);
    out.push(if exponent < 0 { '-' } else { '+' });
    out.push_str(&format!("{:02}", exponent.unsigned_abs()));
    out
}

fn fixed(value: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else {
        let (digits, exponent) = decimal(value, 0);
        return write_fixed(value, &digits, exponent);
    };
    let exact = precision.min(MAX_EXACT_DIGITS);
    let mut out = format!("{}{:.*}", sign(value), exact, value.abs());
    out.extend(std::iter::repeat_n('0', precision - exact));
    out
}

/// The digits with their point put where the exponent says.
fn write_fixed(value: f64, digits: &str, exponent: i32) -> String {
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let mut out = String::from(sign(value));
    let mut fraction = String::new();
    if exponent < 0 {
        out.push('0');
        fraction.extend(std::iter::repeat_n(
            '0',
            exponent.unsigned_abs() as usize - 1,
        ));
        fraction.push_str(digits);
    } else {
        let whole = exponent.unsigned_abs() as usize + 1;
        let (head, tail) = digits.split_at_checked(whole).unwrap_or((digits, ""));
        out.push_str(head);
        out.extend(std::iter::repeat_n('0', whole - head.len()));
        fraction.push_str(tail);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(&fraction);
    }
    out
}

fn general(value: f64, verb: char, precision: Option<usize>) -> String {
    let wanted = precision.map_or(0, |precision| precision.max(1));
    let (digits, exponent) = decimal(value, wanted);
    let significant = digits.trim_end_matches('0').len().max(1);
    let digits = digits.get(..significant).unwrap_or(&digits);
    let exceeds = |limit: usize| usize::try_from(exponent).is_ok_and(|exponent| exponent >= limit);
    let threshold = match precision {
        None => 6,
        Some(_) if wanted > significant && !exceeds(significant) => significant,
        Some(_) => wanted,
    };
    if exponent < -4 || exceeds(threshold) {
        let letter = if verb == 'G' { 'E' } else { 'e' };
        return write_scientific(value, letter, digits, exponent, digits.len());
    }
    write_fixed(value, digits, exponent)
}

/// The 53 bits of the mantissa and the power of two of the lowest of them.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let biased = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    if biased == 0 {
        (fraction, -1074)
    } else {
        (fraction | 1 << 52, biased - 1075)
    }
}

fn binary(value: f64) -> String {
    let (mantissa, exponent) = parts(value);
    format!("{}{mantissa}p{exponent:+}", sign(value))
}

fn hexadecimal(value: f64, verb: char, precision: Option<usize>) -> String {
    let (mut mantissa, mut exponent) = parts(value);
    exponent += 52;
    if mantissa == 0 {
        exponent = 0;
    }
    // The leading 1, if any, goes to bit 60: fifteen hexadecimal digits follow it.
    const TOP: u64 = 1 << 60;
    mantissa <<= 8;
    while mantissa != 0 && mantissa & TOP == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(precision) = precision.filter(|precision| *precision < 15) {
        let shift = precision * 4;
        let extra = mantissa << shift & (TOP - 1);
        mantissa >>= 60 - shift;
        if extra | (mantissa & 1) > 1 << 59 {
            mantissa += 1;
        }
        mantissa <<= 60 - shift;
        if mantissa & TOP << 1 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let mut digits = format!("{:015x}", mantissa & (TOP - 1));
    match precision {
        None => digits.truncate(digits.trim_end_matches('0').len()),
        Some(precision) => {
            let missing = precision.saturating_sub(digits.len());
            digits.truncate(precision);
            digits.extend(std::iter::repeat_n('0', missing));
        }
    }
    let point = if digits.is_empty() { "" } else { "." };
    let minus = if exponent < 0 { '-' } else { '+' };
    let size = exponent.unsigned_abs();
    let out = format!("0x{}{point}{digits}p{minus}{size:02}", mantissa >> 60);
    let out = if verb == 'X' {
        out.to_ascii_uppercase()
    } else {
        out
    };
    format!("{}{out}", sign(value))
}

//! What a plain scalar means: YAML 1.1 as go-yaml reads it.

use crate::error::Problem;
use crate::scan::Step;
use crate::timestamp::is_timestamp;

const CORE: &str = "tag:yaml.org,2002:";

/// The meaning of a scalar. Text carries nothing: it is the scalar itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meaning {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    Uint(u64),
    Float(f64),
    Timestamp,
    Text,
    /// Tagged as something this library leaves alone.
    Opaque,
    Binary,
}

impl Meaning {
    fn tag(self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Uint(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Timestamp => "!!timestamp",
            Self::Text | Self::Opaque | Self::Binary => "!!str",
        }
    }
}

/// The meaning of a scalar with this tag (empty for none).
pub(crate) fn resolve(tag: &str, value: &str) -> Step<Meaning> {
    if tag.is_empty() {
        return Ok(plain(value));
    }
    let found = match tag.strip_prefix(CORE) {
        Some("str") => return Ok(Meaning::Text),
        Some("binary") => return Ok(Meaning::Binary),
        Some("bool" | "int" | "float" | "null") => untimed(value),
        Some("timestamp") => plain(value),
        _ => return Ok(Meaning::Opaque),
    };
    let short = tag.strip_prefix(CORE).unwrap_or(tag);
    if found.tag().strip_prefix("!!") == Some(short) {
        return Ok(found);
    }
    match found {
        #[expect(
            clippy::cast_precision_loss,
            reason = "the tag asks for a float, the nearest one is meant"
        )]
        Meaning::Int(int) if short == "float" => Ok(Meaning::Float(int as f64)),
        _ => Err(Problem::yaml(
            0,
            format!("cannot decode {} `{value}` as a !!{short}", found.tag()),
        )),
    }
}

/// The meaning of a plain scalar.
pub(crate) fn plain(value: &str) -> Meaning {
    if matches!(value.as_bytes().first(), Some(b'0'..=b'9' | b'+' | b'-')) && is_timestamp(value) {
        return Meaning::Timestamp;
    }
    untimed(value)
}

fn untimed(value: &str) -> Meaning {
    let Some(first) = value.bytes().next() else {
        return Meaning::Null;
    };
    match first {
        b'0'..=b'9' => number(value),
        b'+' | b'-' => infinity(value).unwrap_or_else(|| number(value)),
        b'.' => infinity(value).unwrap_or_else(|| dotted(value)),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(value),
        _ => Meaning::Text,
    }
}

fn word(value: &str) -> Meaning {
    match value {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Meaning::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Meaning::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Meaning::Null,
        _ => Meaning::Text,
    }
}

fn infinity(value: &str) -> Option<Meaning> {
    Some(Meaning::Float(match value {
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => f64::INFINITY,
        "-.inf" | "-.Inf" | "-.INF" => f64::NEG_INFINITY,
        _ => return None,
    }))
}

/// A number that begins with a dot; underscores may stand between digits.
fn dotted(value: &str) -> Meaning {
    let bytes = value.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let underscores_fit = bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte != b'_' || (at > 0 && (is_digit(at - 1)) && is_digit(at + 1)));
    if !underscores_fit {
        return Meaning::Text;
    }
    let plain = value.replace('_', "");
    float(&plain).map_or(Meaning::Text, Meaning::Float)
}

/// Digits, with a sign and underscores anywhere.
fn number(value: &str) -> Meaning {
    let replaced;
    let plain = if value.contains('_') {
        replaced = value.replace('_', "");
        replaced.as_str()
    } else {
        value
    };
    if let Some(int) = integer(plain) {
        return int;
    }
    if let Some(float) = float(plain) {
        return Meaning::Float(float);
    }
    // Go accepts a second sign after the prefix, and so must we.
    if let Some(rest) = plain.strip_prefix("0b") {
        return signed(rest, 2).unwrap_or(Meaning::Text);
    }
    Meaning::Text
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint`: a prefix or a leading 0 gives the base.
fn integer(text: &str) -> Option<Meaning> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("+", text.get(1..)?),
        _ => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', _, ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', _, ..] => (2, digits.get(2..)?),
        [b'0'] => return Some(Meaning::Int(0)),
        [b'0', ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.bytes().all(|b| char::from(b).is_digit(radix)) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    match (sign, i64::try_from(size)) {
        ("-", Ok(int)) => Some(Meaning::Int(-int)),
        ("-", Err(_)) => (size == 1 << 63).then_some(Meaning::Int(i64::MIN)),
        (_, Ok(int)) => Some(Meaning::Int(int)),
        ("", Err(_)) => Some(Meaning::Uint(size)),
        (_, Err(_)) => None,
    }
}

/// Go's `ParseInt` in a given base: an optional sign and digits.
fn signed(text: &str, radix: u32) -> Option<Meaning> {
    if let Ok(int) = i64::from_str_radix(text, radix) {
        return Some(Meaning::Int(int));
    }
    if text.starts_with('+') {
        return None;
    }
    u64::from_str_radix(text, radix).ok().map(Meaning::Uint)
}

/// `[-+]? (\.[0-9]+ | [0-9]+(\.[0-9]*)?) ([eE][-+]?[0-9]+)?`, unless it is too large.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)),
        ),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if exponent.is_some_and(|text| text.is_empty() || !all_digits(text)) {
        return None;
    }
    let fits = match mantissa.split_once('.') {
        Some(("", after)) => !after.is_empty() && all_digits(after),
        Some((before, after)) => all_digits(before) && all_digits(after),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    if !fits {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Whether a text, written plainly, would be read as something else, or is known to confuse other
/// readers: a number in base 60.
pub(crate) fn must_quote(value: &str, version_3: bool) -> bool {
    // `.nan` and the like begin with a dot.
    if !matches!(
        value.as_bytes().first(),
        None | Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'~')
            | Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O')
    ) {
        return false;
    }
    if plain(value) != Meaning::Text || is_base_60(value) {
        return true;
    }
    // Only the newer library reads an octal number with two signs.
    version_3
        && value
            .replace('_', "")
            .strip_prefix("0o")
            .is_some_and(|rest| signed(rest, 8).is_some())
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_base_60(value: &str) -> bool {
    let unsigned = value.strip_prefix(['-', '+']).unwrap_or(value);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_loose = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let Some((first, rest)) = whole.split_once(':') else {
        return false;
    };
    first.starts_with(|c: char| c.is_ascii_digit())
        && is_loose(first)
        && is_loose(fraction)
        && rest.split(':').all(|part| match part.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [b'0'..=b'5', digit] => digit.is_ascii_digit(),
            _ => false,
        })
}

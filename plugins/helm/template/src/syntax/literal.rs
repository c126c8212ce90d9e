//! Number and character literals: one literal may serve as int, float or both, as Go decides late.

use crate::strconv::{parse_float, parse_int, parse_uint, quote, unquote_char};

/// A number literal with everything it can be.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    /// As written; decides what the number is where any type fits.
    pub(crate) text: Box<str>,
}

impl Number {
    /// Reads a character constant with its quotes.
    pub(crate) fn from_char(text: &str) -> Result<Self, String> {
        let body = text.get(1..).unwrap_or_default();
        let (unit, tail) = unquote_char(body, '\'').ok_or("invalid syntax")?;
        if tail != "'" {
            return Err(format!("malformed character constant: {text}"));
        }
        let number = unit.number();
        Ok(Self {
            int: Some(i64::from(number)),
            uint: Some(u64::from(number)),
            float: Some(f64::from(number)),
            text: text.into(),
        })
    }

    /// Reads a number. Complex numbers are refused, no chart has a use for them.
    pub(crate) fn from_digits(text: &str) -> Result<Self, String> {
        let uint = parse_uint(text, 0).ok();
        let int = parse_int(text, 0).ok();
        let mut number = Self {
            int,
            uint: if int == Some(0) { Some(0) } else { uint },
            float: None,
            text: text.into(),
        };
        number.float = precise_float(number.int, number.uint);
        if number.float.is_none()
            && let Ok(value) = parse_float(text)
        {
            if !text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err(format!("integer overflow: {}", quote(text.as_bytes())));
            }
            number.float = Some(value);
            number.int = float_to_int(value);
            number.uint = float_to_uint(value);
        }
        if number.float.is_none() {
            return Err(format!("illegal number syntax: {}", quote(text.as_bytes())));
        }
        Ok(number)
    }

    /// Whether the spelling makes it a float where any type fits.
    pub(crate) fn is_written_as_float(&self) -> bool {
        let lower = self.text.to_ascii_lowercase();
        let hex_int = lower.len() > 2 && lower.starts_with("0x") && !lower.contains('p');
        !hex_int && !self.text.starts_with('\'') && lower.contains(['.', 'e', 'p'])
    }
}

#[allow(clippy::cast_precision_loss, reason = "Go rounds the same way")]
fn precise_float(int: Option<i64>, uint: Option<u64>) -> Option<f64> {
    int.map(|int| int as f64)
        .or_else(|| uint.map(|uint| uint as f64))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "compared afterwards"
)]
fn float_to_int(value: f64) -> Option<i64> {
    let int = value as i64;
    (int as f64 == value && int != i64::MAX).then_some(int)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "compared afterwards"
)]
fn float_to_uint(value: f64) -> Option<u64> {
    let uint = value as u64;
    (uint as f64 == value && uint != u64::MAX).then_some(uint)
}

//! How one plain value is laid out: width, precision and flags of a directive.

use crate::strconv::{can_backquote, format_float, is_print, quote, quote_char, quote_to_ascii};

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`, for which `plus` is off.
    pub(super) plus_v: bool,
    /// `%#v`, for which `sharp` is off.
    pub(super) sharp_v: bool,
}

/// The number of characters; each byte that is not UTF-8 counts as one.
pub(super) fn count_chars(text: &[u8]) -> usize {
    text.utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len())
        .sum()
}

/// The first `count` characters.
pub(super) fn first_chars(text: &[u8], count: usize) -> &[u8] {
    let mut left = count;
    let mut end = 0;
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if left == 0 {
                return text.get(..end).unwrap_or(text);
            }
            left -= 1;
            end += c.len_utf8();
        }
        let taken = chunk.invalid().len().min(left);
        left -= taken;
        end += taken;
    }
    text.get(..end).unwrap_or(text)
}

impl Flags {
    fn fill(out: &mut Vec<u8>, with: u8, count: usize) {
        out.resize(out.len() + count, with);
    }

    /// Writes text padded to the width: with zeros only on the left, and only if `zero` allows.
    pub(super) fn pad(&self, out: &mut Vec<u8>, text: &[u8], zero: bool) {
        let missing = match self.width {
            Some(width) if width > 0 => width.saturating_sub(count_chars(text)),
            _ => 0,
        };
        if self.minus {
            out.extend_from_slice(text);
            Self::fill(out, b' ', missing);
        } else {
            Self::fill(out, if zero { b'0' } else { b' ' }, missing);
            out.extend_from_slice(text);
        }
    }

    pub(super) fn text(&self, out: &mut Vec<u8>, text: &[u8]) {
        let text = self
            .precision
            .map_or(text, |count| first_chars(text, count));
        self.pad(out, text, self.zero);
    }

    pub(super) fn bool(&self, out: &mut Vec<u8>, value: bool) {
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.pad(out, text, self.zero);
    }

    /// `%q` of a text.
    pub(super) fn quoted(&self, out: &mut Vec<u8>, text: &[u8]) {
        let text = self
            .precision
            .map_or(text, |count| first_chars(text, count));
        if self.sharp && can_backquote(text) {
            let quoted = [b"`", text, b"`"].concat();
            return self.pad(out, &quoted, self.zero);
        }
        let quoted = if self.plus {
            quote_to_ascii(text)
        } else {
            quote(text)
        };
        self.pad(out, quoted.as_bytes(), self.zero);
    }

    /// `%x` of a text.
    pub(super) fn hex_text(&self, out: &mut Vec<u8>, text: &[u8], upper: bool) {
        let text = self
            .precision
            .and_then(|count| text.get(..count))
            .unwrap_or(text);
        let prefix = if upper { "0X" } else { "0x" };
        let mut hex = String::with_capacity(text.len() * 2 + 2);
        for (at, byte) in text.iter().enumerate() {
            if at > 0 && self.space {
                hex.push(' ');
            }
            if self.sharp && (at == 0 || self.space) {
                hex.push_str(prefix);
            }
            hex.push_str(&if upper {
                format!("{byte:02X}")
            } else {
                format!("{byte:02x}")
            });
        }
        self.pad(out, hex.as_bytes(), self.zero);
    }

    /// `%c`.
    pub(super) fn char(&self, out: &mut Vec<u8>, number: u64) {
        self.pad(
            out,
            to_char(number).encode_utf8(&mut [0; 4]).as_bytes(),
            self.zero,
        );
    }

    /// `%q` of a number.
    pub(super) fn quoted_char(&self, out: &mut Vec<u8>, number: u64) {
        let quoted = quote_char(to_char(number), self.plus);
        self.pad(out, quoted.as_bytes(), self.zero);
    }

    /// `%U`.
    pub(super) fn unicode(&self, out: &mut Vec<u8>, number: u64) {
        let digits = self.precision.map_or(4, |precision| precision.max(4));
        let mut text = format!("U+{number:0digits$X}");
        let char = u32::try_from(number).ok().and_then(char::from_u32);
        if let (true, Some(c)) = (self.sharp, char.filter(|c| is_print(*c))) {
            text.push_str(&format!(" '{c}'"));
        }
        self.pad(out, text.as_bytes(), false);
    }

    /// An integer of up to 64 bits, sign apart.
    pub(super) fn integer(&self, out: &mut Vec<u8>, negative: bool, size: u64, verb: char) {
        let signed = negative || self.plus || self.space;
        let least = match self.precision {
            Some(0) if size == 0 => return self.pad(out, b"", false),
            Some(precision) => precision,
            None if self.zero && !self.minus => {
                self.width.unwrap_or(0).saturating_sub(usize::from(signed))
            }
            None => 0,
        };
        let mut digits = match verb {
            'b' => format!("{size:0least$b}"),
            'o' | 'O' => format!("{size:0least$o}"),
            'x' => format!("{size:0least$x}"),
            'X' => format!("{size:0least$X}"),
            _ => format!("{size:0least$}"),
        };
        let prefix = match verb {
            'b' if self.sharp => "0b",
            'o' if self.sharp && !digits.starts_with('0') => "0",
            'O' if self.sharp && !digits.starts_with('0') => "0o0",
            'O' => "0o",
            'x' if self.sharp => "0x",
            'X' if self.sharp => "0X",
            _ => "",
        };
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        if !sign.is_empty() || !prefix.is_empty() {
            digits = format!("{sign}{prefix}{digits}");
        }
        self.pad(out, digits.as_bytes(), false);
    }

    /// A float by one of `bgGeEfFxX`; `precision` holds where the directive has none.
    pub(super) fn float(
        &self,
        out: &mut Vec<u8>,
        value: f64,
        verb: char,
        precision: Option<usize>,
    ) {
        let precision = self.precision.or(precision);
        let mut number = format_float(value, verb, precision);
        if !number.starts_with(['-', '+']) {
            number.insert(0, '+');
        }
        if self.space && !self.plus && number.starts_with('+') {
            number.replace_range(..1, " ");
        }
        if !value.is_finite() {
            // An infinity keeps its plus sign, asked for or not.
            let is_bare = value.is_nan() && !self.space && !self.plus;
            let shown = if is_bare {
                number.trim_start_matches('+')
            } else {
                &number
            };
            return self.pad(out, shown.as_bytes(), false);
        }
        if self.sharp && verb != 'b' {
            number = with_point(&number, verb, precision);
        }
        let (sign, size) = number.split_at_checked(1).unwrap_or(("", &number));
        if !self.plus && sign == "+" {
            return self.pad(out, size.as_bytes(), self.zero);
        }
        match self.width {
            // The sign goes before the zeros.
            Some(width) if self.zero && !self.minus && width > number.len() => {
                out.extend_from_slice(sign.as_bytes());
                Self::fill(out, b'0', width - number.len());
                out.extend_from_slice(size.as_bytes());
            }
            _ => self.pad(out, number.as_bytes(), self.zero),
        }
    }
}

fn to_char(number: u64) -> char {
    u32::try_from(number)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// `%#g`: always a point, and the zeros that make up the precision.
fn with_point(number: &str, verb: char, precision: Option<usize>) -> String {
    let is_hex = matches!(verb, 'x' | 'X');
    let exponent: &[char] = if is_hex { &['p', 'P'] } else { &['e', 'E'] };
    let cut = number.find(exponent).unwrap_or(number.len());
    let (mantissa, tail) = number.split_at_checked(cut).unwrap_or((number, ""));
    let mut mantissa = mantissa.to_owned();
    let mut missing = match verb {
        'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    let digits = mantissa.chars().skip(1).filter(|c| *c != '.');
    missing = missing.saturating_sub(digits.skip_while(|c| *c == '0').count());
    if !mantissa.contains('.') {
        if mantissa.len() == 2 && mantissa.ends_with('0') {
            missing = missing.saturating_sub(1);
        }
        mantissa.push('.');
    }
    mantissa.extend(std::iter::repeat_n('0', missing));
    mantissa + tail
}

//! The natural order of keys: numbers inside them by value, other signs before letters.

use serde_json::{Map, Value};

use super::Version;

/// Entries in the order in which they are written.
pub(super) fn sorted(map: &Map<String, Value>, version: Version) -> Vec<(&str, &Value)> {
    let mut entries: Vec<(&str, &Value)> = map.iter().map(|(k, v)| (k.as_str(), v)).collect();
    // The order is not always transitive, which the standard sort may answer with a panic.
    merge_sort(&mut entries, &|a, b| less(a.0, b.0, version));
    entries
}

fn merge_sort<T: Copy>(items: &mut [T], less: &impl Fn(&T, &T) -> bool) {
    let sorted = items.windows(2).all(|pair| match pair {
        [a, b] => !less(b, a),
        _ => true,
    });
    if sorted {
        return;
    }
    let Some((left, right)) = items.split_at_mut_checked(items.len() / 2) else {
        return;
    };
    merge_sort(left, less);
    merge_sort(right, less);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let take_right = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => less(b, a),
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) => break,
        };
        let next = if take_right {
            right.next()
        } else {
            left.next()
        };
        merged.extend(next.copied());
    }
    for (place, item) in items.iter_mut().zip(merged) {
        *place = item;
    }
}

fn less(a: &str, b: &str, version: Version) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return less_chars(a.as_bytes(), b.as_bytes(), version);
    }
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    less_chars(&a, &b, version)
}

fn less_chars<T: Copy + Into<char>>(a: &[T], b: &[T], version: Version) -> bool {
    let common = a.iter().zip(b);
    let Some(at) = common.clone().position(|(a, b)| (*a).into() != (*b).into()) else {
        return a.len() < b.len();
    };
    let pair = (a.get(at), b.get(at));
    let (Some(x), Some(y)) = (pair.0.map(|c| (*c).into()), pair.1.map(|c| (*c).into())) else {
        return a.len() < b.len();
    };
    match (is_letter(x), is_letter(y)) {
        (true, true) => return x < y,
        (false, false) => {}
        (x_is_letter, y_is_letter) => {
            // The newer library puts letters before signs within a number.
            let in_number = version == Version::V3
                && at
                    .checked_sub(1)
                    .and_then(|before| a.get(before))
                    .is_some_and(|c| is_digit((*c).into()));
            return if in_number { x_is_letter } else { y_is_letter };
        }
    }
    // A zero counts for its place if a number is under way.
    let mut start = 0;
    if x == '0' || y == '0' {
        let before = a.get(..at).unwrap_or(&[]);
        let mut digits = before
            .iter()
            .rev()
            .map(|c| (*c).into())
            .take_while(|c| is_digit(*c));
        if digits.any(|c| c != '0') {
            start = 1;
        }
    }
    let (x_value, x_digits) = number(a.get(at..).unwrap_or(&[]), start);
    let (y_value, y_digits) = number(b.get(at..).unwrap_or(&[]), start);
    (x_value, x_digits, x) < (y_value, y_digits, y)
}

/// The number that begins here, and its digits; it wraps where the original does.
fn number<T: Copy + Into<char>>(chars: &[T], start: i64) -> (i64, usize) {
    chars
        .iter()
        .map(|c| (*c).into())
        .take_while(|c| is_digit(*c))
        .fold((start, 0), |(value, digits), c| {
            let digit = i64::from(u32::from(c)) - i64::from(b'0');
            (value.wrapping_mul(10).wrapping_add(digit), digits + 1)
        })
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic()
}

fn is_digit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    let code = u32::from(c);
    let after = ZEROS.partition_point(|zero| *zero <= code);
    let zero = after.checked_sub(1).and_then(|place| ZEROS.get(place));
    zero.is_some_and(|zero| code - zero < 10)
}

/// The zeros of all decimal digits beyond ASCII (Unicode's Nd); nine more digits follow each.
#[rustfmt::skip]
const ZEROS: &[u32] = &[
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66,
    0x0CE6, 0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810,
    0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0,
    0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0,
    0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950,
    0x11C50, 0x11D50, 0x11DA0, 0x11F50, 0x16A60, 0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2,
    0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E950, 0x1FBF0,
];

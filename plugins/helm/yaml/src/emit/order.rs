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
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric())
}

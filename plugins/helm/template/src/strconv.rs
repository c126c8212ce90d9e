//! Go's `strconv` as far as templates and their functions need it: quoting, numbers, character classes.

mod float;
mod number;
mod quote;
mod tables;
mod unquote;

pub use float::format_float;
pub use number::{NumberError, parse_float, parse_int, parse_uint};
pub use quote::{can_backquote, quote, quote_char, quote_to_ascii};
pub use unquote::{Unit, unquote, unquote_char};

/// Go's `unicode.IsLetter`.
#[must_use]
pub fn is_letter(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    within(tables::LETTERS, c)
}

/// Go's `unicode.IsDigit`.
#[must_use]
pub fn is_digit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    within(tables::DIGITS, c)
}

/// Go's `strconv.IsPrint`: what `%q` leaves as it is.
#[must_use]
pub fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    within(tables::PRINTABLE, c)
}

/// The tables hold first and last of each range, so inside means: an odd number of borders below.
fn within(table: &[u32], c: char) -> bool {
    let point = u32::from(c);
    match table.binary_search(&point) {
        Ok(_) => true,
        Err(below) => below % 2 == 1,
    }
}

//! Bytes of unknown encoding, as the original tells them apart: UTF-16 with a byte order mark, else
//! UTF-8. Where they stop being text, reading stops, with its words.

use std::borrow::Cow;

/// Why a text stops being one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) problem: &'static str,
    /// Bytes that must be there before the fault shows.
    pub(crate) width: usize,
}

/// The text as far as it goes, and why it goes no further.
pub(crate) fn text(bytes: &[u8]) -> (Cow<'_, str>, Option<Cut>) {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> (Cow<'_, str>, Option<Cut>) {
    let Some(chunk) = bytes.utf8_chunks().next() else {
        return (Cow::Borrowed(""), None);
    };
    let valid = chunk.valid();
    if valid.len() == bytes.len() {
        return (Cow::Borrowed(valid), None);
    }
    let rest = bytes.get(valid.len()..).unwrap_or(&[]);
    (Cow::Borrowed(valid), Some(utf8_fault(rest)))
}

/// What is wrong with the character that begins here.
fn utf8_fault(rest: &[u8]) -> Cut {
    let width = match rest.first() {
        Some(0xC0..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF7) => 4,
        _ => 1,
    };
    let Some(octets) = rest.get(..width) else {
        return Cut {
            problem: "incomplete UTF-8 octet sequence",
            width: usize::MAX,
        };
    };
    let problem = match octets {
        [_] => "invalid leading UTF-8 octet",
        [_, rest @ ..] if rest.iter().any(|octet| octet & 0xC0 != 0x80) => {
            "invalid trailing UTF-8 octet"
        }
        [0xC0 | 0xC1, ..] | [0xE0, ..=0x9F, ..] | [0xF0, ..=0x8F, ..] => {
            "invalid length of a UTF-8 sequence"
        }
        _ => "invalid Unicode character",
    };
    Cut { problem, width }
}

fn utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> (Cow<'_, str>, Option<Cut>) {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| read(*pair));
    let mut text = String::new();
    let mut fault = (!odd.is_empty()).then_some("incomplete UTF-16 character");
    let mut rest = char::decode_utf16(units).peekable();
    while let Some(next) = rest.next() {
        match next {
            Ok(c) => text.push(c),
            Err(half) => {
                fault = Some(match (half.unpaired_surrogate(), rest.peek()) {
                    (0xDC00.., _) => "unexpected low surrogate area",
                    (_, None) => "incomplete UTF-16 surrogate pair",
                    _ => "expected low surrogate area",
                });
                break;
            }
        }
    }
    let cut = fault.map(|problem| Cut { problem, width: 2 });
    (Cow::Owned(text), cut)
}

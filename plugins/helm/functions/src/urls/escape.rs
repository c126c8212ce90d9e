//! Percent escapes, part by part of a URL.

use crate::go::quote;

/// The part of a URL, which decides what stands unescaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Host,
    Zone,
    User,
    Fragment,
}

/// Must this byte be escaped there?
pub(super) fn is_escaped(byte: u8, part: Part) -> bool {
    let host = matches!(part, Part::Host | Part::Zone);
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => false,
        b'!' | b'(' | b')' | b'*' => !(host || part == Part::Fragment),
        b'"' | b'\'' | b'<' | b'>' | b'[' | b']' => !host,
        b'$' | b'&' | b'+' | b'=' => false,
        b',' => false,
        b';' => false,
        b':' => !(host || matches!(part, Part::Path | Part::Fragment)),
        b'/' | b'@' => !matches!(part, Part::Path | Part::Fragment),
        b'?' => part != Part::Fragment,
        _ => true,
    }
}

/// Escapes what must not stand in that part.
pub(super) fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if is_escaped(*byte, part) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
    out
}

fn bad_escape(text: &[u8]) -> String {
    format!("invalid URL escape {}", quote(text))
}

/// The byte of an escape at the start of the text.
fn decoded(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16));
    u8::try_from(digit(1)? * 16 + digit(2)?).ok()
}

/// Resolves escapes.
///
/// # Errors
/// `invalid URL escape "…"`, or in a host a byte that must not stand there.
pub(super) fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        if *byte != b'%' {
            let host = matches!(part, Part::Host | Part::Zone);
            if host && *byte < 0x80 && is_escaped(*byte, part) {
                let shown = quote(&[*byte]);
                return Err(format!("invalid character {shown} in host name"));
            }
            out.push(*byte);
            rest = tail;
            continue;
        }
        let escape = rest.get(..rest.len().min(3)).unwrap_or_default();
        let Some(value) = decoded(rest) else {
            return Err(bad_escape(escape));
        };
        // In a host only bytes beyond ASCII may be escaped, but for the percent sign of a zone.
        let refused = match part {
            Part::Host => value < 0x80 && escape != b"%25",
            Part::Zone => escape != b"%25" && value != b' ' && is_escaped(value, Part::Host),
            Part::Path | Part::User | Part::Fragment => false,
        };
        if refused {
            return Err(bad_escape(escape));
        }
        out.push(value);
        rest = rest.get(3..).unwrap_or_default();
    }
    Ok(out)
}

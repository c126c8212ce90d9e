//! Text made safe for HTML, JavaScript strings and URL queries.

use crate::strconv::is_print;
use crate::text::Str;

/// Go's `template.HTMLEscapeString`.
pub(crate) fn html(text: &Str) -> Str {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.as_bytes() {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            byte => out.push(*byte),
        }
    }
    Str::from(out)
}

/// Go's `template.JSEscapeString`; bytes that are not UTF-8 stay as they are, as U+FFFD is printable.
pub(crate) fn js(text: &Str) -> Str {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.extend_from_slice(b"\\\\"),
                '\'' => out.extend_from_slice(b"\\'"),
                '"' => out.extend_from_slice(b"\\\""),
                '\0'..' ' | '<' | '>' | '&' | '=' => {
                    out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes());
                }
                c if c.is_ascii() || is_print(c) => {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes())
                }
                c => out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes()),
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
    Str::from(out)
}

/// Go's `url.QueryEscape`.
pub(crate) fn url_query(text: &Str) -> Str {
    let mut out = String::with_capacity(text.len());
    for byte in text.as_bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(*byte))
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    Str::from(out)
}

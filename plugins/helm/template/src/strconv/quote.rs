//! Text as Go string and character literals.

use super::is_print;

/// Go's `strconv.Quote`: in double quotes, escaped; bytes that are not UTF-8 become `\x..`.
#[must_use]
pub fn quote(text: &[u8]) -> String {
    quoted(text, '"', false)
}

/// Go's `strconv.QuoteToASCII`: as [`quote`], with everything beyond ASCII escaped.
#[must_use]
pub fn quote_to_ascii(text: &[u8]) -> String {
    quoted(text, '"', true)
}

/// Go's `strconv.QuoteRune`, or `QuoteRuneToASCII`.
#[must_use]
pub fn quote_char(c: char, ascii: bool) -> String {
    let mut out = String::with_capacity(4);
    out.push('\'');
    push_escaped(&mut out, c, '\'', ascii);
    out.push('\'');
    out
}

/// Go's `strconv.CanBackquote`: whether the text fits between back quotes on one line.
#[must_use]
pub fn can_backquote(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| {
        text.chars()
            .all(|c| (c >= ' ' || c == '\t') && !matches!(c, '`' | '\u{7f}' | '\u{feff}'))
    })
}

fn quoted(text: &[u8], mark: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 2 + 2);
    out.push(mark);
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c, mark, ascii);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push(mark);
    out
}

fn push_escaped(out: &mut String, c: char, mark: char, ascii: bool) {
    if c == mark || c == '\\' {
        out.push('\\');
        out.push(c);
        return;
    }
    if is_print(c) && (!ascii || c.is_ascii()) {
        out.push(c);
        return;
    }
    let short = match c {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        _ => {
            let point = u32::from(c);
            out.push_str(&match point {
                0..0x20 | 0x7f => format!("\\x{point:02x}"),
                0x20..0x10000 => format!("\\u{point:04x}"),
                _ => format!("\\U{point:08x}"),
            });
            return;
        }
    };
    out.push('\\');
    out.push(short);
}

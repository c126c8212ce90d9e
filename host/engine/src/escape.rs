//! Text that came from a plugin, made fit for a log line or an error: bounded, and without control characters.

/// At most `limit` bytes of `text` on one line; what is cut off is said.
pub(crate) fn line(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    for (at, c) in text.char_indices() {
        if out.len() >= limit {
            out.push_str(&format!("… ({} bytes more)", text.len() - at));
            break;
        }
        // Also the separators and direction marks that terminals and log viewers act on.
        if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(
            line("a\nb\u{1b}[2Jc\u{202e}", 100),
            "a\\nb\\u{1b}[2Jc\\u{202e}"
        );
        assert_eq!(
            line(&"x".repeat(50), 10),
            format!("{}… (40 bytes more)", "x".repeat(10))
        );
    }
}

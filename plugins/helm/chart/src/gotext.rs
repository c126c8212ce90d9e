//! Small pieces of Go's text handling that Helm's checks and messages rest on.

use helm_template::Value;

/// Go's `%q` of a string.
pub(crate) fn quote(text: &str) -> String {
    sprintf("%q", &[Value::from(text)])
}

/// Go's `fmt.Sprintf`; a limit that no message reaches would give the bare format.
pub(crate) fn sprintf(format: &str, args: &[Value]) -> String {
    match helm_template::fmt::sprintf(format.as_bytes(), args) {
        Ok(text) => text.to_text().into_owned(),
        Err(_) => format.to_owned(),
    }
}

/// Go's `unicode.IsSpace`.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the plain space.
pub(crate) fn is_print(c: char) -> bool {
    let is_format = matches!(c,
        '\u{AD}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{180E}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
        | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E007F}');
    let is_private = matches!(c, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_format || is_private)
}

/// One line as Helm's logger writes it to standard error.
#[must_use]
pub fn log_line(level: &str, message: &str, attributes: &[(&str, &str)]) -> String {
    let mut line = format!("level={level} msg={}", attribute(message));
    for (key, value) in attributes {
        line.push(' ');
        line.push_str(key);
        line.push('=');
        line.push_str(&attribute(value));
    }
    line
}

fn attribute(value: &str) -> String {
    let is_plain = |c: char| c > ' ' && c != '=' && c != '"' && is_print(c) && c != '\u{FFFD}';
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    quote(value)
}

//! In which styles a scalar can be written.

use super::Version;

#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub(super) plain: bool,
    pub(super) single_quoted: bool,
    pub(super) literal: bool,
}

/// A line break of YAML 1.1.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn has_break(text: &str) -> bool {
    if text.is_ascii() {
        return text.bytes().any(|b| matches!(b, b'\r' | b'\n'));
    }
    text.chars().any(is_break)
}

/// What may stand unescaped. The original stops at the characters of three bytes.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

pub(super) fn analyze(text: &str, version: Version) -> Allowed {
    if text.is_empty() {
        return Allowed {
            plain: true,
            single_quoted: true,
            literal: false,
        };
    }
    let mut plain = !(text.starts_with("---") || text.starts_with("..."));
    let mut special = false;
    let mut tabs = false;
    let mut line_breaks = false;
    let mut space_then_break = false;
    let mut break_then_space = false;
    let mut previous_space = false;
    let mut previous_break = false;
    let mut after_blank = true;

    let mut chars = text.chars().peekable();
    let mut is_first = true;
    while let Some(c) = chars.next() {
        let before_blank = chars.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
        plain &= match c {
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => !is_first,
            '#' => !is_first && !after_blank,
            '?' | '-' => !(is_first && before_blank),
            ':' => !before_blank,
            _ => true,
        };
        if c == '\t' && version == Version::V3 {
            tabs = true;
        } else if !is_printable(c) {
            special = true;
        }
        let breaks = is_break(c);
        if c == ' ' {
            break_then_space |= previous_break;
        } else if breaks {
            line_breaks = true;
            space_then_break |= previous_space;
        }
        previous_space = c == ' ';
        previous_break = breaks;
        after_blank = matches!(c, ' ' | '\t' | '\0') || breaks;
        is_first = false;
    }
    let begins = text.chars().next().is_some_and(|c| c == ' ' || is_break(c));
    let ends_in_space = text.ends_with(' ');
    let escapes = space_then_break || special;
    Allowed {
        plain: plain && !(begins || ends_in_space || line_breaks || escapes || tabs),
        single_quoted: !(break_then_space || escapes || tabs),
        literal: !(ends_in_space || escapes),
    }
}

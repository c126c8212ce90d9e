//! Quoted and plain scalars.

use std::borrow::Cow;

use super::{Kind, Mark, Scanner, Step};

/// Blanks and breaks between two pieces of a scalar.
#[derive(Debug, Default)]
struct Gap {
    first_break: &'static str,
    more_breaks: String,
}

impl Gap {
    fn add(&mut self, text: &'static str, is_first: bool) {
        if is_first {
            self.first_break = text;
        } else {
            self.more_breaks.push_str(text);
        }
    }

    /// Writes what the gap folds to, and empties it.
    fn fold_into(&mut self, text: &mut String) {
        if self.first_break == "\n" {
            if self.more_breaks.is_empty() {
                text.push(' ');
            }
        } else {
            text.push_str(self.first_break);
        }
        text.push_str(&self.more_breaks);
        self.first_break = "";
        self.more_breaks.clear();
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn scan_quoted(&mut self, single: bool) -> Step {
        let start = self.mark;
        self.skip();
        let value = match self.scan_quoted_simply(single) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.scan_quoted_fully(single)?),
        };
        self.skip();
        let kind = Kind::Scalar { plain: false };
        self.push_text(kind, start, self.mark, value, Cow::Borrowed(""));
        Ok(())
    }

    /// The usual case, one line without escapes, needs no copy. Leaves the closing quote to skip.
    fn scan_quoted_simply(&mut self, single: bool) -> Option<&'a str> {
        let quote = if single { b'\'' } else { b'"' };
        let rest = self.bytes.get(self.mark.pos..)?;
        let length = rest.iter().position(|b| {
            matches!(b, b'\r' | b'\n' | 0 | 0xC2 | 0xE2) || *b == quote || (*b == b'\\' && !single)
        })?;
        let after = rest.get(length + 1).copied().unwrap_or(0);
        let end = self.mark.pos + length;
        if rest.get(length) != Some(&quote) || (single && after == quote) || end + 8 > self.fence {
            return None;
        }
        let text = self.slice(self.mark.pos, end);
        let chars = if text.is_ascii() {
            length
        } else {
            text.chars().count()
        };
        self.mark.pos = end;
        self.mark.index += chars;
        self.mark.column += u32::try_from(chars).unwrap_or(u32::MAX);
        Some(text)
    }

    fn scan_quoted_fully(&mut self, single: bool) -> Step<String> {
        let quote = if single { b'\'' } else { b'"' };
        let mut text = String::new();
        let mut gap = Gap::default();
        loop {
            self.need(4)?;
            if self.at_document_indicator() {
                return self.fail("found unexpected document indicator");
            }
            if self.at(0) == 0 {
                return self.fail("found unexpected end of stream");
            }
            let mut after_break = false;
            while !self.is_blank_or_end(0) {
                let byte = self.at(0);
                if single && byte == b'\'' && self.at(1) == b'\'' {
                    text.push('\'');
                    self.skip();
                    self.skip();
                } else if byte == quote {
                    break;
                } else if !single && byte == b'\\' && self.is_break(1) {
                    self.need(3)?;
                    self.skip();
                    self.read_break();
                    after_break = true;
                    break;
                } else if !single && byte == b'\\' {
                    self.scan_escape(&mut text)?;
                } else {
                    let from = self.mark.pos;
                    self.skip();
                    text.push_str(self.slice(from, self.mark.pos));
                }
                self.need(2)?;
            }
            self.need(1)?;
            if self.at(0) == quote {
                return Ok(text);
            }
            let from = self.mark.pos;
            let mut to = from;
            while self.is_blank(0) || self.is_break(0) {
                if self.is_blank(0) {
                    self.skip();
                    if !after_break {
                        to = self.mark.pos;
                    }
                } else {
                    self.need(2)?;
                    let text = self.read_break();
                    gap.add(text, !after_break);
                    after_break = true;
                }
                self.need(1)?;
            }
            if after_break {
                gap.fold_into(&mut text);
            } else {
                text.push_str(self.slice(from, to));
            }
        }
    }

    fn scan_escape(&mut self, text: &mut String) -> Step {
        let mut digits = 0;
        match self.at(1) {
            b'0' => text.push('\0'),
            b'a' => text.push('\x07'),
            b'b' => text.push('\x08'),
            b't' | b'\t' => text.push('\t'),
            b'n' => text.push('\n'),
            b'v' => text.push('\x0B'),
            b'f' => text.push('\x0C'),
            b'r' => text.push('\r'),
            b'e' => text.push('\x1B'),
            b' ' => text.push(' '),
            b'"' => text.push('"'),
            b'\'' => text.push('\''),
            b'\\' => text.push('\\'),
            b'N' => text.push('\u{85}'),
            b'_' => text.push('\u{a0}'),
            b'L' => text.push('\u{2028}'),
            b'P' => text.push('\u{2029}'),
            b'x' => digits = 2,
            b'u' => digits = 4,
            b'U' => digits = 8,
            _ => return self.fail("found unknown escape character"),
        }
        self.skip();
        self.skip();
        if digits == 0 {
            return Ok(());
        }
        self.need(digits)?;
        let mut code: u32 = 0;
        for offset in 0..digits {
            let Some(digit) = char::from(self.at(offset)).to_digit(16) else {
                return self.fail("did not find expected hexdecimal number");
            };
            code = (code << 4) | digit;
        }
        let Some(char) = char::from_u32(code) else {
            return self.fail("found invalid Unicode character escape code");
        };
        text.push(char);
        for _ in 0..digits {
            self.skip();
        }
        Ok(())
    }

    pub(super) fn scan_plain(&mut self) -> Step {
        let start = self.mark;
        let mut end = self.mark;
        // What lies on one line is contiguous; only a fold makes a copy necessary.
        let mut copy: Option<String> = None;
        let mut from = self.mark.pos;
        let mut gap = Gap::default();
        let mut after_break = false;
        let indent = self.indent + 1;
        loop {
            self.need(4)?;
            if self.at_document_indicator() || self.at(0) == b'#' {
                break;
            }
            while !self.is_blank_or_end(0) {
                if self.ends_plain() {
                    break;
                }
                if after_break {
                    let text = copy.get_or_insert_default();
                    text.push_str(self.slice(from, end.pos));
                    gap.fold_into(text);
                    from = self.mark.pos;
                    after_break = false;
                }
                self.skip();
                end = self.mark;
                self.need(2)?;
            }
            if !(self.is_blank(0) || self.is_break(0)) {
                break;
            }
            self.need(1)?;
            while self.is_blank(0) || self.is_break(0) {
                if self.is_blank(0) {
                    if after_break && i64::from(self.mark.column) < indent && self.at(0) == b'\t' {
                        return self.fail("found a tab character that violates indentation");
                    }
                    self.skip();
                } else {
                    self.need(2)?;
                    let text = self.read_break();
                    gap.add(text, !after_break);
                    after_break = true;
                }
                self.need(1)?;
            }
            if self.flow_level == 0 && i64::from(self.mark.column) < indent {
                break;
            }
        }
        self.push_plain(start, end, from, copy);
        if after_break {
            self.simple_key_allowed = true;
        }
        Ok(())
    }

    /// An indicator that ends a plain scalar in the middle of a line.
    #[inline]
    fn ends_plain(&self) -> bool {
        match self.at(0) {
            b':' => self.is_blank_or_end(1),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => self.flow_level > 0,
            _ => false,
        }
    }

    fn push_plain(&mut self, start: Mark, end: Mark, from: usize, copy: Option<String>) {
        let last = self.slice(from, end.pos);
        let value = match copy {
            None => Cow::Borrowed(last),
            Some(mut text) => {
                text.push_str(last);
                Cow::Owned(text)
            }
        };
        let kind = Kind::Scalar { plain: true };
        self.push_text(kind, start, end, value, Cow::Borrowed(""));
    }
}

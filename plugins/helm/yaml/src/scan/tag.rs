//! Directives, anchors, aliases and tags.

use std::borrow::Cow;

use super::{Kind, Scanner, Step, is_word, width};

/// Digits of a version number in a `%YAML` directive.
const MAX_VERSION_DIGITS: usize = 2;

impl<'a> Scanner<'a> {
    pub(super) fn scan_directive(&mut self) -> Step {
        let start = self.mark;
        self.skip();
        let name = self.scan_word()?;
        if name.is_empty() {
            return self.fail("could not find expected directive name");
        }
        if !self.is_blank_or_end(0) {
            return self.fail("found unexpected non-alphabetical character");
        }
        let (kind, handle, prefix) = match name {
            "YAML" => (self.scan_version()?, Cow::Borrowed(""), Cow::Borrowed("")),
            "TAG" => {
                let (handle, prefix) = self.scan_tag_directive()?;
                (Kind::TagDirective, Cow::Borrowed(handle), prefix)
            }
            _ => return self.fail("found unknown directive name"),
        };
        let end = self.mark;
        self.need(1)?;
        self.skip_blanks()?;
        if self.at(0) == b'#' {
            self.skip_comment()?;
        }
        if !self.is_break_or_end(0) {
            return self.fail("did not find expected comment or line break");
        }
        if self.is_break(0) {
            self.need(2)?;
            self.read_break();
        }
        self.push_text(kind, start, end, handle, prefix);
        Ok(())
    }

    /// Letters, digits, `_` and `-` from here on.
    fn scan_word(&mut self) -> Step<&'a str> {
        let from = self.mark.pos;
        self.need(1)?;
        while is_word(self.at(0)) {
            self.skip();
            self.need(1)?;
        }
        Ok(self.slice(from, self.mark.pos))
    }

    fn scan_version(&mut self) -> Step<Kind> {
        self.need(1)?;
        self.skip_blanks()?;
        let major = self.scan_version_number()?;
        if self.at(0) != b'.' {
            return self.fail("did not find expected digit or '.' character");
        }
        self.skip();
        let minor = self.scan_version_number()?;
        Ok(Kind::VersionDirective { major, minor })
    }

    fn scan_version_number(&mut self) -> Step<u8> {
        self.need(1)?;
        let mut value: u8 = 0;
        let mut length = 0;
        while self.at(0).is_ascii_digit() {
            length += 1;
            if length > MAX_VERSION_DIGITS {
                return self.fail("found extremely long version number");
            }
            value = value * 10 + (self.at(0) - b'0');
            self.skip();
            self.need(1)?;
        }
        if length == 0 {
            return self.fail("did not find expected version number");
        }
        Ok(value)
    }

    fn scan_tag_directive(&mut self) -> Step<(&'a str, Cow<'a, str>)> {
        self.need(1)?;
        self.skip_blanks()?;
        let handle = self.scan_tag_handle(true)?;
        self.need(1)?;
        if !self.is_blank(0) {
            return self.fail("did not find expected whitespace");
        }
        self.skip_blanks()?;
        let prefix = self.scan_tag_uri("")?;
        self.need(1)?;
        if !self.is_blank_or_end(0) {
            return self.fail("did not find expected whitespace or line break");
        }
        Ok((handle, prefix))
    }

    pub(super) fn scan_anchor(&mut self, kind: Kind) -> Step {
        let start = self.mark;
        self.skip();
        let name = self.scan_word()?;
        let ended = self.is_blank_or_end(0)
            || matches!(
                self.at(0),
                b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
            );
        if name.is_empty() || !ended {
            return self.fail("did not find expected alphabetic or numeric character");
        }
        self.push_text(
            kind,
            start,
            self.mark,
            Cow::Borrowed(name),
            Cow::Borrowed(""),
        );
        Ok(())
    }

    pub(super) fn scan_tag(&mut self) -> Step {
        let start = self.mark;
        self.need(2)?;
        let mut handle = "";
        let mut suffix;
        if self.at(1) == b'<' {
            self.skip();
            self.skip();
            suffix = self.scan_tag_uri("")?;
            if self.at(0) != b'>' {
                return self.fail("did not find the expected '>'");
            }
            self.skip();
        } else {
            let found = self.scan_tag_handle(false)?;
            if found.len() > 1 && found.ends_with('!') {
                handle = found;
                suffix = self.scan_tag_uri("")?;
            } else {
                // Not a handle after all, but the beginning of the suffix.
                handle = "!";
                suffix = self.scan_tag_uri(found)?;
                if suffix.is_empty() {
                    handle = "";
                    suffix = Cow::Borrowed("!");
                }
            }
        }
        self.need(1)?;
        if !self.is_blank_or_end(0) {
            return self.fail("did not find expected whitespace or line break");
        }
        self.push_text(Kind::Tag, start, self.mark, Cow::Borrowed(handle), suffix);
        Ok(())
    }

    fn scan_tag_handle(&mut self, directive: bool) -> Step<&'a str> {
        self.need(1)?;
        if self.at(0) != b'!' {
            return self.fail("did not find expected '!'");
        }
        let from = self.mark.pos;
        self.skip();
        self.scan_word()?;
        if self.at(0) == b'!' {
            self.skip();
        } else if directive && self.mark.pos > from + 1 {
            return self.fail("did not find expected '!'");
        }
        Ok(self.slice(from, self.mark.pos))
    }

    /// `head` is what has been read of it already, with its `!`, which does not count.
    fn scan_tag_uri(&mut self, head: &'a str) -> Step<Cow<'a, str>> {
        let head_text = head.get(1..).unwrap_or("");
        self.need(1)?;
        let from = self.mark.pos;
        let mut escaped: Option<Vec<u8>> = None;
        let mut found = !head.is_empty();
        while is_uri(self.at(0)) {
            found = true;
            if self.at(0) == b'%' {
                let before = self.slice(from, self.mark.pos);
                let text = escaped
                    .get_or_insert_with(|| [head_text.as_bytes(), before.as_bytes()].concat());
                let mut text = std::mem::take(text);
                self.scan_uri_escape(&mut text)?;
                escaped = Some(text);
            } else {
                if let Some(text) = &mut escaped {
                    text.push(self.at(0));
                }
                self.skip();
            }
            self.need(1)?;
        }
        if !found {
            return self.fail("did not find expected tag URI");
        }
        Ok(match escaped {
            Some(text) => Cow::Owned(String::from_utf8_lossy(&text).into_owned()),
            None if head_text.is_empty() => Cow::Borrowed(self.slice(from, self.mark.pos)),
            None => {
                let before = from.saturating_sub(head_text.len());
                Cow::Borrowed(self.slice(before, self.mark.pos))
            }
        })
    }

    /// One character, written as `%` and two hexadecimal digits for each byte.
    fn scan_uri_escape(&mut self, text: &mut Vec<u8>) -> Step {
        let mut left = None;
        while left != Some(0) {
            self.need(3)?;
            let digits = (
                char::from(self.at(1)).to_digit(16),
                char::from(self.at(2)).to_digit(16),
            );
            let (b'%', (Some(high), Some(low))) = (self.at(0), digits) else {
                return self.fail("did not find URI escaped octet");
            };
            let octet = u8::try_from(high * 16 + low).unwrap_or(0);
            left = match left {
                None => match width(octet) {
                    0 => return self.fail("found an incorrect leading UTF-8 octet"),
                    width => Some(width - 1),
                },
                Some(_) if octet & 0xC0 != 0x80 => {
                    return self.fail("found an incorrect trailing UTF-8 octet");
                }
                Some(left) => Some(left - 1),
            };
            text.push(octet);
            self.skip();
            self.skip();
            self.skip();
        }
        Ok(())
    }
}

fn is_uri(byte: u8) -> bool {
    is_word(byte) || (byte != 0 && b";/?:@&=+$,.!~*'()[]%".contains(&byte))
}

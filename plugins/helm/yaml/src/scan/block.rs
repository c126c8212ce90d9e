//! Block scalars: `|` and `>`.

use std::borrow::Cow;

use super::{Kind, Scanner, Step};

impl Scanner<'_> {
    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Step {
        let start = self.mark;
        self.skip();
        let (keep, increment) = self.scan_block_header()?;
        let mut end = self.mark;
        let mut indent = match increment {
            0 => 0,
            _ => self.indent.max(0) + increment,
        };

        let mut text = String::new();
        let mut breaks = String::new();
        // The break that ended the last line, not yet written as it may be folded.
        let mut pending = "";
        let mut leading_blank = false;
        self.scan_block_breaks(&mut indent, &mut breaks, &mut end)?;
        self.need(1)?;
        while i64::from(self.mark.column) == indent && self.at(0) != 0 {
            let blank = self.is_blank(0);
            if !literal && !leading_blank && !blank && pending == "\n" {
                if breaks.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(pending);
            }
            text.push_str(&breaks);
            breaks.clear();
            leading_blank = blank;

            let from = self.mark.pos;
            while !self.is_break_or_end(0) {
                self.skip();
                self.need(1)?;
            }
            text.push_str(self.slice(from, self.mark.pos));
            self.need(2)?;
            pending = self.read_break();
            self.scan_block_breaks(&mut indent, &mut breaks, &mut end)?;
        }

        if keep != Keep::Nothing {
            text.push_str(pending);
        }
        if keep == Keep::All {
            text.push_str(&breaks);
        }
        let kind = Kind::Scalar { plain: false };
        self.push_text(kind, start, end, Cow::Owned(text), Cow::Borrowed(""));
        Ok(())
    }

    /// What stands between the indicator and the end of its line: which of the final breaks to
    /// keep, and by how much the text is indented, 0 if that is to be found out.
    fn scan_block_header(&mut self) -> Step<(Keep, i64)> {
        self.need(1)?;
        let mut keep = Keep::One;
        let mut increment = 0;
        if matches!(self.at(0), b'+' | b'-') {
            keep = self.scan_keep();
            self.need(1)?;
            if self.at(0).is_ascii_digit() {
                increment = self.scan_increment()?;
            }
        } else if self.at(0).is_ascii_digit() {
            increment = self.scan_increment()?;
            self.need(1)?;
            if matches!(self.at(0), b'+' | b'-') {
                keep = self.scan_keep();
            }
        }
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
        Ok((keep, increment))
    }

    fn scan_keep(&mut self) -> Keep {
        let keep = if self.at(0) == b'+' {
            Keep::All
        } else {
            Keep::Nothing
        };
        self.skip();
        keep
    }

    fn scan_increment(&mut self) -> Step<i64> {
        let digit = self.at(0);
        if digit == b'0' {
            return self.fail("found an indentation indicator equal to 0");
        }
        self.skip();
        Ok(i64::from(digit.wrapping_sub(b'0')))
    }

    /// Skips indentation and empty lines, and finds out the indentation if it is not known.
    fn scan_block_breaks(
        &mut self,
        indent: &mut i64,
        breaks: &mut String,
        end: &mut super::Mark,
    ) -> Step {
        *end = self.mark;
        let mut deepest = 0;
        loop {
            self.need(1)?;
            while (*indent == 0 || i64::from(self.mark.column) < *indent) && self.at(0) == b' ' {
                self.skip();
                self.need(1)?;
            }
            let column = i64::from(self.mark.column);
            deepest = deepest.max(column);
            if (*indent == 0 || column < *indent) && self.at(0) == b'\t' {
                return self.fail("found a tab character where an indentation space is expected");
            }
            if !self.is_break(0) {
                break;
            }
            self.need(2)?;
            breaks.push_str(self.read_break());
            *end = self.mark;
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}

/// Which of the breaks at the end of a block scalar belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    One,
    All,
}

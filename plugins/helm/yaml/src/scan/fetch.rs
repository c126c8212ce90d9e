//! Decides which token comes next, and keeps indentation and keys in order.

use std::borrow::Cow;

use super::{Kind, MAX_LEVELS, MAX_SIMPLE_KEY_CHARS, Mark, Scanner, SimpleKey, Step, Token};

impl<'a> Scanner<'a> {
    /// Reads until the first token of the queue is settled: a later `:` may put a key before it.
    pub(super) fn fetch_more(&mut self) -> Step {
        while self.tokens.is_empty() || self.head_may_become_key()? {
            self.fetch_next()?;
        }
        self.token_ready = true;
        Ok(())
    }

    fn head_may_become_key(&mut self) -> Step<bool> {
        while let Some((number, _)) = self.keys_by_token.front()
            && *number < self.tokens_taken
        {
            self.keys_by_token.pop_front();
        }
        match self.keys_by_token.front() {
            Some((number, level)) if *number == self.tokens_taken => self.key_is_valid(*level),
            _ => Ok(false),
        }
    }

    /// Forgets that this token may become a key. It may be noted for another level than the one
    /// that forgets it: after `{}` the collection is one no more, and neither do we repair that.
    fn forget_key(&mut self, number: usize) {
        let place = self
            .keys_by_token
            .iter()
            .rposition(|(known, _)| *known == number);
        if let Some(place) = place {
            self.keys_by_token.remove(place);
        }
    }

    /// Whether the key noted at this level can still be one: it must be on this line, and short.
    fn key_is_valid(&mut self, level: usize) -> Step<bool> {
        let Some(key) = self.simple_keys.get(level).copied() else {
            return Ok(false);
        };
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < self.mark.line || key.mark.index + MAX_SIMPLE_KEY_CHARS < self.mark.index
        {
            if key.required {
                return self.fail("could not find expected ':'");
            }
            if let Some(key) = self.simple_keys.get_mut(level) {
                key.possible = false;
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn fetch_next(&mut self) -> Step {
        self.need(1)?;
        if !self.started {
            return self.fetch_stream_start();
        }
        self.skip_to_token()?;
        self.unroll_indent(i64::from(self.mark.column));
        self.need(4)?;

        let byte = self.at(0);
        if byte == 0 {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 {
            if byte == b'%' {
                return self.fetch_directive();
            }
            if self.at_document_indicator() {
                return self.fetch_document_indicator(if byte == b'-' {
                    Kind::DocumentStart
                } else {
                    Kind::DocumentEnd
                });
            }
        }
        let in_flow = self.flow_level > 0;
        match byte {
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.is_blank_or_end(1) => self.fetch_block_entry(),
            b'?' if in_flow || self.is_blank_or_end(1) => self.fetch_key(),
            b':' if in_flow || self.is_blank_or_end(1) => self.fetch_value(),
            b'*' => self.fetch_anchor(Kind::Alias),
            b'&' => self.fetch_anchor(Kind::Anchor),
            b'!' => self.fetch_tag(),
            b'|' if !in_flow => self.fetch_block_scalar(true),
            b'>' if !in_flow => self.fetch_block_scalar(false),
            b'\'' => self.fetch_flow_scalar(true),
            b'"' => self.fetch_flow_scalar(false),
            b'-' | b'?' | b':' => self.fetch_plain_scalar(),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => {
                self.fail("found character that cannot start any token")
            }
            _ if self.is_blank_or_end(0) => {
                self.fail("found character that cannot start any token")
            }
            _ => self.fetch_plain_scalar(),
        }
    }

    /// Notes that a key may begin here.
    fn save_simple_key(&mut self) -> Step {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let key = SimpleKey {
            possible: true,
            required: self.flow_level == 0 && self.indent == i64::from(self.mark.column),
            token_number: self.tokens_taken + self.tokens.len(),
            mark: self.mark,
        };
        self.remove_simple_key()?;
        if let Some(last) = self.simple_keys.last_mut() {
            *last = key;
        }
        let level = self.simple_keys.len().saturating_sub(1);
        match self.keys_by_token.back_mut() {
            Some((number, known)) if *number == key.token_number => *known = level,
            _ => self.keys_by_token.push_back((key.token_number, level)),
        }
        Ok(())
    }

    /// Gives up the key noted at this level.
    fn remove_simple_key(&mut self) -> Step {
        if self
            .simple_keys
            .last()
            .is_some_and(|key| key.possible && key.required)
        {
            return self.fail("could not find expected ':'");
        }
        if let Some(key) = self.simple_keys.last_mut()
            && key.possible
        {
            key.possible = false;
            let number = key.token_number;
            self.forget_key(number);
        }
        Ok(())
    }

    /// Opens a block collection if this column is deeper than the last one. `number` is the token
    /// before which it opens, the end of the queue if absent.
    fn roll_indent(&mut self, column: u32, number: Option<usize>, kind: Kind, mark: Mark) -> Step {
        let column = i64::from(column);
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > MAX_LEVELS {
            return self.fail(&format!("exceeded max depth of {MAX_LEVELS}"));
        }
        self.insert(number, kind, mark);
        Ok(())
    }

    fn insert(&mut self, number: Option<usize>, kind: Kind, mark: Mark) {
        let token = Token {
            kind,
            line: mark.line,
            end_line: mark.line,
            value: Cow::Borrowed(""),
            suffix: Cow::Borrowed(""),
        };
        let last = self.tokens.len();
        // A place that has gone by is the end of the queue, in the original as well.
        let place = number.and_then(|number| number.checked_sub(self.tokens_taken));
        let place = place.unwrap_or(last);
        self.tokens.insert(place.min(last), token);
    }

    /// Closes the block collections deeper than this column.
    fn unroll_indent(&mut self, column: i64) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(Kind::BlockEnd, self.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch_stream_start(&mut self) -> Step {
        self.simple_keys.push(SimpleKey::default());
        self.simple_key_allowed = true;
        self.started = true;
        self.push(Kind::StreamStart, self.mark);
        Ok(())
    }

    fn fetch_stream_end(&mut self) -> Step {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.reset_block()?;
        self.push(Kind::StreamEnd, self.mark);
        Ok(())
    }

    /// What the end of a document, or of the stream, means for what is open.
    fn reset_block(&mut self) -> Step {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        Ok(())
    }

    fn fetch_directive(&mut self) -> Step {
        self.reset_block()?;
        self.scan_directive()
    }

    fn fetch_document_indicator(&mut self, kind: Kind) -> Step {
        self.reset_block()?;
        let start = self.mark;
        self.skip();
        self.skip();
        self.skip();
        self.push(kind, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: Kind) -> Step {
        self.save_simple_key()?;
        self.simple_keys.push(SimpleKey {
            token_number: self.tokens_taken + self.tokens.len(),
            mark: self.mark,
            ..SimpleKey::default()
        });
        self.flow_level += 1;
        if self.flow_level > MAX_LEVELS {
            return self.fail(&format!("exceeded max depth of {MAX_LEVELS}"));
        }
        self.simple_key_allowed = true;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind) -> Step {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.simple_keys.pop() {
                self.forget_key(key.token_number);
            }
        }
        self.simple_key_allowed = false;
        self.fetch_indicator(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Step {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(Kind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Step {
        // In flow context the parser complains: it knows what it was looking for.
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.fail("block sequence entries are not allowed in this context");
            }
            self.roll_indent(self.mark.column, None, Kind::BlockSequenceStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.fetch_indicator(Kind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Step {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.fail("mapping keys are not allowed in this context");
            }
            self.roll_indent(self.mark.column, None, Kind::BlockMappingStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.fetch_indicator(Kind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Step {
        let level = self.simple_keys.len().saturating_sub(1);
        if self.key_is_valid(level)? {
            let key = self.simple_keys.get(level).copied().unwrap_or_default();
            self.insert(Some(key.token_number), Kind::Key, key.mark);
            self.roll_indent(
                key.mark.column,
                Some(key.token_number),
                Kind::BlockMappingStart,
                key.mark,
            )?;
            if let Some(key) = self.simple_keys.get_mut(level) {
                key.possible = false;
            }
            self.forget_key(key.token_number);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return self.fail("mapping values are not allowed in this context");
                }
                self.roll_indent(self.mark.column, None, Kind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.fetch_indicator(Kind::Value);
        Ok(())
    }

    /// The token of one character.
    fn fetch_indicator(&mut self, kind: Kind) {
        let start = self.mark;
        self.skip();
        self.push(kind, start);
    }

    fn fetch_anchor(&mut self, kind: Kind) -> Step {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_anchor(kind)
    }

    fn fetch_tag(&mut self) -> Step {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_tag()
    }

    fn fetch_block_scalar(&mut self, literal: bool) -> Step {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.scan_block_scalar(literal)
    }

    fn fetch_flow_scalar(&mut self, single: bool) -> Step {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_quoted(single)
    }

    fn fetch_plain_scalar(&mut self) -> Step {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_plain()
    }

    /// Skips blanks, comments and line breaks. A tab may not stand where a key may begin.
    fn skip_to_token(&mut self) -> Step {
        loop {
            self.need(1)?;
            if self.mark.index == 0 && self.slice(self.mark.pos, self.mark.pos + 3) == "\u{feff}" {
                self.skip();
            }
            self.need(1)?;
            while self.at(0) == b' '
                || (self.at(0) == b'\t' && (self.flow_level > 0 || !self.simple_key_allowed))
            {
                self.skip();
                self.need(1)?;
            }
            if self.at(0) == b'#' {
                self.skip_comment()?;
            }
            if !self.is_break(0) {
                return Ok(());
            }
            self.need(2)?;
            self.read_break();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    pub(super) fn skip_comment(&mut self) -> Step {
        while !self.is_break_or_end(0) {
            self.skip();
            self.need(1)?;
        }
        Ok(())
    }

    pub(super) fn skip_blanks(&mut self) -> Step {
        while self.is_blank(0) {
            self.skip();
            self.need(1)?;
        }
        Ok(())
    }
}

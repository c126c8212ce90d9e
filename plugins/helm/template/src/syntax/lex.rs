//! Cuts the text of a template into tokens, by the rules of Go's template scanner.

use std::borrow::Cow;

use super::token::{Kind, Token};

use crate::strconv::{is_digit, is_letter, quote};

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];
/// A trim marker is a minus and the blank beside it.
const TRIM_MARKER: usize = 2;

/// The scanner; hands out one token after the other.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    start: usize,
    inside_action: bool,
    paren_depth: usize,
    /// Line at `line_pos`; tokens come in order, so each newline is counted once.
    line: usize,
    line_pos: usize,
}

fn is_space(c: char) -> bool {
    SPACES.contains(&c)
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || is_letter(c) || is_digit(c)
}

fn has_left_trim_marker(text: &str) -> bool {
    text.strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(SPACES))
}

fn has_right_trim_marker(text: &str) -> bool {
    text.strip_prefix(SPACES)
        .is_some_and(|rest| rest.starts_with('-'))
}

/// Go's `%#U`.
fn unicode_name(c: char) -> String {
    if crate::strconv::is_print(c) {
        format!("U+{:04X} '{c}'", u32::from(c))
    } else {
        format!("U+{:04X}", u32::from(c))
    }
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self {
            input,
            pos: 0,
            start: 0,
            inside_action: false,
            paren_depth: 0,
            line: 1,
            line_pos: 0,
        }
    }

    /// The next token. After an error or the end of input there is nothing but the end.
    pub(crate) fn next_token(&mut self) -> Token<'a> {
        if self.inside_action {
            self.lex_inside_action()
        } else {
            self.lex_text()
        }
    }

    fn rest(&self) -> &'a str {
        self.input.get(self.pos..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn line_of(&mut self, pos: usize) -> usize {
        if pos > self.line_pos {
            let skipped = self
                .input
                .as_bytes()
                .get(self.line_pos..pos)
                .unwrap_or_default();
            self.line += skipped.iter().filter(|byte| **byte == b'\n').count();
            self.line_pos = pos;
        }
        self.line
    }

    fn emit(&mut self, kind: Kind) -> Token<'a> {
        let line = self.line_of(self.start);
        let text = self.input.get(self.start..self.pos).unwrap_or_default();
        let token = Token {
            kind,
            pos: self.start,
            line,
            text: Cow::Borrowed(text),
        };
        self.start = self.pos;
        token
    }

    fn error(&mut self, message: impl Into<String>) -> Token<'a> {
        let line = self.line_of(self.start);
        let token = Token {
            kind: Kind::Error,
            pos: self.start,
            line,
            text: Cow::Owned(message.into()),
        };
        self.input = "";
        self.start = 0;
        self.pos = 0;
        token
    }

    fn lex_text(&mut self) -> Token<'a> {
        loop {
            let Some(before) = self.rest().find(LEFT) else {
                self.pos = self.input.len();
                let kind = if self.pos > self.start {
                    Kind::Text
                } else {
                    Kind::Eof
                };
                return self.emit(kind);
            };
            if before > 0 {
                let delim = self.pos + before;
                let text = self.input.get(self.start..delim).unwrap_or_default();
                let after = self.input.get(delim + LEFT.len()..).unwrap_or_default();
                let kept = if has_left_trim_marker(after) {
                    text.trim_end_matches(SPACES).len()
                } else {
                    text.len()
                };
                self.pos = self.start + kept;
                let token = self.emit(Kind::Text);
                self.pos = delim;
                self.start = delim;
                if !token.text.is_empty() {
                    return token;
                }
            }
            if let Some(token) = self.lex_left_delim() {
                return token;
            }
        }
    }

    /// `None` after a comment, which leaves no token.
    fn lex_left_delim(&mut self) -> Option<Token<'a>> {
        self.pos += LEFT.len();
        let marker = if has_left_trim_marker(self.rest()) {
            TRIM_MARKER
        } else {
            0
        };
        let inside = self.rest().get(marker..).unwrap_or_default();
        if inside.starts_with("/*") {
            self.pos += marker;
            self.start = self.pos;
            return self.lex_comment();
        }
        let token = self.emit(Kind::LeftDelim);
        self.inside_action = true;
        self.pos += marker;
        self.start = self.pos;
        self.paren_depth = 0;
        Some(token)
    }

    fn lex_comment(&mut self) -> Option<Token<'a>> {
        self.pos += 2;
        let Some(length) = self.rest().find("*/") else {
            return Some(self.error("unclosed comment"));
        };
        self.pos += length + 2;
        let Some(trims) = self.at_right_delim() else {
            return Some(self.error("comment ends before closing delimiter"));
        };
        self.skip_right_delim(trims);
        self.trim_left(trims);
        None
    }

    /// Whether a right delimiter is here, and if so, whether with a trim marker.
    fn at_right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if has_right_trim_marker(rest)
            && rest
                .get(TRIM_MARKER..)
                .is_some_and(|rest| rest.starts_with(RIGHT))
        {
            return Some(true);
        }
        rest.starts_with(RIGHT).then_some(false)
    }

    fn skip_right_delim(&mut self, trims: bool) {
        if trims {
            self.pos += TRIM_MARKER;
        }
        self.start = self.pos;
        self.pos += RIGHT.len();
    }

    fn trim_left(&mut self, trims: bool) {
        if trims {
            let rest = self.rest();
            self.pos += rest.len() - rest.trim_start_matches(SPACES).len();
        }
        self.start = self.pos;
    }

    fn lex_right_delim(&mut self, trims: bool) -> Token<'a> {
        self.skip_right_delim(trims);
        let token = self.emit(Kind::RightDelim);
        self.trim_left(trims);
        self.inside_action = false;
        token
    }

    fn lex_inside_action(&mut self) -> Token<'a> {
        if let Some(trims) = self.at_right_delim() {
            if self.paren_depth == 0 {
                return self.lex_right_delim(trims);
            }
            return self.error("unclosed left paren");
        }
        let Some(c) = self.bump() else {
            return self.error("unclosed action");
        };
        match c {
            c if is_space(c) => self.lex_space(),
            '=' => self.emit(Kind::Assign),
            ':' => {
                if self.bump() == Some('=') {
                    self.emit(Kind::Declare)
                } else {
                    self.error("expected :=")
                }
            }
            '|' => self.emit(Kind::Pipe),
            '"' => self.lex_quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.lex_quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.lex_raw_string(),
            '$' => self.lex_field_or_variable(Kind::Variable, Kind::Variable),
            '.' if self.input.len() > self.pos
                && !self.rest().starts_with(|c: char| c.is_ascii_digit()) =>
            {
                self.lex_field_or_variable(Kind::Field, Kind::Dot)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.pos = self.start;
                self.lex_number()
            }
            c if is_alphanumeric(c) => self.lex_identifier(),
            '(' => {
                self.paren_depth += 1;
                self.emit(Kind::LeftParen)
            }
            ')' => match self.paren_depth.checked_sub(1) {
                Some(depth) => {
                    self.paren_depth = depth;
                    self.emit(Kind::RightParen)
                }
                None => self.error("unexpected right paren"),
            },
            ' '..='~' => self.emit(Kind::Char),
            c => self.error(format!(
                "unrecognized character in action: {}",
                unicode_name(c)
            )),
        }
    }

    /// A run of blanks; the one that belongs to a trim marker stays with it.
    fn lex_space(&mut self) -> Token<'a> {
        let run = self.input.get(self.start..).unwrap_or_default();
        let length = run.len() - run.trim_start_matches(SPACES).len();
        let last = self.start + length - 1;
        self.pos = last;
        if self.at_right_delim() == Some(true) {
            if length == 1 {
                return self.lex_right_delim(true);
            }
        } else {
            self.pos = self.start + length;
        }
        self.emit(Kind::Space)
    }

    fn skip_alphanumeric(&mut self) {
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
    }

    fn bad_character(&mut self) -> Token<'a> {
        let name = self.peek().map(unicode_name).unwrap_or_default();
        self.error(format!("bad character {name}"))
    }

    fn lex_identifier(&mut self) -> Token<'a> {
        self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.bad_character();
        }
        let kind = match self.input.get(self.start..self.pos).unwrap_or_default() {
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "nil" => Kind::Nil,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.emit(kind)
    }

    fn lex_field_or_variable(&mut self, kind: Kind, alone: Kind) -> Token<'a> {
        if self.at_terminator() {
            return self.emit(alone);
        }
        self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.bad_character();
        }
        self.emit(kind)
    }

    /// Whether a name may end here, so that `$x+2` is an error rather than a surprise.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn lex_quoted(&mut self, mark: char, kind: Kind, unterminated: &str) -> Token<'a> {
        loop {
            match self.bump() {
                Some('\\') => {
                    if matches!(self.bump(), None | Some('\n')) {
                        return self.error(unterminated);
                    }
                }
                None | Some('\n') => return self.error(unterminated),
                Some(c) if c == mark => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn lex_raw_string(&mut self) -> Token<'a> {
        match self.rest().find('`') {
            Some(length) => {
                self.pos += length + 1;
                self.emit(Kind::RawString)
            }
            None => self.error("unterminated raw quoted string"),
        }
    }

    fn lex_number(&mut self) -> Token<'a> {
        let mut kind = Kind::Number;
        let mut good = self.scan_number();
        if good && matches!(self.peek(), Some('+' | '-')) {
            kind = Kind::Complex;
            good = self.scan_number() && self.input.as_bytes().get(self.pos - 1) == Some(&b'i');
        }
        if good {
            return self.emit(kind);
        }
        let text = self.input.get(self.start..self.pos).unwrap_or_default();
        self.error(format!("bad number syntax: {}", quote(text.as_bytes())))
    }

    fn accept(&mut self, valid: &str) -> bool {
        let accepted = self.peek().is_some_and(|c| valid.contains(c));
        if accepted {
            self.bump();
        }
        accepted
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    /// Takes whatever looks like a number; the parser finds out whether it is one.
    fn scan_number(&mut self) -> bool {
        const DECIMAL: &str = "0123456789_";
        const HEX: &str = "0123456789abcdefABCDEF_";
        self.accept("+-");
        let mut digits = DECIMAL;
        if self.accept("0") {
            if self.accept("xX") {
                digits = HEX;
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if (digits == DECIMAL && self.accept("eE")) || (digits == HEX && self.accept("pP")) {
            self.accept("+-");
            self.accept_run(DECIMAL);
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.bump();
            return false;
        }
        true
    }
}

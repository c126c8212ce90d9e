//! From characters to tokens, after the algorithm of libyaml as its Go port has it.
//!
//! The scanner is what decides which texts are accepted and which line an error names, so it keeps
//! the order in which the original looks at things, including how far it has read ahead when a
//! forbidden character turns up (`reader`).

mod block;
mod fetch;
mod flow;
mod reader;
mod tag;

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::error::Problem;
use crate::input::Cut;

pub(crate) type Step<T = ()> = Result<T, Problem>;

/// Nesting of flow collections, and of block collections, beyond which the original gives up.
const MAX_LEVELS: usize = 10_000;

/// A key without `?` must end within so many characters.
const MAX_SIMPLE_KEY_CHARS: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    StreamStart,
    StreamEnd,
    VersionDirective { major: u8, minor: u8 },
    TagDirective,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar { plain: bool },
}

#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    /// Lines count from 0.
    pub(crate) line: u32,
    pub(crate) end_line: u32,
    /// Scalar, anchor or alias name; handle of a tag or tag directive.
    pub(crate) value: Cow<'a, str>,
    /// Suffix of a tag, prefix of a tag directive.
    pub(crate) suffix: Cow<'a, str>,
}

/// A place in the text: byte, character, and where that is on the page, all from 0.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    pos: usize,
    index: usize,
    line: u32,
    column: u32,
}

/// Where a key without `?` may have begun, one for each flow level.
#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token_number: usize,
    mark: Mark,
}

#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    mark: Mark,
    /// No character from this byte on can be asked for; `usize::MAX` if all can.
    fence: usize,
    fence_problem: &'static str,
    tokens: VecDeque<Token<'a>>,
    tokens_taken: usize,
    token_ready: bool,
    started: bool,
    indent: i64,
    indents: Vec<i64>,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    /// Tokens that a later `:` may make keys, with the level at which they are noted.
    keys_by_token: VecDeque<(usize, usize)>,
    flow_level: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self::fenced(text, None)
    }

    /// For a text that was cut off where it stopped being readable; `cut` says why.
    pub(crate) fn fenced(text: &'a str, cut: Option<Cut>) -> Self {
        let bytes = text.as_bytes();
        let start = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let (fence, fence_problem) = reader::fence(bytes, start, cut);
        Self {
            text,
            bytes,
            mark: Mark {
                pos: start,
                ..Mark::default()
            },
            fence,
            fence_problem,
            tokens: VecDeque::with_capacity(16),
            tokens_taken: 0,
            token_ready: false,
            started: false,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: false,
            simple_keys: Vec::new(),
            keys_by_token: VecDeque::new(),
            flow_level: 0,
        }
    }

    /// The next token, which stays where it is. After the end of the stream there is none to ask
    /// for, and the parser does not.
    pub(crate) fn peek(&mut self) -> Step<&Token<'a>> {
        if !self.token_ready {
            self.fetch_more()?;
        }
        self.tokens.front().ok_or_else(|| {
            Problem::yaml(
                0,
                "attempted to go past the end of stream; corrupted value?",
            )
        })
    }

    /// Takes the token that `peek` showed.
    pub(crate) fn take(&mut self) -> Option<Token<'a>> {
        self.token_ready = false;
        self.tokens_taken += 1;
        self.tokens.pop_front()
    }

    /// The byte `offset` bytes ahead, 0 beyond the end.
    #[inline]
    fn at(&self, offset: usize) -> u8 {
        self.bytes.get(self.mark.pos + offset).copied().unwrap_or(0)
    }

    /// Checks that `count` characters can be looked at.
    #[inline]
    fn need(&self, count: usize) -> Step {
        if self.mark.pos + 4 * count <= self.fence {
            return Ok(());
        }
        self.need_near_fence(count)
    }

    /// The source between two places; empty where they are no character boundaries.
    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or("")
    }

    #[inline]
    fn skip(&mut self) {
        self.mark.index += 1;
        self.mark.column += 1;
        self.mark.pos += width(self.at(0));
    }

    /// Skips a line break, if there is one, and says what it counts as in a scalar.
    fn read_break(&mut self) -> &'static str {
        let (bytes, chars, text) = match (self.at(0), self.at(1), self.at(2)) {
            (b'\r', b'\n', _) => (2, 2, "\n"),
            (b'\r' | b'\n', _, _) => (1, 1, "\n"),
            (0xC2, 0x85, _) => (2, 1, "\n"),
            (0xE2, 0x80, 0xA8) => (3, 1, "\u{2028}"),
            (0xE2, 0x80, 0xA9) => (3, 1, "\u{2029}"),
            _ => return "",
        };
        self.mark.pos += bytes;
        self.mark.index += chars;
        self.mark.column = 0;
        self.mark.line += 1;
        text
    }

    fn is_break(&self, offset: usize) -> bool {
        match self.at(offset) {
            b'\r' | b'\n' => true,
            0xC2 => self.at(offset + 1) == 0x85,
            0xE2 => self.at(offset + 1) == 0x80 && matches!(self.at(offset + 2), 0xA8 | 0xA9),
            _ => false,
        }
    }

    fn is_break_or_end(&self, offset: usize) -> bool {
        self.at(offset) == 0 || self.is_break(offset)
    }

    #[inline]
    fn is_blank(&self, offset: usize) -> bool {
        matches!(self.at(offset), b' ' | b'\t')
    }

    #[inline]
    fn is_blank_or_end(&self, offset: usize) -> bool {
        match self.at(offset) {
            b' ' | b'\t' | 0 | b'\r' | b'\n' => true,
            0xC2 | 0xE2 => self.is_break(offset),
            _ => false,
        }
    }

    /// `---` or `...` at the start of a line, followed by a blank or the end.
    fn at_document_indicator(&self) -> bool {
        self.mark.column == 0
            && (self.text_ahead(b"---") || self.text_ahead(b"..."))
            && self.is_blank_or_end(3)
    }

    fn text_ahead(&self, wanted: &[u8; 3]) -> bool {
        [self.at(0), self.at(1), self.at(2)] == *wanted
    }

    /// An error at the current place.
    fn fail<T>(&self, message: &str) -> Step<T> {
        let line = if self.mark.line == 0 {
            0
        } else {
            self.mark.line + 1
        };
        Err(Problem::yaml(line, message))
    }

    fn push(&mut self, kind: Kind, start: Mark) {
        self.push_text(kind, start, self.mark, Cow::Borrowed(""), Cow::Borrowed(""));
    }

    fn push_text(
        &mut self,
        kind: Kind,
        start: Mark,
        end: Mark,
        value: Cow<'a, str>,
        suffix: Cow<'a, str>,
    ) {
        self.tokens.push_back(Token {
            kind,
            line: start.line,
            end_line: end.line,
            value,
            suffix,
        });
    }
}

/// Bytes of the character that begins with this one; 0 if none does.
fn width(byte: u8) -> usize {
    match byte {
        0..=0x7F => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 0,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

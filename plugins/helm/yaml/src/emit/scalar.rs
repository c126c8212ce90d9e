//! Writing scalars: style, folding, escapes.

use std::fmt::Write as _;

use super::analyze::{analyze, is_break, is_printable};
use super::{Emitter, FOLD_COLUMN, Style, Version};

impl Emitter {
    pub(super) fn scalar(&mut self, text: &str, wanted: Style, is_simple_key: bool) {
        let allowed = analyze(text, self.version);
        let mut style = wanted;
        if style == Style::Plain && (!allowed.plain || (text.is_empty() && is_simple_key)) {
            style = Style::SingleQuoted;
        }
        if style == Style::SingleQuoted && !allowed.single_quoted
            || style == Style::Literal && (!allowed.literal || is_simple_key)
        {
            style = Style::DoubleQuoted;
        }
        let outer = self.indent;
        self.deepen(true, false);
        let may_fold = !is_simple_key && self.version == Version::V2;
        match style {
            Style::Plain => self.plain(text, may_fold),
            Style::SingleQuoted => self.single_quoted(text, may_fold),
            Style::DoubleQuoted => self.double_quoted(text, may_fold),
            Style::Literal => self.literal(text),
        }
        self.indent = outer;
    }

    /// A run of characters without blanks, breaks or quotes.
    fn put_run(&mut self, run: &str) {
        self.out.push_str(run);
        self.column += if run.is_ascii() {
            run.len()
        } else {
            run.chars().count()
        };
        self.only_indent = false;
    }

    fn plain(&mut self, text: &str, may_fold: bool) {
        if !self.after_blank {
            self.put(' ');
        }
        let mut after_space = false;
        let mut rest = text;
        // Without a line break, as those are never plain.
        while let Some(blank) = rest.find(' ') {
            let (run, tail) = rest.split_at_checked(blank).unwrap_or((rest, ""));
            if !run.is_empty() {
                self.put_run(run);
                after_space = false;
            }
            rest = tail.get(1..).unwrap_or("");
            if may_fold && !after_space && self.column > FOLD_COLUMN && !rest.starts_with(' ') {
                self.write_indent();
            } else {
                self.put(' ');
            }
            after_space = true;
        }
        self.put_run(rest);
        self.after_blank = false;
        self.only_indent = false;
    }

    fn single_quoted(&mut self, text: &str, may_fold: bool) {
        self.indicator("'", true, false, false);
        let mut after_space = false;
        let mut after_break = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if c == ' ' {
                if may_fold
                    && !after_space
                    && self.column > FOLD_COLUMN
                    && at > 0
                    && next.is_some_and(|next| next != ' ')
                {
                    self.write_indent();
                } else {
                    self.put(' ');
                }
                after_space = true;
            } else if is_break(c) {
                if !after_break && c == '\n' {
                    self.put_break();
                }
                self.put_own_break(c);
                after_break = true;
            } else {
                if after_break {
                    self.write_indent();
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.only_indent = false;
                after_space = false;
                after_break = false;
            }
        }
        self.indicator("'", false, false, false);
    }

    /// A line break of the text itself.
    fn put_own_break(&mut self, c: char) {
        if c == '\n' {
            self.put_break();
        } else {
            self.out.push(c);
            self.column = 0;
            self.only_indent = true;
        }
    }

    fn double_quoted(&mut self, text: &str, may_fold: bool) {
        self.indicator("\"", true, false, false);
        // The original looks for a byte order mark at the start of the text only, but each time.
        let escapes_all = text.starts_with('\u{feff}');
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if escapes_all || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                self.escape(c);
                after_space = false;
            } else if c == ' ' {
                if may_fold && !after_space && self.column > FOLD_COLUMN && at > 0 && next.is_some()
                {
                    self.write_indent();
                    if next == Some(' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = false;
            }
        }
        self.indicator("\"", false, false, false);
    }

    fn escape(&mut self, c: char) {
        self.put('\\');
        let short = match c {
            '\0' => '0',
            '\x07' => 'a',
            '\x08' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\x0B' => 'v',
            '\x0C' => 'f',
            '\r' => 'r',
            '\x1B' => 'e',
            '"' | '\\' => c,
            '\u{85}' => 'N',
            '\u{a0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => {
                let code = u32::from(c);
                let before = self.out.len();
                // Writing into a string cannot fail.
                let _ = match code {
                    0..=0xFF => write!(self.out, "x{code:02X}"),
                    0x100..=0xFFFF => write!(self.out, "u{code:04X}"),
                    _ => write!(self.out, "U{code:08X}"),
                };
                self.column += self.out.len() - before;
                return;
            }
        };
        self.put(short);
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        let mut from_end = text.chars().rev();
        let (last, before_last) = (from_end.next(), from_end.next());
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.indicator("2", false, false, false);
        }
        match (last.is_some_and(is_break), before_last) {
            (false, _) => self.indicator("-", false, false, false),
            (true, None) => self.indicator("+", false, false, false),
            (true, Some(c)) if is_break(c) => self.indicator("+", false, false, false),
            (true, Some(_)) => {}
        }
        self.put_break();
        self.after_blank = true;
        let mut after_break = true;
        let mut rest = text;
        while let Some(at) = rest.find(is_break) {
            let (line, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.literal_line(line, after_break);
            let mut chars = tail.chars();
            if let Some(c) = chars.next() {
                self.put_own_break(c);
            }
            rest = chars.as_str();
            after_break = true;
        }
        self.literal_line(rest, after_break);
    }

    fn literal_line(&mut self, line: &str, after_break: bool) {
        if line.is_empty() {
            return;
        }
        if after_break {
            self.write_indent();
        }
        self.put_run(line);
    }
}

//! Writing YAML as the two generations of go-yaml do, byte for byte.
//!
//! The layout follows libyaml's emitter: what matters is whether the line so far is only
//! indentation, whether a blank was just written, and the column. They are kept as that emitter
//! keeps them, since nested sequences and `? ` keys depend on all three.

mod analyze;
mod order;
mod scalar;

use serde_json::{Map, Number, Value};

use crate::float;
use crate::json::number_text;
use crate::resolve::{Meaning, must_quote, plain};

/// Keys of more bytes, or with line breaks, are introduced by `? `.
const MAX_SIMPLE_KEY_BYTES: usize = 128;

/// Beyond this column the older library folds at the next blank.
const FOLD_COLUMN: usize = 80;

/// The generation that is imitated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Sequences as deep as their key, folding, numbers as after a detour through JSON.
    V2,
    /// Sequences deeper than their key, no folding, floats as `%g`.
    V3,
}

/// Writes one document.
pub(crate) fn write(value: &Value, version: Version) -> String {
    let mut emitter = Emitter {
        out: String::new(),
        version,
        column: 0,
        indent: -1,
        after_blank: true,
        only_indent: true,
    };
    emitter.node(value, false);
    emitter.indent = -1;
    emitter.write_indent();
    emitter.out
}

struct Emitter {
    out: String,
    version: Version,
    /// In characters, from 0.
    column: usize,
    /// -1 at the root.
    indent: i32,
    after_blank: bool,
    only_indent: bool,
}

/// How a scalar wants to be written, before it is looked at whether it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

impl Emitter {
    /// `in_mapping`: the node is a value, or a key after `? `.
    fn node(&mut self, value: &Value, in_mapping: bool) {
        match value {
            Value::Null => self.scalar("null", Style::Plain, false),
            Value::Bool(true) => self.scalar("true", Style::Plain, false),
            Value::Bool(false) => self.scalar("false", Style::Plain, false),
            Value::Number(number) => {
                let text = self.number(number);
                self.scalar(&text, Style::Plain, false);
            }
            Value::String(text) => self.text(text, false),
            Value::Array(items) => self.sequence(items, in_mapping),
            Value::Object(map) => self.mapping(map),
        }
    }

    fn number(&self, number: &Number) -> String {
        if !number.is_f64() {
            return number.to_string();
        }
        if self.version == Version::V3 {
            return float::yaml_text(number.as_f64().unwrap_or(0.0));
        }
        // The older library reads the number from JSON first, where 1e3 is 1000, an integer.
        let json = number_text(number);
        match plain(&json) {
            Meaning::Int(value) => value.to_string(),
            Meaning::Uint(value) => value.to_string(),
            Meaning::Float(value) => float::yaml_text(value),
            _ => json,
        }
    }

    fn text(&mut self, text: &str, is_simple_key: bool) {
        let style = if text.contains('\n') {
            Style::Literal
        } else if must_quote(text, self.version == Version::V3) {
            Style::DoubleQuoted
        } else {
            Style::Plain
        };
        self.scalar(text, style, is_simple_key);
    }

    fn sequence(&mut self, items: &[Value], in_mapping: bool) {
        if items.is_empty() {
            self.indicator("[", true, true, false);
            self.indicator("]", false, false, false);
            return;
        }
        let outer = self.indent;
        let is_flush = self.version == Version::V2 && in_mapping && !self.only_indent;
        self.deepen(false, is_flush);
        for item in items {
            self.write_indent();
            self.indicator("-", true, false, true);
            self.node(item, false);
        }
        self.indent = outer;
    }

    fn mapping(&mut self, map: &Map<String, Value>) {
        if map.is_empty() {
            self.indicator("{", true, true, false);
            self.indicator("}", false, false, false);
            return;
        }
        let outer = self.indent;
        self.deepen(false, false);
        for (key, value) in order::sorted(map, self.version) {
            self.write_indent();
            if key.len() <= MAX_SIMPLE_KEY_BYTES && !analyze::has_break(key) {
                self.text(key, true);
                self.indicator(":", false, false, false);
            } else {
                self.indicator("?", true, false, true);
                self.text(key, false);
                self.write_indent();
                self.indicator(":", true, false, true);
            }
            self.node(value, true);
        }
        self.indent = outer;
    }

    /// One level deeper. `flow` counts scalars and empty collections in; `is_flush` stays.
    fn deepen(&mut self, flow: bool, is_flush: bool) {
        if self.indent < 0 {
            self.indent = if flow { 2 } else { 0 };
        } else if !is_flush {
            self.indent += 2;
        }
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.only_indent = true;
    }

    fn write_indent(&mut self) {
        let indent = usize::try_from(self.indent).unwrap_or(0);
        if !self.only_indent || self.column > indent || (self.column == indent && !self.after_blank)
        {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.after_blank = true;
        self.only_indent = true;
    }

    fn indicator(&mut self, text: &str, needs_blank: bool, is_blank: bool, is_indent: bool) {
        if needs_blank && !self.after_blank {
            self.put(' ');
        }
        self.out.push_str(text);
        self.column += text.len();
        self.after_blank = is_blank;
        self.only_indent = self.only_indent && is_indent;
    }
}
